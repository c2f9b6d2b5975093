"""From an operation's declaration to an endpoint: who calls, what came, then the view."""

from collections.abc import Callable
from math import ceil
from typing import Any

from flask import Blueprint, Request, Response, request
from werkzeug.exceptions import UnsupportedMediaType

from app.api import bodies
from app.api.access import address_of, caller_of
from app.api.bodies import Environ
from app.api.calls import CLIENT, NOBODY, ROUTE, Call, Edge
from app.api.faults import read, read_query
from app.api.operations import Operation, Resource
from app.bootstrap import App
from app.domain.callers import Caller

# From a request and the variable parts of its path to the answer.
Serve = Callable[[Environ, dict[str, Any]], Response]

_JSON = "application/json"


def blueprint(app: App, edge: Edge, resource: Resource) -> Blueprint:
    """Make the blueprint that serves a resource's operations."""
    made = Blueprint(resource.name, __name__)
    for operation in resource.operations:
        made.add_url_rule(
            operation.rule,
            endpoint=operation.view.__name__,
            view_func=_endpoint(serving(app, edge, operation)),
            methods=[operation.method],
            provide_automatic_options=False,
        )
    return made


def _endpoint(serve: Serve) -> Callable[..., Response]:
    return lambda **arguments: serve(request.environ, arguments)


def serving(app: App, edge: Edge, operation: Operation) -> Serve:
    """Make the function that serves an operation. It raises what is to be answered as a problem."""
    proxies = app.settings.trusted_proxies

    def serve(environ: Environ, arguments: dict[str, Any]) -> Response:
        environ[ROUTE] = operation.rule
        address = address_of(environ, proxies)
        caller = _caller(app, environ, address, operation.scope)
        with edge.shares.held(operation.share):
            raw = b"" if operation.body is None else _raw(environ, _limit(app, operation), edge)
            if operation.body is not None:
                arguments["body"] = read(operation.body, raw)
            if operation.query is not None:
                arguments["query"] = read_query(operation.query, Request(environ).args)
            call = Call(caller=caller, address=address, environ=environ, edge=edge, raw=raw)
            return operation.view(app, call, **arguments)

    return serve


def _caller(app: App, environ: Environ, address: str, scope: str | None) -> Caller:
    if scope is None:
        return NOBODY
    caller = caller_of(app, environ, address, scope)
    environ[CLIENT] = caller.name
    return caller


def _limit(app: App, operation: Operation) -> int:
    """Say how many bytes a body may have; base64 makes four of three."""
    files = ceil(app.settings.max_attachments_bytes / 3) * 4 if operation.with_files else 0
    return app.settings.max_single_body_bytes + files


def _raw(environ: Environ, limit: int, edge: Edge) -> bytes:
    if bodies.media_type(environ) != _JSON:
        raise UnsupportedMediaType("Send the body as application/json.")
    bodies.require_plain(environ)
    return bodies.whole(environ, limit, edge.patience)
