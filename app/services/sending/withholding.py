"""Messages that an operator has stopped: back into the queue, as if they had not been claimed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.domain.decisions import Decision, Standing, put_back
from app.domain.lanes import Lane
from app.domain.stops import LaneStops, Stop, StopScope
from app.queue.rows import Claimed
from app.services.sending.tools import Tools

# What no claim can leave out waits so long at a time, up to a quarter longer by chance, or until it is
# called back: a million stopped messages shall not be claimed again and again in vain.
PARKED = timedelta(hours=1)
SPREAD = 0.25
LAST_MOMENT = timedelta(seconds=1)


def reason(stop: int) -> str:
    """Spell why a message waits; those that are called back are found by it."""
    return f"stopped (control {stop})"


def withheld(
    tools: Tools, lane: Lane, stops: LaneStops, messages: Sequence[Claimed], now: datetime
) -> dict[int, Decision]:
    """Decide about the messages that are stopped, but for stops of gateways: those not named may go."""
    decisions = {}
    shares = stops.growth((StopScope.BATCH, StopScope.TEMPLATE))
    for message in messages:
        flow = stops.of_flow(message.channel, message.client_id)
        template = tools.contents.template(message)
        content = stops.of_content(message.batch_id, template)
        if flow:
            decisions[message.id] = _back(message, lane, timedelta(0), now, reason(flow.id))
        elif content:
            decisions[message.id] = parked(tools, lane, message, content, now)
        elif shares and tools.chance() >= _share(shares, message.batch_id, template):
            decisions[message.id] = delayed(tools, lane, stops, message, now)
    return decisions


def parked(tools: Tools, lane: Lane, message: Claimed, stop: Stop, now: datetime) -> Decision:
    """Put a message back until its stop ends, or for a long time; on the clock, until its time is over."""
    wait = PARKED if stop.ends_at is None else min(PARKED, max(stop.ends_at - now, LAST_MOMENT))
    wait *= 1 + SPREAD * tools.chance() if stop.ends_at is None else 1
    if lane.on_clock:
        wait = max(min(wait, message.expires_at - now - LAST_MOMENT), LAST_MOMENT)
    return _back(message, lane, wait, now, reason(stop.id))


def delayed(tools: Tools, lane: Lane, stops: LaneStops, message: Claimed, now: datetime) -> Decision:
    """Put a message back to some time before sending has grown to its usual rate, or its own is over."""
    until = max((stop.ramp_until for stop, _ in stops.growing if stop.ramp_until), default=now)
    if lane.on_clock:
        until = min(until, message.expires_at - LAST_MOMENT)
    wait = max((until - now) * tools.chance(), LAST_MOMENT)
    return _back(message, lane, wait, now, "let go slowly after a stop")


def _share(shares: Mapping[StopScope, Mapping[str, float]], batch: int | None, template: str | None) -> float:
    of_batches, of_templates = shares.get(StopScope.BATCH, {}), shares.get(StopScope.TEMPLATE, {})
    return min(of_batches.get(str(batch), 1.0), of_templates.get(template or "", 1.0))


def _back(message: Claimed, lane: Lane, wait: timedelta, now: datetime, words: str) -> Decision:
    standing = Standing(
        gateway=message.gateway or "",
        chain=(),
        tried=message.tried,
        attempts=message.attempts,
        max_attempts=message.max_attempts,
        expires_at=message.expires_at,
        possible_duplicate=message.possible_duplicate,
    )
    decision = put_back(standing, lane, wait, now, reason=words)
    return replace(decision, gateway=decision.gateway or None)
