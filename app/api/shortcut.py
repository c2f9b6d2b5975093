"""Past the router: the operations that are called far more often than all others."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from flask import Response

from app.api.bodies import Environ
from app.api.dispatch import Serve
from app.api.operations import Operation
from app.api.paths import pattern


class Shortcut:
    """A WSGI application in front of Flask's, which answers what is called most without it.

    Flask finds the view, sets up what it knows of the request and goes through its hooks; of all that our
    operations need nothing, and it takes longer than most of them do.
    """

    def __init__(
        self,
        inner: WSGIApplication,
        operations: Sequence[tuple[Operation, Serve]],
        refuse: Callable[[Environ, Exception], Response],
    ) -> None:
        self._inner = inner
        self._ways = [
            (operation.method, re.compile(pattern(operation.rule)), serve) for operation, serve in operations
        ]
        self._refuse = refuse

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        for method, path, serve in self._ways:
            if method == environ["REQUEST_METHOD"] and (match := path.fullmatch(environ["PATH_INFO"])):
                return self._answer(serve, environ, match.groupdict())(environ, start_response)
        return self._inner(environ, start_response)

    def _answer(self, serve: Serve, environ: Environ, arguments: dict[str, Any]) -> Response:
        try:
            return serve(environ, arguments)
        except Exception as exc:  # noqa: BLE001 — as Flask's error handler would.
            return self._refuse(environ, exc)
