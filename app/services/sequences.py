"""Sequences: a message, and others that follow until one of them reaches its recipient."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.callers import Caller
from app.domain.vocabulary import Status
from app.errors import Conflict, Fault, Invalid
from app.queue import PACKAGE
from app.services import idempotency, request_json
from app.services.accepting import prepared
from app.services.catalog import Catalog
from app.services.device_sending import (
    accept_within,
    goes_to_devices,
    keep_answer,
    known_answer,
    replayed,
    told,
)
from app.services.following import StepDraft, request_of
from app.services.planning import plan, variable_faults
from app.services.requests import SendRequest
from app.services.sequence_views import SequenceView, read
from app.services.views import Accepted
from app.settings import Settings
from app.wake import Wake

MOST_STEPS = 10
LONGEST_WAIT = timedelta(days=7)


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """The answer to a message with a sequence behind it."""

    sequence: UUID
    accepted: Accepted


class SequenceService:
    """Starting sequences, looking at them, stopping them. Raises Unavailable where PostgreSQL is down."""

    def __init__(self, engine: sa.Engine, catalog: Catalog, wake: Wake, settings: Settings) -> None:
        self._engine = engine
        self._catalog = catalog
        self._wake = wake
        self._settings = settings

    def start(
        self,
        caller: Caller,
        request: SendRequest,
        steps: Sequence[StepDraft],
        *,
        idempotency_key: str | None = None,
        request_hash: bytes = b"",
    ) -> Started:
        """Accept the first message together with what is to follow it, all or nothing.

        Raises what MessageService.send does; faults of later steps are under `sequence.<number>`.
        """
        idempotency.check_key(idempotency_key)
        request_hash = b"sequence:" + request_hash
        with unavailable_when_down():
            requests = self._checked(caller, request, steps)
            with self._engine.begin() as conn:
                known = known_answer(conn, caller, idempotency_key, request_hash)
                if known is not None:
                    return Started(sequence=UUID(known["sequence"]), accepted=replayed(known))
                accepted = accept_within(conn, self._catalog, self._settings, caller, request)
                sequence = _begin(conn, caller, request, list(zip(steps, requests, strict=True)))
                _note(conn, sequence.id, 1, accepted)
                answer = told(accepted) | {"sequence": str(sequence.uuid)}
                keep_answer(conn, caller, idempotency_key, request_hash, answer)
        wake_of(self._wake, accepted)
        return Started(sequence=sequence.uuid, accepted=accepted)

    def get(self, caller: Caller, uuid: UUID) -> SequenceView:
        """Give a sequence with its steps and their messages; raises NotFound."""
        with unavailable_when_down(), self._engine.connect() as conn:
            return read(conn, caller, uuid)

    def cancel(self, caller: Caller, uuid: UUID) -> SequenceView:
        """Stop a running sequence: nothing more of it is sent, and what is still pending is cancelled.

        Raises NotFound, and Conflict that names its state.
        """
        whose = {"client_id": caller.client_id, "all": caller.may("admin")}
        with unavailable_when_down(), self._engine.begin() as conn:
            done = run(conn, PACKAGE, "cancel_sequence", {"uuid": uuid, **whose}).one_or_none()
            view = read(conn, caller, uuid)
            if done is None:
                raise Conflict(f"only a running sequence can be cancelled; this one is {view.state}")
            for message in [message for step in view.steps for message in step.messages]:
                run(conn, PACKAGE, "cancel", {"uuid": message.uuid, "source": "api", **whose})
            return read(conn, caller, uuid)

    def _checked(self, caller: Caller, request: SendRequest, steps: Sequence[StepDraft]) -> list[SendRequest]:
        """Give the later steps' requests; raises Invalid with the faults of all steps, the first's too."""
        found = [*_step_faults(steps), *self._faults(caller, request)]
        requests = [request_of(request, step) for step in steps]
        for number, each in enumerate(requests):
            found += [
                Fault(f"sequence.{number}.{fault.field}", fault.message)
                for fault in self._faults(caller, each)
            ]
        if found:
            raise Invalid(found)
        return requests

    def _faults(self, caller: Caller, request: SendRequest) -> Sequence[Fault]:
        """Judge a request as accepting will; which devices a person has is only looked up then."""
        try:
            if goes_to_devices(request):
                return self._faults_but_devices(caller, request)
            prepared(caller, request, self._catalog, self._settings)
        except Invalid as exc:
            return exc.faults
        return ()

    def _faults_but_devices(self, caller: Caller, request: SendRequest) -> Sequence[Fault]:
        the_plan, found = plan(caller, request, self._catalog, self._settings, datetime.now(UTC))
        if request.recipient_id is None:
            found.append(Fault("recipient_id", "is missing: give it, or a recipient_address"))
        return [*found, *variable_faults(the_plan, request.data)]


def wake_of(wake: Wake, accepted: Accepted) -> None:
    """Tell of all messages that a request came to and that can be sent."""
    for each in accepted.messages or (accepted,):
        if each.status is Status.PENDING and each.message is not None:
            wake.accepted(each.priority, each.message)


def _step_faults(steps: Sequence[StepDraft]) -> list[Fault]:
    found = []
    if not 1 <= len(steps) <= MOST_STEPS:
        found.append(Fault("sequence", f"must have 1 to {MOST_STEPS} steps"))
    for number, step in enumerate(steps):
        if not timedelta(0) < step.after <= LONGEST_WAIT:
            most = int(LONGEST_WAIT.total_seconds())
            found.append(Fault(f"sequence.{number}.after_seconds", f"must be from 1 to {most}"))
    return found


def _begin(
    conn: sa.Connection, caller: Caller, first: SendRequest, following: list[tuple[StepDraft, SendRequest]]
) -> sa.Row[Any]:
    steps = [step for step, _ in following]
    parameters = {
        "client_id": caller.client_id,
        "scopes": sorted(caller.scopes),
        "scheduled_for": first.scheduled_for,
        "positions": list(range(1, len(steps) + 2)),
        "channels": [first.channel.value, *(step.channel.value for step in steps)],
        "untils": ["delivered", *(step.until for step in steps)],
        "afters": [timedelta(0), *(step.after for step in steps)],
        "requests": [None, *(request_json.spelled(request) for _, request in following)],
    }
    return run(conn, PACKAGE, "begin_sequence", parameters).one()


def _note(conn: sa.Connection, sequence: int, position: int, accepted: Accepted) -> None:
    """Note the messages of a step that was on time."""
    note_step(conn, sequence, position, accepted, late=timedelta(0))


def note_step(
    conn: sa.Connection,
    sequence: int,
    position: int,
    accepted: Accepted | None,
    *,
    late: timedelta,
) -> None:
    """Note what a taken step came to; None where it was skipped."""
    messages = (accepted.messages or (accepted,)) if accepted else ()
    parameters = {
        "sequence": sequence,
        "position": position,
        "ids": [message.message for message in messages],
        "uuids": [message.uuid for message in messages],
        "priority": accepted.priority.value if accepted else None,
        "late": late,
        "skipped": accepted is None,
    }
    run(conn, PACKAGE, "note_step", parameters)
