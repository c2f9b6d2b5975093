"""/v1/batches: how far bulk requests are."""

from functools import partial
from uuid import UUID

from flask import Response

from app.api import problems
from app.api.answers import NDJSON, answer, lines, members, pages
from app.api.calls import Call
from app.api.operations import Reply, Resource, Share
from app.bootstrap import App
from app.services.views import BatchView, RejectView

resource = Resource("batches", "Follow bulk requests, and cancel what is still pending of them.")

_PAGE = 10_000


@resource.operation(
    "GET",
    "/v1/batches/<uuid:uuid>",
    scope="messages:read",
    replies={200: Reply("Its counts, at most two seconds old until it is finished", BatchView, linked=True)},
)
def look(app: App, call: Call, uuid: UUID) -> Response:
    """Look how far a bulk request is."""
    return _batch(app.messages.batch(call.caller, uuid))


@resource.operation(
    "DELETE",
    "/v1/batches/<uuid:uuid>",
    scope="messages:send",
    problems=(problems.CONFLICT,),
    replies={200: Reply("What was pending is cancelled", BatchView, linked=True)},
)
def cancel(app: App, call: Call, uuid: UUID) -> Response:
    """Cancel what is still pending of a bulk request.

    Again is no error; a finished one is a conflict.
    """
    return _batch(app.messages.cancel_batch(call.caller, uuid))


@resource.operation(
    "GET",
    "/v1/batches/<uuid:uuid>/rejects",
    scope="messages:read",
    share=Share.EXPORTS,
    problems=(problems.BUSY,),
    replies={200: Reply("One row a line", RejectView, NDJSON)},
)
def rejects(app: App, call: Call, uuid: UUID) -> Response:
    """List all rows that were refused, with line and reason.

    Should reading them fail half way, the last line has the member `error`.
    """
    read = partial(app.messages.batch_rejects, call.caller, uuid, limit=_PAGE)
    return lines(pages(lambda cursor: read(cursor=cursor)), call.request_id, f"rejects-{uuid}.ndjson")


def _batch(view: BatchView) -> Response:
    path = f"/v1/batches/{view.uuid}"
    return answer(200, members(view) | {"links": {"self": path, "rejects": f"{path}/rejects"}})
