"""Which gateways may take a message, and in which order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.domain.vocabulary import Channel, MessageType

# A pool of addresses has one reputation: mail of one kind does not spoil another's.
POOLS = {
    MessageType.EMERGENCY: "emergency",
    MessageType.ALERT: "alerts",
    MessageType.NEWSLETTER: "newsletters",
    MessageType.CAMPAIGN: "campaigns",
    MessageType.TRANSACTIONAL: "transactional",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One gateway as a way out for one channel. Lower tiers come first; empty `pools` means every pool."""

    channel: Channel
    gateway: str
    tier: int = 1
    weight: int = 1
    enabled: bool = True
    pools: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a message asks of a gateway.

    `verified` are the gateways where the sender is verified; None means wherever it is sent from.
    """

    channel: Channel
    pool: str | None = None
    verified: frozenset[str] | None = None
    capabilities: frozenset[str] = frozenset()


def fits(route: Route, needs: Needs) -> bool:
    """Tell whether the gateway behind the route could send such a message at all."""
    return (
        route.enabled
        and route.weight > 0
        and route.channel == needs.channel
        and (needs.verified is None or route.gateway in needs.verified)
        and (needs.pool is None or not route.pools or needs.pool in route.pools)
        and needs.capabilities <= route.capabilities
    )


def chain(routes: Sequence[Route], needs: Needs, pick: Callable[[], float]) -> tuple[str, ...]:
    """Put the fitting gateways in the order to try them: tiers in turn, inside a tier by weighted chance.

    `pick` gives numbers in [0, 1), as random.random does.
    """
    fitting = [route for route in routes if fits(route, needs)]
    # Efraimidis and Spirakis: keys u ** (1 / w) sort a weighted sample without replacement.
    return tuple(
        route.gateway
        for route in sorted(fitting, key=lambda route: (route.tier, -(pick() ** (1 / route.weight))))
    )
