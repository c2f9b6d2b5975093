"""The gate: newsletters and campaigns stand back while many alerts are due."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import lane_holds
from app.domain.lanes import Lane
from app.domain.stops import StopScope
from app.domain.vocabulary import BreakerState, Channel, Priority
from app.queue import PACKAGE
from app.services.sending.tools import Tools


def open_channels(tools: Tools, lane: Lane, *, past_gate: bool) -> list[Channel]:
    """List the channels that this lane may claim for now.

    A channel without any healthy gateway is left out, unless the lane always tries. A lane that is held
    back is let through where `past_gate`, as it is once a tick, so that it never stands still. What an
    operator has stopped is left out; raises Unavailable where nobody knows what is.
    """
    stops = tools.stops.of_lane(lane.priority)
    if stops.whole or tools.pace.rests(stops, StopScope.ALL, StopScope.PRIORITY):
        return []
    away = {*stops.keys.get(StopScope.CHANNEL, ()), *tools.pace.rests(stops, StopScope.CHANNEL)}
    channels = [
        channel
        for channel in dict.fromkeys(gateway.channel for gateway in tools.gateways.values())
        if channel not in away
    ]
    if not lane.always_tries:
        channels = _healthy(tools, channels)
    if lane.held_back and not past_gate:
        channels = [channel for channel in channels if not is_closed(tools, channel)]
    return channels


def left_out_clients(tools: Tools, priority: Priority) -> list[int]:
    """List the callers whose messages this lane may not claim now."""
    stops = tools.stops.of_lane(priority)
    return [
        *map(int, stops.keys.get(StopScope.CLIENT, ())),
        *map(int, tools.pace.rests(stops, StopScope.CLIENT)),
    ]


def is_closed(tools: Tools, channel: Channel) -> bool:
    """Tell whether so many alerts are due on the channel that others stand back."""
    return tools.memory.ask(("gate", channel), lambda: _deep(tools, channel))


def note_holds(tools: Tools) -> None:
    """Write down since when, and until when, lanes are held back on each channel.

    A message that is not on the clock does not expire by the time this took.
    """
    channels = {gateway.channel for gateway in tools.gateways.values()}
    with tools.engine.begin() as conn:
        for lane in tools.lanes.values():
            for channel in channels if lane.held_back else ():
                _note_hold(conn, lane.priority, channel, held=is_closed(tools, channel))


def _note_hold(conn: sa.Connection, priority: Priority, channel: Channel, *, held: bool) -> None:
    table = lane_holds
    if held:
        conn.execute(insert(table).values(priority=priority, channel=channel).on_conflict_do_nothing())
        return
    open_hold = sa.and_(
        table.c.priority == priority, table.c.channel == channel, table.c.held_until.is_(None)
    )
    conn.execute(sa.update(table).where(open_hold).values(held_until=sa.func.now()))


def _deep(tools: Tools, channel: Channel) -> bool:
    # Alerts that are stopped cannot be sent now, so nobody stands back for them.
    stops = tools.stops.of_lane(Priority.P1)
    if stops.whole or stops.of(StopScope.CHANNEL, channel):
        return False
    parameters = {
        "priority": Priority.P1,
        "channel": channel,
        "stopped_clients": list(map(int, stops.keys.get(StopScope.CLIENT, ()))),
        "limit": tools.gate_depth,
    }
    with unavailable_when_down(), tools.once.connect() as conn:
        return bool(run(conn, PACKAGE, "lane_depth", parameters).scalar_one() >= tools.gate_depth)


def _healthy(tools: Tools, channels: Sequence[Channel]) -> list[Channel]:
    pairs = [(gateway.channel, name) for name, gateway in tools.gateways.items()]
    states = tools.breakers.states(pairs)
    well = {channel for (channel, _), standing in states.items() if standing.state is not BreakerState.OPEN}
    return [channel for channel in channels if channel in well]
