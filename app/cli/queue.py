"""`tocsin queue`: how deep the lanes are and how the gateways do."""

from collections.abc import Mapping

import click

from app.bootstrap import App
from app.cli.operator import application
from app.cli.output import json_option, print_json, print_table, spelled
from app.domain.vocabulary import BreakerState, Channel
from app.errors import Unavailable
from app.services.stats import GatewayRate, LaneDepth

_LANES = ("priority", "lane", "due", "scheduled", "in flight", "oldest", "limit", "")
_GATEWAYS = ("channel", "gateway", "breaker", "sent", "delivered", "bounced", "failed", "per s", "last sent")


@click.command()
@json_option
def queue(*, as_json: bool) -> None:
    """Show each lane (due, in flight, oldest age against its limit) and each gateway (last minutes)."""
    app = application()
    breakers = _breakers(app)
    lanes = app.stats.queue()
    gateways = app.stats.channels(breakers or {})
    if as_json:
        print_json({"lanes": lanes, "gateways": gateways, "breakers_known": breakers is not None})
        return
    print_table(_LANES, map(_lane, lanes))
    known = breakers is not None
    print_table(_GATEWAYS, (_gateway(rate, known=known) for rate in gateways), empty="no gateway configured")
    if not known:
        click.echo("Redis cannot be asked, so nobody knows how the breakers stand.", err=True)


def _breakers(app: App) -> Mapping[tuple[Channel, str], BreakerState] | None:
    pairs = [(route.channel, route.gateway) for route in app.catalog.routes()]
    try:
        standings = app.breakers.states(pairs)
    except Unavailable:
        return None
    return {pair: standing.state for pair, standing in standings.items()}


def _lane(lane: LaneDepth) -> tuple[object, ...]:
    late = lane.oldest_age is not None and lane.oldest_age > lane.max_age
    return (
        lane.priority,
        lane.name,
        _count(lane, "due"),
        _count(lane, "scheduled"),
        _count(lane, "processing"),
        lane.oldest_age,
        lane.max_age,
        "TOO LATE" if late else "",
    )


def _count(lane: LaneDepth, name: str) -> str:
    more = "+" if name in lane.at_least else ""
    return f"{getattr(lane, name):,}{more}"


def _gateway(rate: GatewayRate, *, known: bool) -> tuple[object, ...]:
    counts = (f"{count:,}" for count in (rate.sent, rate.delivered, rate.bounced, rate.failed))
    breaker = spelled(rate.breaker) if known else "unknown"
    return (
        rate.channel,
        rate.gateway,
        breaker if rate.enabled else "disabled",
        *counts,
        f"{rate.per_second:.1f}",
        rate.last_sent_at,
    )
