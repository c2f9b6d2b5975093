"""/v1/dead-letters: what was not sent and why, sending it after all, deciding about what is unknown."""

from uuid import UUID

from flask import Response

from app.api import problems
from app.api.answers import answer
from app.api.calls import Call
from app.api.models.dead_letters import (
    DeadLetters,
    DeadLettersPage,
    Decide,
    DecideOne,
    NewReplay,
    ReplayOne,
    Stop,
)
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.domain.callers import Caller
from app.services.dead_letter_views import Counted, DeadLetter, Decided, Reasons, ReplayView
from app.services.views import MessageView, Page

resource = Resource("dead_letters", "What was not sent: why, and how it is sent after all.")


@resource.operation(
    "GET",
    "/v1/dead-letters",
    scope="messages:read",
    query=DeadLettersPage,
    replies={200: Reply("One page, newest first; `next` is the cursor behind it", Page[DeadLetter])},
)
def search(app: App, call: Call, query: DeadLettersPage) -> Response:
    """List what failed, expired or is held.

    A look is bounded, so a page may have few items or none and still be followed by another. What was
    cancelled is listed by `status=cancelled`.
    """
    page = app.dead_letters.page(
        query.criteria(), owner=_owner(call.caller), cursor=query.cursor, limit=query.limit
    )
    return answer(200, page)


@resource.operation(
    "GET",
    "/v1/dead-letters/reasons",
    scope="messages:read",
    query=DeadLetters,
    replies={200: Reply("Reasons, the most frequent first", Reasons)},
)
def reasons(app: App, call: Call, query: DeadLetters) -> Response:
    """Count by reason.

    The newest ten thousand of each state are looked at; `complete` says whether these were all.
    """
    return answer(200, app.dead_letters.reasons(query.criteria(), owner=_owner(call.caller)))


@resource.operation(
    "POST",
    "/v1/dead-letters/replay",
    scope="messages:replay",
    body=NewReplay,
    problems=(problems.KEY_REUSED,),
    replies={
        200: Reply("How many it would be; nothing was changed", Counted),
        202: Reply("It is under way, or was asked for before", ReplayView),
    },
)
def replay(app: App, call: Call, body: NewReplay) -> Response:
    """Send messages that failed, expired or were cancelled after all.

    Each leaves once, `per_second` of them, with all its rounds and its whole time before it. Suppressions
    are looked up again before each is sent.
    """
    owner = _owner(call.caller)
    if body.dry_run:
        return answer(200, app.dead_letters.count(body.criteria(), owner=owner))
    begun = app.dead_letters.replay(
        call.who,
        body.criteria(),
        owner=owner,
        why=body.why,
        per_second=body.per_second,
        gateway=body.through,
        replay_id=body.replay_id,
    )
    return answer(202, begun)


@resource.operation(
    "GET",
    "/v1/dead-letters/replays",
    scope="messages:read",
    replies={200: Reply("The latest fifty", Page[ReplayView])},
)
def replays(app: App, call: Call) -> Response:
    """List replays."""
    return answer(200, Page(items=app.dead_letters.replays(owner=_owner(call.caller))))


@resource.operation(
    "GET",
    "/v1/dead-letters/replays/<uuid:uuid>",
    scope="messages:read",
    replies={200: Reply("The replay", ReplayView)},
)
def look_at_replay(app: App, call: Call, uuid: UUID) -> Response:
    """Look how far a replay is."""
    return answer(200, app.dead_letters.replay_state(uuid, owner=_owner(call.caller)))


@resource.operation(
    "DELETE",
    "/v1/dead-letters/replays/<uuid:uuid>",
    scope="messages:replay",
    query=Stop,
    problems=(problems.CONFLICT,),
    replies={200: Reply("Nothing more is put back", ReplayView)},
)
def stop_replay(app: App, call: Call, uuid: UUID, query: Stop) -> Response:
    """Stop a replay.

    What it has put back already stays in the queue.
    """
    return answer(200, app.dead_letters.stop_replay(call.who, uuid, owner=_owner(call.caller), why=query.why))


@resource.operation(
    "POST",
    "/v1/dead-letters/decide",
    scope="messages:replay",
    body=Decide,
    replies={200: Reply("About how many it was decided, or would be", Decided)},
)
def decide(app: App, call: Call, body: Decide) -> Response:
    """Decide about held messages: `sent`, `resend`, `give_up` or `cancel`.

    Nobody knows whether these were sent. What a gateway proves meanwhile wins over the decision.
    """
    owner = _owner(call.caller)
    if body.dry_run:
        counted = app.dead_letters.count(body.criteria(), owner=owner)
        return answer(200, Decided(decision=body.decision, count=counted.count))
    decided = app.held_decisions.decide(call.who, body.criteria(), body.decision, owner=owner, why=body.why)
    return answer(200, decided)


@resource.operation(
    "POST",
    "/v1/messages/<uuid:uuid>/replay",
    scope="messages:replay",
    body=ReplayOne,
    problems=(problems.CONFLICT,),
    replies={200: Reply("It is in the queue again", MessageView)},
)
def replay_one(app: App, call: Call, uuid: UUID, body: ReplayOne) -> Response:
    """Send one message after all, through another gateway where `through` names one."""
    app.dead_letters.replay_one(call.who, uuid, owner=_owner(call.caller), why=body.why, gateway=body.through)
    return answer(200, app.messages.get_status(call.caller, uuid))


@resource.operation(
    "POST",
    "/v1/messages/<uuid:uuid>/decision",
    scope="messages:replay",
    body=DecideOne,
    problems=(problems.CONFLICT,),
    replies={200: Reply("It is done", MessageView)},
)
def decide_one(app: App, call: Call, uuid: UUID, body: DecideOne) -> Response:
    """Decide about one held message."""
    app.held_decisions.decide_one(call.who, uuid, body.decision, owner=_owner(call.caller), why=body.why)
    return answer(200, app.messages.get_status(call.caller, uuid))


def _owner(caller: Caller) -> int | None:
    """Say whose messages alone are meant: the caller's own, but an admin may mean everybody's."""
    return None if caller.may("admin") else caller.client_id
