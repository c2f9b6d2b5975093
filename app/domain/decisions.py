"""What becomes of a message after a try: pure rules from an outcome to the next state."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.domain.lanes import Lane
from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, EventType, OutcomeClass, Status, SuppressionReason

# A gateway's own "not so fast" is waited for when it is short; else another gateway is quicker.
SHORT_WAIT = timedelta(seconds=60)
UNSAID_WAIT = timedelta(seconds=5)

# How long a message waits when every gateway refuses for reasons of our own configuration.
MISCONFIGURED_WAIT = timedelta(seconds=60)

# Where nothing is left but gateways that are known to be ill, a message that always tries does so this often
# in its lane's time.
ILL_TRIES = 60

# Retries that fell due together shall not come back together: up to this share is added by chance.
JITTER = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a message stands when an outcome comes in.

    `gateway` made the try, `tried` had theirs earlier in this round, `chain` are all that fit, in order.
    An `ill` gateway takes no more for now: its breaker is not closed.
    """

    gateway: str
    chain: Sequence[str]
    tried: Sequence[str]
    attempts: int
    max_attempts: int
    expires_at: datetime
    possible_duplicate: bool = False
    ill: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One line for the event log, about a message that is known from elsewhere."""

    event_type: EventType
    gateway: str | None = None
    outcome: OutcomeClass | None = None
    code: str = ""
    detail: str = ""
    external_id: str | None = None
    data: dict[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The next state of a message, to be written in one conditional statement.

    `delay` (from now) is set for `pending` only; `at_once` says that the failover actor shall take it
    on now. `extends` moves `expires_at`, for time that we made the message wait. `as_of` is since when
    what is suppressed is known to be gone.
    """

    status: Status
    gateway: str | None = None
    external_id: str | None = None
    delay: timedelta = timedelta(0)
    at_once: bool = False
    extends: timedelta = timedelta(0)
    attempts: int = 0
    tried: tuple[str, ...] = ()
    possible_duplicate: bool = False
    error: str | None = None
    error_class: OutcomeClass | None = None
    suppress: SuppressionReason | None = None
    by_sender: bool = False
    as_of: datetime | None = None
    events: tuple[Event, ...] = ()


def decide(outcome: Outcome, standing: Standing, lane: Lane, now: datetime, chance: float) -> Decision:
    """Decide by the outcome's class; `chance` in [0, 1) spreads retries."""
    return _RULES[outcome.kind](outcome, standing, lane, now, chance)


def put_back(
    standing: Standing,
    lane: Lane,
    delay: timedelta,
    now: datetime,
    *,
    reason: str = "",
    by_us: bool = True,
) -> Decision:
    """Decide for a message that waits through no fault of its own: no attempt is used.

    Where it was throttled or stopped `by_us`, and its lane is not on the clock, the wait does not count
    against the message's time.
    """
    extends = delay if by_us and not lane.on_clock else timedelta(0)
    if now + delay >= standing.expires_at + extends:
        return _expired(standing, reason or None, None, ())
    return Decision(
        status=Status.PENDING,
        gateway=standing.gateway,
        delay=delay,
        extends=extends,
        attempts=standing.attempts,
        tried=tuple(standing.tried),
        possible_duplicate=standing.possible_duplicate,
        error=reason or None,
    )


def _accepted(outcome: Outcome, standing: Standing, _lane: Lane, _now: datetime, _chance: float) -> Decision:
    return Decision(
        status=Status.SENT,
        gateway=standing.gateway,
        external_id=outcome.external_id,
        attempts=standing.attempts,
        tried=tuple(standing.tried),
        possible_duplicate=standing.possible_duplicate,
        events=(_event(EventType.SENT, outcome, standing),),
    )


def _recipient(outcome: Outcome, standing: Standing, _lane: Lane, _now: datetime, _chance: float) -> Decision:
    reason = SuppressionReason.UNSUBSCRIBE if outcome.opt_out else SuppressionReason.BOUNCE_HARD
    return replace(
        _failed(outcome, standing), suppress=reason, by_sender=outcome.opt_out, as_of=outcome.as_of
    )


def _content(outcome: Outcome, standing: Standing, _lane: Lane, _now: datetime, _chance: float) -> Decision:
    return _failed(outcome, standing)


def _unreachable(outcome: Outcome, standing: Standing, lane: Lane, now: datetime, chance: float) -> Decision:
    decision = _next_round(outcome, standing, lane, now, chance)
    if decision.status is Status.FAILED:
        return replace(decision, suppress=SuppressionReason.BOUNCE_SOFT)
    return decision


def _config(outcome: Outcome, standing: Standing, lane: Lane, now: datetime, _chance: float) -> Decision:
    following = _untried(standing)
    if following:
        return _fail_over(outcome, standing, following)
    if outcome.scope is ConfigScope.DESTINATION:
        return _failed(outcome, standing)
    return _wait(outcome, standing, lane, MISCONFIGURED_WAIT, now, by_us=False)


def _throttle(outcome: Outcome, standing: Standing, lane: Lane, now: datetime, _chance: float) -> Decision:
    wait = UNSAID_WAIT if outcome.retry_after is None else outcome.retry_after
    following = _untried(standing)
    impatient = (
        lane.always_tries or wait > SHORT_WAIT or (lane.on_clock and now + wait >= standing.expires_at)
    )
    if impatient and following:
        return _fail_over(outcome, standing, following)
    return _wait(outcome, standing, lane, wait, now, by_us=True)


