"""What facts do to one message: its next state, the lines in its history, who is suppressed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from app.domain.decisions import Decision, Event, decide
from app.domain.facts import Fact
from app.domain.outcomes import Outcome
from app.domain.transitions import Move, Told, move
from app.domain.vocabulary import (
    Channel,
    ConfigScope,
    EventType,
    OutcomeClass,
    Priority,
    Status,
    SuppressionReason,
)
from app.queue.rows import Claimed
from app.services.recording.heard import Heard
from app.services.sending.tools import Tools
from app.services.sending.ways import chain_of, standing_of
from app.services.suppressing import Blame

_MOVED_TO = {
    Move.SENT: Status.SENT,
    Move.DELIVERED: Status.DELIVERED,
    Move.BOUNCED: Status.BOUNCED,
    Move.FAILED: Status.FAILED,
}

_REASONS = {
    (EventType.BOUNCED, OutcomeClass.RECIPIENT): SuppressionReason.BOUNCE_HARD,
    (EventType.FAILED, OutcomeClass.RECIPIENT): SuppressionReason.BOUNCE_HARD,
    (EventType.BOUNCED, OutcomeClass.UNREACHABLE): SuppressionReason.BOUNCE_SOFT,
    (EventType.COMPLAINED, None): SuppressionReason.COMPLAINT,
    (EventType.UNSUBSCRIBED, None): SuppressionReason.UNSUBSCRIBE,
}


class Line(NamedTuple):
    """One line for the event log, and what it says.

    `heard` is the fact behind it, None where it follows from one. A tuple, for there are thousands at a time.
    """

    event_type: EventType
    gateway: str | None
    says: Fact | Event
    attempt: int
    at: datetime
    heard: Heard | None = None


@dataclass(kw_only=True, slots=True)
class Effect:
    """Everything that facts do to one message. `decision` is set where its state changes."""

    message: Claimed
    found: Status
    status: Status
    decision: Decision | None = None
    at: datetime | None = None
    external_id: str | None = None
    lines: list[Line] = field(default_factory=list)
    blames: Sequence[Blame] = ()
    later: Sequence[Heard] = ()


def effect_of(tools: Tools, message: Claimed, found: Status, error_class: str | None) -> "Effecting":
    """Begin with the message as it was found; `error_class` is that of its last error."""
    unknown = message.possible_duplicate or error_class == OutcomeClass.UNKNOWN
    return Effecting(tools, message, found, unknown=unknown)


class Effecting:
    """Folds facts into the effect on one message, in the order they were told."""

    def __init__(self, tools: Tools, message: Claimed, found: Status, *, unknown: bool) -> None:
        self._tools = tools
        self._unknown = unknown
        self.effect = Effect(message=message, found=found, status=found)

    def add(self, heard: Heard) -> None:
        """Take one more fact in."""
        fact, effect = heard.fact, self.effect
        told = Told(
            event_type=fact.event_type,
            outcome=fact.outcome,
            current=fact.tag is None or fact.tag.attempt == effect.message.tries,
            unknown=self._unknown,
        )
        step = move(effect.status, told)
        if step is Move.LATER:
            effect.later = (*effect.later, heard)
            return
        self._log(heard, retried=step is Move.RETRY)
        self._blame(heard)
        if step is Move.RETRY:
            self._retry(heard)
        elif step is not Move.NONE:
            self._move(heard, _MOVED_TO[step])

    def _move(self, heard: Heard, status: Status) -> None:
        fact, effect = heard.fact, self.effect
        bad = status in (Status.BOUNCED, Status.FAILED)
        message = effect.message
        effect.status = status
        effect.at = fact.occurred_at
        effect.external_id = fact.external_id or effect.external_id
        effect.decision = Decision(
            status=status,
            gateway=self._through(heard),
            attempts=message.attempts,
            tried=tuple(message.tried),
            possible_duplicate=message.possible_duplicate,
            error=(f"{fact.code}: {fact.detail}" if fact.code else fact.detail) if bad else None,
            error_class=fact.outcome if bad else None,
        )
        if status is Status.DELIVERED and fact.event_type is not EventType.DELIVERED:
            inferred = Event(event_type=EventType.DELIVERED, gateway=heard.gateway, data={"inferred": True})
            self._add_line(inferred, heard, at=fact.occurred_at)

    def _through(self, heard: Heard) -> str | None:
        """Name the gateway that has the message; apps that report their pushes to us are none."""
        named = heard.fact.gateway is not None or heard.gateway in self._tools.gateways
        return heard.gateway if named else None

    def _retry(self, heard: Heard) -> None:
        fact, effect = heard.fact, self.effect
        # The gateway has taken it and thought again: nobody's account or sender is at fault for sure.
        outcome = Outcome(
            kind=fact.outcome or OutcomeClass.TRANSIENT,
            code=fact.code,
            detail=fact.detail,
            scope=ConfigScope.SENDER if fact.outcome is OutcomeClass.CONFIG else None,
        )
        chain = chain_of(self._tools, effect.message)
        standing = standing_of(effect.message, heard.gateway, chain)
        lane = self._tools.lanes[Priority(effect.message.priority)]
        decision = decide(outcome, standing, lane, self._tools.now(), self._tools.chance())
        effect.decision = decision
        effect.status = decision.status
        effect.at = fact.occurred_at
        for event in decision.events:
            if event.event_type is not EventType.ATTEMPT_FAILED:
                self._add_line(event, heard, at=self._tools.now())

    def _add_line(self, event: Event, heard: Heard, *, at: datetime) -> None:
        """Add what follows from a fact."""
        line = Line(event.event_type, event.gateway, event, self._attempt(heard), at)
        self.effect.lines.append(line)

    def _log(self, heard: Heard, *, retried: bool) -> None:
        fact = heard.fact
        event_type = EventType.ATTEMPT_FAILED if retried else fact.event_type
        line = Line(event_type, heard.gateway, fact, self._attempt(heard), fact.occurred_at, heard)
        self.effect.lines.append(line)

    def _blame(self, heard: Heard) -> None:
        fact, message = heard.fact, self.effect.message
        reason = _REASONS.get((fact.event_type, fact.outcome))
        if reason is None:
            return
        # What holds for one sender holds for all that it sends.
        unsubscribed = reason is SuppressionReason.UNSUBSCRIBE and fact.sender is None
        blame = Blame(
            message=message.id,
            channel=Channel(message.channel),
            address=message.recipient_address,
            reason=reason,
            source=heard.gateway,
            community=message.community_id if unsubscribed else None,
            category=message.category if unsubscribed else None,
            sender=fact.sender,
            as_of=fact.occurred_at,
        )
        self.effect.blames = (*self.effect.blames, blame)

    def _attempt(self, heard: Heard) -> int:
        return heard.fact.tag.attempt if heard.fact.tag else self.effect.message.tries
