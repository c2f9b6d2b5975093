"""Breakers: which gateways are ill, known to all workers at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from app.db.redis import translated
from app.domain.vitals import Vitals
from app.domain.vocabulary import BreakerState, Channel
from app.limits import vitals as rings
from app.limits.scripts import Clock, milliseconds, script

_BUCKET = timedelta(seconds=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# While others probe, the rest looks again soon: three good answers take about a second.
_PROBED_BY_THEN = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """When a breaker opens, and how it closes.

    It opens at `faults` faults without a success between, which is how a gateway that went down shows
    under any load; or at `faults` faults within `window` that are `share` of the results, since at
    thousands a second a few faults among the successes mean nothing; or where `rate_share` of at least
    `rate_results` results in the last five to ten seconds are faults, which notices one that is half
    down long before a busy minute's share does. After `wait` it lets `probes` tries through at a
    time; `proof` good ones in a row close it, a fault doubles the wait up to `longest_wait`. A probe
    without an answer for `probe_timeout`, which must exceed a request's time-out, no longer counts.
    """

    faults: int = 5
    window: timedelta = timedelta(seconds=60)
    share: float = 0.1
    rate_results: int = 20
    rate_share: float = 0.5
    wait: timedelta = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(minutes=5)
    probes: int = 3
    probe_timeout: timedelta = timedelta(seconds=60)
    proof: int = 3


DEFAULT_RULE = Rule()
RULES: Mapping[Channel, Rule] = {Channel.SMS: Rule(faults=3, wait=timedelta(seconds=15))}


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A breaker went from one state to another; only whoever caused it gets to know.

    `at` is later than at any change of this breaker before it, so it tells which of two is the later one.
    `retry_at` is when an open one lets probes through.
    """

    channel: Channel
    gateway: str
    scope: str
    before: BreakerState
    after: BreakerState
    reason: str
    at: datetime
    retry_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """How many tries may go now. `probes` of them are told back to `Breakers.record`, sent or not.

    `retry_at` is when the others should look again; `change` is set where this opened the breaker to
    probes.
    """

    state: BreakerState
    admitted: int
    probes: int
    retry_at: datetime
    change: Change | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a breaker stands. An open one whose wait is over shows as half-open: it wants probes.

    `changed_at` orders it among changes; None where Redis does not know the breaker.
    """

    state: BreakerState = BreakerState.CLOSED
    reason: str = ""
    since: datetime | None = None
    retry_at: datetime | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    channel: Channel
    gateway: str
    scope: str = field(default="")

    @property
    def key(self) -> str:
        return f"breaker:{{{self.channel}:{self.gateway}:{self.scope}}}"


class Breakers:
    """All breakers, one for each (channel, gateway), or for a part of it that `scope` names (a sender).

    Every method is one round trip and may raise Unavailable. `clock` replaces the server's own clock
    in tests.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        rules: Mapping[Channel, Rule] = RULES,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._rules = rules
        self._clock = clock
        self._admit = script(client, "breaker", "breaker_admit")
        self._record = script(client, "breaker", "breaker_record")
        self._trip = script(client, "breaker", "breaker_trip")
        self._reset = script(client, "breaker", "breaker_reset")
        self._restore = script(client, "breaker", "breaker_restore")

    def admit(
        self, channel: Channel, gateway: str, wanted: int, *, urgent: bool = False, scope: str = ""
    ) -> Admission:
        """Ask for so many tries. What is `urgent` always gets them: nothing else is healthy."""
        place = _Place(channel=channel, gateway=gateway, scope=scope)
        pause = _PROBED_BY_THEN // timedelta(milliseconds=1)
        turn, before, after, admitted, probes, retry_at = self._admit(
            [place.key], [*self._figures(channel), wanted, int(urgent), pause]
        )
        return Admission(
            state=BreakerState(after),
            admitted=admitted,
            probes=probes,
            retry_at=_time(retry_at),
            change=_change(place, (turn, before, after, "The wait is over, probes may try")),
        )

    def record(
        self,
        channel: Channel,
        gateway: str,
        *,
        good: int,
        faults: int,
        probes: int = 0,
        scope: str = "",
        vitals: Vitals | None = None,
    ) -> Change | None:
        """Count results. `probes` as in the admission; those that were never sent count in it, too.

        `vitals` are what is counted beside, for people; they change nothing about the breaker.
        """
        place = _Place(channel=channel, gateway=gateway, scope=scope)
        keys, figures = (
            [place.key],
            [*self._figures(channel), good, faults, probes, self._rule(channel).proof],
        )
        if vitals is not None:
            keys.append(rings.ring_key(channel, gateway))
            figures += rings.figures(vitals)
        return _change(place, self._record(keys, figures))

    def vitals(self, places: Sequence[tuple[Channel, str]]) -> dict[tuple[Channel, str], list[rings.Step]]:
        """Give what was counted of each gateway in the last twenty minutes, in steps of ten seconds."""
        return rings.read(self._client, places)

    def trip(
        self, channel: Channel, gateway: str, reason: str, *, wait: timedelta | None = None, scope: str = ""
    ) -> Change | None:
        """Open it at once; probes follow after `wait`, else after the rule's."""
        place = _Place(channel=channel, gateway=gateway, scope=scope)
        own = "" if wait is None else wait // timedelta(milliseconds=1)
        return _change(place, self._trip([place.key], [*self._figures(channel), reason, own]))

    def reset(
        self, channel: Channel, gateway: str, reason: str = "Reset by hand", *, scope: str = ""
    ) -> Change | None:
        """Close it at once."""
        place = _Place(channel=channel, gateway=gateway, scope=scope)
        return _change(place, self._reset([place.key], [*self._figures(channel), reason]))

    def restore(
        self,
        channel: Channel,
        gateway: str,
        *,
        reason: str,
        retry_at: datetime,
        changed_at: datetime | None = None,
        scope: str = "",
    ) -> bool:
        """Open it as channel_health remembers, where Redis knows nothing; tells whether it did.

        Also where Redis knows only of changes before `changed_at`.
        """
        place = _Place(channel=channel, gateway=gateway, scope=scope)
        due = round(retry_at.timestamp() * 1000)
        turn = "" if changed_at is None else (changed_at - _EPOCH) // _MICROSECOND
        return bool(self._restore([place.key], [*self._figures(channel), reason, due, turn]))

    def states(
        self, pairs: Sequence[tuple[Channel, str]], *, scope: str = ""
    ) -> dict[tuple[Channel, str], Standing]:
        """Tell how these stand, for routing and for showing; changes nothing."""
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            for channel, gateway in pairs:
                key = _Place(channel=channel, gateway=gateway, scope=scope).key
                pipe.hmget(key, "state", "reason", "since", "retry_at", "turn")
            (seconds, microseconds), *known = pipe.execute()
        now = self._clock() if self._clock else _time(seconds * 1000 + microseconds // 1000)
        return {pair: _standing(now, values) for pair, values in zip(pairs, known, strict=True)}

    def _rule(self, channel: Channel) -> Rule:
        return self._rules.get(channel, DEFAULT_RULE)

    def _figures(self, channel: Channel) -> list[Any]:
        rule = self._rule(channel)
        return [
            milliseconds(self._clock),
            rule.faults,
            _BUCKET // timedelta(milliseconds=1),
            rule.window // _BUCKET,
            rule.share,
            rule.rate_results,
            rule.rate_share,
            rule.wait // timedelta(milliseconds=1),
            rule.longest_wait // timedelta(milliseconds=1),
            rule.probes,
            rule.probe_timeout // timedelta(milliseconds=1),
        ]


def _time(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _turn(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _change(place: _Place, answer: Sequence[Any]) -> Change | None:
    turn, before, after, reason, *due = answer
    if before == after:
        return None
    return Change(
        channel=place.channel,
        gateway=place.gateway,
        scope=place.scope,
        before=BreakerState(before),
        after=BreakerState(after),
        reason=reason,
        at=_turn(turn),
        retry_at=_time(due[0]) if due else None,
    )


def _standing(now: datetime, values: Sequence[str | None]) -> Standing:
    state, reason, since, retry_at, turn = values
    changed_at = _turn(int(turn)) if turn else None
    if state is None or since is None or retry_at is None:
        return Standing(changed_at=changed_at)
    due = _time(float(retry_at))
    return Standing(
        state=BreakerState.HALF_OPEN if due <= now else BreakerState(state),
        reason=reason or "",
        since=_time(float(since)),
        retry_at=due,
        changed_at=changed_at,
    )