def _transient(outcome: Outcome, standing: Standing, lane: Lane, now: datetime, chance: float) -> Decision:
    following = _untried(standing)
    if (lane.urgent or standing.ill) and following:
        return _fail_over(outcome, standing, following)
    if standing.ill and lane.always_tries and outcome.kind is OutcomeClass.TRANSIENT:
        # That it was tried anyway shall not use its attempts up while nobody could have taken it.
        wait = lane.max_age / ILL_TRIES * (1 + JITTER * chance)
        return _wait(outcome, standing, lane, wait, now, by_us=False)
    return _next_round(outcome, standing, lane, now, chance)


def _unknown(outcome: Outcome, standing: Standing, lane: Lane, now: datetime, chance: float) -> Decision:
    if lane.unknown == "resend":
        return _transient(outcome, replace(standing, possible_duplicate=True), lane, now, chance)
    return Decision(
        status=Status.HELD,
        gateway=standing.gateway,
        attempts=standing.attempts,
        tried=tuple(standing.tried),
        possible_duplicate=standing.possible_duplicate,
        error=_words(outcome),
        error_class=outcome.kind,
        events=(_event(EventType.HELD, outcome, standing),),
    )


_RULES = {
    OutcomeClass.ACCEPTED: _accepted,
    OutcomeClass.RECIPIENT: _recipient,
    OutcomeClass.UNREACHABLE: _unreachable,
    OutcomeClass.CONTENT: _content,
    OutcomeClass.CONFIG: _config,
    OutcomeClass.THROTTLE: _throttle,
    OutcomeClass.TRANSIENT: _transient,
    OutcomeClass.UNKNOWN: _unknown,
}


def _untried(standing: Standing) -> str | None:
    had = {standing.gateway, *standing.tried}
    return next((gateway for gateway in standing.chain if gateway not in had), None)


def _fail_over(outcome: Outcome, standing: Standing, following: str) -> Decision:
    return Decision(
        status=Status.PENDING,
        gateway=following,
        at_once=True,
        attempts=standing.attempts,
        tried=(*standing.tried, standing.gateway),
        possible_duplicate=standing.possible_duplicate,
        error=_words(outcome),
        error_class=outcome.kind,
        events=(
            _event(EventType.ATTEMPT_FAILED, outcome, standing),
            Event(event_type=EventType.FAILED_OVER, gateway=following, data={"from": standing.gateway}),
        ),
    )


def _next_round(outcome: Outcome, standing: Standing, lane: Lane, now: datetime, chance: float) -> Decision:
    attempts = standing.attempts + 1
    if attempts >= standing.max_attempts:
        return replace(_failed(outcome, standing), attempts=attempts)
    delay = lane.backoff[min(attempts, len(lane.backoff)) - 1] * (1 + JITTER * chance)
    tried_event = _event(EventType.ATTEMPT_FAILED, outcome, standing)
    if now + delay >= standing.expires_at:
        return _expired(standing, _words(outcome), outcome.kind, (tried_event,))
    return Decision(
        status=Status.PENDING,
        gateway=standing.chain[0] if standing.chain else standing.gateway,
        delay=delay,
        attempts=attempts,
        possible_duplicate=standing.possible_duplicate,
        error=_words(outcome),
        error_class=outcome.kind,
        events=(tried_event,),
    )


def _wait(
    outcome: Outcome, standing: Standing, lane: Lane, wait: timedelta, now: datetime, *, by_us: bool
) -> Decision:
    decision = put_back(standing, lane, wait, now, by_us=by_us)
    return replace(
        decision,
        tried=(),
        error=_words(outcome),
        error_class=outcome.kind,
        events=(_event(EventType.ATTEMPT_FAILED, outcome, standing), *decision.events),
    )


def _failed(outcome: Outcome, standing: Standing) -> Decision:
    return Decision(
        status=Status.FAILED,
        gateway=standing.gateway,
        attempts=standing.attempts,
        tried=tuple(standing.tried),
        possible_duplicate=standing.possible_duplicate,
        error=_words(outcome),
        error_class=outcome.kind,
        events=(_event(EventType.FAILED, outcome, standing),),
    )


def _expired(
    standing: Standing, error: str | None, error_class: OutcomeClass | None, before: tuple[Event, ...]
) -> Decision:
    return Decision(
        status=Status.EXPIRED,
        gateway=standing.gateway,
        attempts=standing.attempts,
        tried=tuple(standing.tried),
        possible_duplicate=standing.possible_duplicate,
        error=error,
        error_class=error_class,
        events=(*before, Event(event_type=EventType.EXPIRED)),
    )


def _event(event_type: EventType, outcome: Outcome, standing: Standing) -> Event:
    return Event(
        event_type=event_type,
        gateway=standing.gateway,
        outcome=outcome.kind,
        code=outcome.code,
        detail=outcome.detail,
        external_id=outcome.external_id,
        data={"possible_duplicate": True} if standing.possible_duplicate else {},
    )


def _words(outcome: Outcome) -> str:
    return f"{outcome.code}: {outcome.detail}" if outcome.code else outcome.detail
