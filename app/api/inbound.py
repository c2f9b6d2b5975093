"""/v1/inbound: what people send us."""

from flask import Response

from app.api.answers import answer
from app.api.calls import Call
from app.api.models.devices import Received
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.services.inbound_messages import InboundView
from app.services.views import Page

resource = Resource("inbound", "What people send us by SMS and WhatsApp, and the keys they press.")


@resource.operation(
    "GET",
    "/v1/inbound",
    scope="messages:read",
    query=Received,
    replies={200: Reply("One page, newest first", Page[InboundView])},
)
def search(app: App, call: Call, query: Received) -> Response:
    """List what people sent.

    Answers to the caller's own messages, and what answers nobody's.
    """
    page = app.inbound.search(call.caller, query.filters(), cursor=query.cursor, limit=query.limit)
    return answer(200, page)
