"""/v1/messages/stats: how deep the lanes are and how the gateways do."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import structlog
from flask import Response

from app.api.answers import answer, members
from app.api.calls import Call
from app.api.models.answers import Gateways, Lanes
from app.api.models.prices import Costs, CostTable
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.domain.prices import spelled
from app.domain.vocabulary import BreakerState, Channel
from app.errors import Unavailable
from app.services.stats import DayCost, GatewayRate, LaneDepth

log = structlog.get_logger(__name__)

_SHOWN = timedelta(days=30)

resource = Resource("stats", "Figures about lanes and gateways.")


@resource.operation(
    "GET",
    "/v1/messages/stats/queue",
    scope="diagnostics:read",
    replies={200: Reply("All lanes, P0 first", Lanes)},
)
def queue(app: App, call: Call) -> Response:  # noqa: ARG001 - A view's signature.
    """Tell depth and oldest age of each lane."""
    return answer(200, {"items": [_lane(lane) for lane in app.stats.queue()]})


@resource.operation(
    "GET",
    "/v1/messages/stats/channels",
    scope="diagnostics:read",
    replies={200: Reply("All gateways of all channels", Gateways)},
)
def channels(app: App, call: Call) -> Response:  # noqa: ARG001 - A view's signature.
    """Tell rates and health by channel and gateway."""
    states = _breakers(app)
    rates = app.stats.channels(states or {})
    return answer(200, {"items": [_gateway(rate) for rate in rates], "breakers_known": states is not None})


@resource.operation(
    "GET",
    "/v1/messages/stats/costs",
    scope="diagnostics:read",
    query=Costs,
    replies={200: Reply("By day, channel, gateway and currency", CostTable)},
)
def costs(app: App, call: Call, query: Costs) -> Response:  # noqa: ARG001 - A view's signature.
    """Tell what sending has cost.

    Counted as gateways accept messages, by the prices of that moment.
    """
    today = datetime.now(UTC).date()
    since, until = query.since or today - _SHOWN, query.until or today + timedelta(days=1)
    found = app.stats.costs(since, until, channel=query.channel, gateway=query.gateway)
    return answer(200, {"items": [_cost(cost) for cost in found]})


def _cost(cost: DayCost) -> dict[str, object]:
    return members(cost) | {"amount": spelled(cost.amount)}


def _breakers(app: App) -> Mapping[tuple[Channel, str], BreakerState] | None:
    pairs = [(route.channel, route.gateway) for route in app.catalog.routes()]
    try:
        standings = app.breakers.states(pairs)
    except Unavailable as exc:
        log.warning("breakers cannot be asked", error=str(exc))
        return None
    return {pair: standing.state for pair, standing in standings.items()}


def _lane(lane: LaneDepth) -> dict[str, object]:
    return {
        "priority": lane.priority,
        "name": lane.name,
        "due": lane.due,
        "scheduled": lane.scheduled,
        "processing": lane.processing,
        "at_least": lane.at_least,
        "oldest_age_seconds": lane.oldest_age,
        "max_age_seconds": lane.max_age,
    }


def _gateway(rate: GatewayRate) -> dict[str, object]:
    return {
        "channel": rate.channel,
        "gateway": rate.gateway,
        "enabled": rate.enabled,
        "breaker": rate.breaker,
        "window_seconds": rate.window,
        "sent": rate.sent,
        "delivered": rate.delivered,
        "bounced": rate.bounced,
        "failed": rate.failed,
        "per_second": rate.per_second,
        "success_rate": rate.success_rate,
        "counted_all": rate.counted_all,
        "last_sent_at": rate.last_sent_at,
    }
