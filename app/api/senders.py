"""/v1/senders: whom messages come from."""

from flask import Response

from app.api.answers import answer, empty
from app.api.calls import Call
from app.api.models.rules import Identity, Senders
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.domain.vocabulary import Channel
from app.services.senders import SenderView
from app.services.views import Page

resource = Resource("senders", "The identities that messages are sent as.")

_ONE = "/v1/senders/<channel:channel>/<slug:slug>"


@resource.operation(
    "GET",
    "/v1/senders",
    scope="messages:send",
    query=Senders,
    replies={200: Reply("All of them, by channel and slug", Page[SenderView])},
)
def index(app: App, call: Call, query: Senders) -> Response:  # noqa: ARG001 - A view's signature.
    """List senders."""
    return answer(200, Page(items=app.senders.list(channel=query.channel)))


@resource.operation("GET", _ONE, scope="messages:send", replies={200: Reply("The sender", SenderView)})
def look(app: App, call: Call, channel: Channel, slug: str) -> Response:  # noqa: ARG001 - A view's signature.
    """Look at a sender."""
    return answer(200, app.senders.get(channel, slug))


@resource.operation(
    "PUT", _ONE, scope="senders:write", body=Identity, replies={200: Reply("As it is now", SenderView)}
)
def save(app: App, call: Call, channel: Channel, slug: str, body: Identity) -> Response:
    """Make or replace a sender.

    A message type that it becomes the default for is taken from the others.
    """
    return answer(200, app.senders.save(call.who, channel, slug, body.draft()))


@resource.operation("DELETE", _ONE, scope="senders:write", replies={204: Reply("It is out of use")})
def remove(app: App, call: Call, channel: Channel, slug: str) -> Response:
    """Take a sender out of use."""
    app.senders.remove(call.who, channel, slug)
    return empty()
