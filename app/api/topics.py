"""/v1/topics: who wants to hear of what, by push."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from flask import Response

from app.api import problems
from app.api.answers import answer
from app.api.calls import Call
from app.api.models.devices import Members, NewTopic, Platform, Tokens, Told, TopicBatches, TopicMessage
from app.api.operations import Reply, Resource, Share
from app.bootstrap import App
from app.domain.vocabulary import Channel
from app.errors import Invalid
from app.services.topics import MemberView, TokenResult, TopicView
from app.services.views import Page

resource = Resource("topics", "What devices follow, and sending to all that follow it.")

_ONE = "/v1/topics/<slug:topic>"
_WRITE = "devices:write"
_PLATFORMS: tuple[Platform, ...] = ("apns", "fcm")


@resource.operation(
    "GET",
    "/v1/topics",
    scope="devices:read",
    query=Members,
    replies={200: Reply("One page, by name", Page[TopicView])},
)
def index(app: App, call: Call, query: Members) -> Response:  # noqa: ARG001 - A view's signature.
    """List topics."""
    return answer(200, app.topics.list(cursor=query.cursor, limit=query.limit))


@resource.operation(
    "POST",
    "/v1/topics",
    scope=_WRITE,
    body=NewTopic,
    problems=(problems.CONFLICT,),
    replies={201: Reply("The topic", TopicView, headers={"Location": "Where it can be looked up"})},
)
def create(app: App, call: Call, body: NewTopic) -> Response:
    """Make a topic."""
    view = app.topics.create(call.who, body.name, body.description)
    return answer(201, view, headers={"Location": f"/v1/topics/{view.name}"})


@resource.operation("GET", _ONE, scope="devices:read", replies={200: Reply("The topic", TopicView)})
def look(app: App, call: Call, topic: str) -> Response:  # noqa: ARG001 - A view's signature.
    """Look at a topic."""
    return answer(200, app.topics.get(topic))


@resource.operation(
    "GET",
    f"{_ONE}/members",
    scope="devices:read",
    query=Members,
    replies={200: Reply("One page", Page[MemberView])},
)
def members(app: App, call: Call, topic: str, query: Members) -> Response:  # noqa: ARG001 - A view's signature.
    """List who follows a topic."""
    return answer(200, app.topics.members(topic, cursor=query.cursor, limit=query.limit))


@resource.operation(
    "POST",
    f"{_ONE}/subscribe",
    scope=_WRITE,
    body=Tokens,
    share=Share.UPLOADS,
    problems=(problems.BUSY,),
    replies={200: Reply("What became of each", Told)},
)
def subscribe(app: App, call: Call, topic: str, body: Tokens) -> Response:  # noqa: ARG001 - A view's signature.
    """Have devices follow a topic.

    They follow it for us at once. FCM is told of its own within the request as far as there is time for
    it, and of the rest behind it.
    """
    return _told(topic, app.topics.subscribe(topic, body.tokens))


@resource.operation(
    "POST",
    f"{_ONE}/unsubscribe",
    scope=_WRITE,
    body=Tokens,
    share=Share.UPLOADS,
    problems=(problems.BUSY,),
    replies={200: Reply("What became of each", Told)},
)
def unsubscribe(app: App, call: Call, topic: str, body: Tokens) -> Response:  # noqa: ARG001 - A view's signature.
    """Have devices follow a topic no more."""
    return _told(topic, app.topics.unsubscribe(topic, body.tokens))


@resource.operation(
    "POST",
    f"{_ONE}/messages",
    scope="messages:send",
    body=TopicMessage,
    idempotent=True,
    share=Share.UPLOADS,
    problems=(problems.NO_GATEWAY, problems.BUSY, problems.CONFLICT),
    replies={202: Reply("Accepted: a batch for each platform", TopicBatches)},
)
def send(app: App, call: Call, topic: str, body: TopicMessage) -> Response:
    """Send to everybody who follows a topic, as bulk.

    One message for each device, so that suppressions, limits and history hold as ever; a single message
    with the address `topic:<name>` leaves that to FCM. With `platform`, to the devices of one only.
    """
    if body.channel is not Channel.PUSH:
        raise Invalid.of("channel", "must be push")
    wanted = (body.platform,) if body.platform else _PLATFORMS
    present = [platform for platform in wanted if next(app.topics.rows(topic, platform), None)]
    if not present:
        raise Invalid.of("topic", "is followed by no device in use that was seen lately")
    batches = [_batch(app, call, topic, body, platform) for platform in present]
    return answer(202, {"items": batches})


def _batch(app: App, call: Call, topic: str, body: TopicMessage, platform: Platform) -> dict[str, object]:
    key = call.idempotency_key
    accepted = app.messages.send_bulk(
        call.caller,
        body.model_copy(update={"platform": platform}).request(),
        app.topics.rows(topic, platform),
        idempotency_key=key and _key(key, platform),
        request_hash=lambda: call.fingerprint,
    )
    path = f"/v1/batches/{accepted.batch}"
    return {
        "platform": platform,
        "batch": accepted.batch,
        "received": accepted.received,
        "links": {"self": path},
    }


def _key(key: str, platform: Platform) -> str:
    """Make a key for each of a request's batches, however long the request's own is."""
    return hashlib.sha256(f"topic:{platform}:{key}".encode()).hexdigest()


def _told(topic: str, results: Sequence[TokenResult]) -> Response:
    counts = Counter(result.state for result in results)
    return answer(200, {"topic": topic, "counts": counts, "results": results})
