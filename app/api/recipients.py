"""/v1/recipients: all that is kept about an address, given out or erased."""

from flask import Response

from app.api import problems
from app.api.answers import NDJSON, answer, lines
from app.api.calls import Call
from app.api.models.dead_letters import Stop
from app.api.operations import Reply, Resource, Share
from app.bootstrap import App
from app.services.recipients import Erased

resource = Resource("recipients", "What is kept about a person: give it out, or erase it.")


@resource.operation(
    "GET",
    "/v1/recipients/<address:address>",
    scope="admin",
    share=Share.EXPORTS,
    problems=(problems.BUSY,),
    replies={200: Reply("One thing a line; `kind` says what it is", None, NDJSON)},
)
def export(app: App, call: Call, address: str) -> Response:
    """Give out all that is kept about an address.

    Messages with their history, suppressions, what came from it, its device, and steps of sequences that
    wait. That it was given out is kept in the audit log, without the address.
    """
    return lines(app.recipients.export(call.who, address), call.request_id, "recipient.ndjson")


@resource.operation(
    "DELETE",
    "/v1/recipients/<address:address>",
    scope="admin",
    query=Stop,
    replies={200: Reply("What was erased", Erased)},
)
def erase(app: App, call: Call, address: str, query: Stop) -> Response:
    """Erase an address.

    Where it stood stands a hash whose salt is thrown away; what was said to it and by it is gone, counts
    stay. What waits to be sent there is cancelled. Suppressions are kept, so that the person stays left
    alone. While `in_flight` is not 0, ask again.
    """
    return answer(200, app.recipients.erase(call.who, address, why=query.why))
