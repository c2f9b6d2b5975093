"""/docs, /openapi.json and the pages of problems."""

import gzip
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import orjson
from flask import Blueprint, Response, request

from app.api import reader
from app.api.openapi import document
from app.api.operations import Resource
from app.errors import NotFound

_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_KEPT = "public, max-age=300"


def blueprint(resources: Sequence[Resource], server: str | None) -> Blueprint:
    """Make the blueprint of all that describes the API; each page is made when it is first asked for."""

    @cache
    def described() -> dict[str, Any]:
        return document(resources, server)

    pages: Mapping[str, Callable[[], Response]] = {
        "/openapi.json": cache(lambda: Response(orjson.dumps(described()), mimetype="application/json")),
        "/docs": cache(lambda: Response(reader.page(described()), mimetype="text/html")),
        "/docs/style.css": cache(lambda: Response(reader.style(), mimetype="text/css")),
    }
    made = Blueprint("docs", __name__)
    for rule, make in pages.items():
        made.add_url_rule(rule, endpoint=rule.strip("/").replace("/", "_").replace(".", "_"), view_func=make)
    made.add_url_rule("/problems/<slug:slug>", endpoint="problem", view_func=_problem)
    made.after_request(_public)
    return made


@lru_cache(maxsize=32)
def _packed(page: bytes) -> bytes:
    return gzip.compress(page, mtime=0)


def _problem(slug: str) -> Response:
    page = reader.problem_page(slug)
    if page is None:
        raise NotFound("there is no such kind of problem")
    return Response(page, mimetype="text/html")


def _public(response: Response) -> Response:
    """Let browsers keep it, and send it small to those that can read that."""
    response.headers["Vary"] = "Accept-Encoding"
    if request.accept_encodings.quality("gzip"):
        response = Response(
            _packed(response.get_data()), mimetype=response.mimetype, headers=response.headers
        )
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = _KEPT
    return response
