"""/v1/suppressions: whom not to contact."""

from flask import Response
from werkzeug.exceptions import UnsupportedMediaType

from app.api import bodies, problems
from app.api.answers import NDJSON, answer, lines
from app.api.calls import Call
from app.api.models.answers import Added, ImportResult
from app.api.models.rules import Import, NewSuppression, Release, Suppressions
from app.api.operations import Reply, Resource, Share, Upload
from app.bootstrap import App
from app.services.suppressions import SuppressionView
from app.services.views import Page

resource = Resource("suppressions", "Whom not to contact: look, add, release, import, export.")

_CSV = "text/csv"


@resource.operation(
    "GET",
    "/v1/suppressions",
    scope="suppressions:read",
    query=Suppressions,
    replies={200: Reply("One page, newest first", Page[SuppressionView])},
)
def search(app: App, call: Call, query: Suppressions) -> Response:  # noqa: ARG001 - A view's signature.
    """Search the list."""
    page = app.suppressions.search(
        channel=query.channel,
        address=query.address,
        reason=query.reason,
        cursor=query.cursor,
        limit=query.limit,
    )
    return answer(200, page)


@resource.operation(
    "POST",
    "/v1/suppressions",
    scope="suppressions:write",
    body=NewSuppression,
    replies={
        201: Reply("It is on the list now", Added),
        200: Reply("It was on the list; the later of both expiries holds", Added),
    },
)
def add(app: App, call: Call, body: NewSuppression) -> Response:
    """Suppress an address.

    It holds at once, for messages too that wait already.
    """
    view, added = app.suppressions.add(call.who, body.draft())
    return answer(201 if added else 200, {"suppression": view, "added": added})


@resource.operation(
    "GET",
    "/v1/suppressions/<id:suppression>",
    scope="suppressions:read",
    replies={200: Reply("The row", SuppressionView)},
)
def look(app: App, call: Call, suppression: int) -> Response:  # noqa: ARG001 - A view's signature.
    """Look at a row."""
    return answer(200, app.suppressions.get(suppression))


@resource.operation(
    "POST",
    "/v1/suppressions/<id:suppression>/release",
    scope="suppressions:write",
    body=Release,
    replies={200: Reply("The row as it was", SuppressionView)},
)
def release(app: App, call: Call, suppression: int, body: Release) -> Response:
    """Release an address.

    The audit log keeps who did so, and why.
    """
    return answer(200, app.suppressions.release(call.who, suppression, why=body.why))


@resource.operation(
    "POST",
    "/v1/suppressions/import",
    scope="suppressions:write",
    query=Import,
    upload=Upload(
        {NDJSON: "One row a line, as in `NewSuppression`.", _CSV: "Columns as in `NewSuppression`."}
    ),
    share=Share.UPLOADS,
    problems=(problems.LENGTH_REQUIRED, problems.BUSY),
    replies={200: Reply("What it came to", ImportResult)},
)
def bring_in(app: App, call: Call, query: Import) -> Response:
    """Import many rows.

    The body is read as it streams, and may be gzip; without that it needs `Content-Length`. A line that
    cannot be a row is counted and stops no other.
    """
    bodies.require_known_end(call.environ)
    readers = {NDJSON: app.suppressions.import_ndjson, _CSV: app.suppressions.import_csv}
    reader = readers.get(bodies.media_type(call.environ))
    if reader is None:
        raise UnsupportedMediaType(f"Send {NDJSON} or {_CSV}.")
    imported = reader(call.who, call.upload().chunks, why=query.why)
    rejects = [{"line": reject.line, "reason": reject.reason} for reject in imported.rejects]
    content = {
        "received": imported.received,
        "added": imported.added,
        "known": imported.known,
        "invalid": imported.invalid,
        "rejects": rejects,
    }
    return answer(200, content)


@resource.operation(
    "GET",
    "/v1/suppressions/export",
    scope="suppressions:read",
    share=Share.EXPORTS,
    problems=(problems.BUSY,),
    replies={200: Reply("One row a line, as the import takes them", SuppressionView, NDJSON)},
)
def export(app: App, call: Call) -> Response:
    """Export the whole list.

    Should reading it fail half way, the last line has the member `error`.
    """
    return lines(app.suppressions.export(), call.request_id, "suppressions.ndjson")
