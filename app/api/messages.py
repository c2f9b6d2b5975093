"""/v1/messages: send, look, search, cancel, report."""

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from flask import Response

from app.api import problems
from app.api.answers import answer, members
from app.api.calls import Call
from app.api.models.answers import Sent
from app.api.models.messages import Message, ReportedEvent, Search, SendMessage
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.domain.vocabulary import Status
from app.services.metrics import observe_accept
from app.services.previewing import Preview
from app.services.views import Accepted, EventReported, EventView, MessageView, Page

resource = Resource("messages", "Send one message, look how it fares, cancel it, tell what came of it.")

REPLAYED = {"Idempotency-Replayed": "`true` where this is the first request's answer given again"}
_LOCATION = {"Location": "Where the message can be looked up"}


@resource.operation(
    "POST",
    "/v1/messages",
    scope="messages:send",
    body=SendMessage,
    with_files=True,
    idempotent=True,
    hot=True,
    problems=(problems.NO_GATEWAY,),
    replies={
        202: Reply("Accepted, and safe", Sent, headers=REPLAYED | _LOCATION),
        200: Reply(
            "The address may not be contacted; `reason` says why. It was recorded, and nothing is sent.",
            Sent,
            headers=REPLAYED | _LOCATION,
        ),
    },
)
def send(app: App, call: Call, body: SendMessage) -> Response:
    """Send one message.

    The answer comes when the message is on disk. P0 needs a scope of its own. A push without an address
    becomes one message for each device of the recipient that is in use. With a `sequence`, this message is
    its first step; those behind it are sent as long as none has arrived.
    """
    started = time.perf_counter()
    accepted, sequence = _accepted(app, call, body)
    took = timedelta(seconds=time.perf_counter() - started)
    observe_accept(accepted.priority, took)
    _trace(app, call, body, accepted, took)
    content = _sent(accepted)
    if accepted.messages:
        content["messages"] = [_sent(message) for message in accepted.messages]
    path = content["links"]["self"]
    if sequence is not None:
        content["sequence"] = sequence
        content["links"]["sequence"] = f"/v1/sequences/{sequence}"
    status = 200 if accepted.status is Status.SUPPRESSED and sequence is None else 202
    return answer(status, content, headers={"Location": path, **replayed(is_replay=accepted.replayed)})


@resource.operation(
    "POST",
    "/v1/messages/preview",
    scope="messages:send",
    body=Message,
    with_files=True,
    problems=(problems.NO_GATEWAY,),
    replies={200: Reply("As it would be sent, and at what cost", Preview)},
)
def preview(app: App, call: Call, body: Message) -> Response:
    """See a message before it is sent.

    It is checked as if it were sent. For SMS the encoding, the segments and the characters that make it
    longer are told. Nothing is kept, and suppressions are not looked up.
    """
    return answer(200, app.messages.preview(call.caller, body.request()))


@resource.operation(
    "GET",
    "/v1/messages",
    scope="messages:read",
    query=Search,
    replies={
        200: Reply("One page, newest first; `next` is the cursor of the page behind it", Page[MessageView])
    },
)
def search(app: App, call: Call, query: Search) -> Response:
    """Find messages.

    By the caller's own reference, the recipient, status, time and more. `events` are empty here.
    """
    page = app.messages.search(call.caller, query.filters(), cursor=query.cursor, limit=query.limit)
    return answer(200, page)


@resource.operation(
    "GET",
    "/v1/messages/<uuid:uuid>",
    scope="messages:read",
    replies={200: Reply("The message with its history", MessageView, linked=True)},
)
def look(app: App, call: Call, uuid: UUID) -> Response:
    """Look at a message."""
    return _message(app.messages.get_status(call.caller, uuid))


@resource.operation(
    "DELETE",
    "/v1/messages/<uuid:uuid>",
    scope="messages:send",
    problems=(problems.CONFLICT,),
    replies={200: Reply("Cancelled", MessageView, linked=True)},
)
def cancel(app: App, call: Call, uuid: UUID) -> Response:
    """Cancel a message.

    Only one that is still pending; otherwise the conflict names its state.
    """
    return _message(app.messages.cancel(call.caller, uuid))


@resource.operation(
    "POST",
    "/v1/messages/<uuid:uuid>/events",
    scope="messages:send",
    body=ReportedEvent,
    idempotent=True,
    replies={201: Reply("Recorded", EventReported, headers=REPLAYED)},
)
def report(app: App, call: Call, uuid: UUID, body: ReportedEvent) -> Response:
    """Report what became of a message.

    Counts once for each idempotency key.
    """
    reported = app.messages.report_event(
        call.caller,
        uuid,
        body.event_type,
        body.data,
        idempotency_key=call.idempotency_key,
        request_hash=call.fingerprint,
    )
    return answer(201, reported, headers=replayed(is_replay=reported.replayed))


@resource.operation(
    "GET",
    "/v1/messages/<uuid:uuid>/events",
    scope="messages:read",
    replies={200: Reply("All of its history, in order", Page[EventView])},
)
def events(app: App, call: Call, uuid: UUID) -> Response:
    """List a message's events."""
    return answer(200, Page(items=app.messages.get_status(call.caller, uuid).events))


def replayed(*, is_replay: bool) -> dict[str, str]:
    """Give the header that tells of an answer given again."""
    return {"Idempotency-Replayed": "true"} if is_replay else {}


def _accepted(app: App, call: Call, body: SendMessage) -> tuple[Accepted, UUID | None]:
    """Accept the message, and what is to follow it; gives the sequence's uuid where there is one."""
    key, digest = call.idempotency_key, call.fingerprint
    request = body.request()
    if body.sequence is None:
        sent = app.messages.send(call.caller, request, idempotency_key=key, request_hash=digest)
        return sent, None
    begun = app.sequences.start(call.caller, request, body.steps(), idempotency_key=key, request_hash=digest)
    return begun.accepted, begun.sequence


def _trace(app: App, call: Call, body: SendMessage, accepted: Accepted, took: timedelta) -> None:
    """Name the message in the request's line of the log, and begin its trace where there are any."""
    structlog.contextvars.bind_contextvars(message=str(accepted.uuid))
    if app.traces is None or accepted.replayed:
        return
    attributes = {
        "tocsin.priority": accepted.priority.value,
        "tocsin.channel": body.channel.value,
        "tocsin.status": accepted.status.value,
        "tocsin.client": call.caller.name,
        "tocsin.request_id": call.request_id,
    }
    for each in accepted.messages or (accepted,):
        app.traces.accepted(each.uuid, attributes, took=took, caller=call.environ.get("HTTP_TRACEPARENT"))


def _sent(accepted: Accepted) -> dict[str, Any]:
    path = f"/v1/messages/{accepted.uuid}"
    return {
        "uuid": accepted.uuid,
        "status": accepted.status,
        "priority": accepted.priority,
        "gateway": accepted.gateway,
        "reason": accepted.reason,
        "links": {"self": path, "events": f"{path}/events"},
    }


def _message(view: MessageView) -> Response:
    return answer(200, members(view) | {"links": {"self": f"/v1/messages/{view.uuid}"}})
