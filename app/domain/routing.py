"""Which gateways may take a message, and in which order."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b
from typing import Any
from uuid import UUID

from app.domain.vocabulary import Channel, MessageType

# What begins with this in a gateway's capabilities names the countries that it alone reaches.
_COUNTRY = "country:"

# A pool of addresses has one reputation: mail of one kind does not spoil another's.
POOLS = {
    MessageType.EMERGENCY: "emergency",
    MessageType.ALERT: "alerts",
    MessageType.NEWSLETTER: "newsletters",
    MessageType.CAMPAIGN: "campaigns",
    MessageType.TRANSACTIONAL: "transactional",
}


class Capability(StrEnum):
    """What not every gateway can express, and some messages need."""

    ATTACHMENTS = "attachments"
    INLINE_IMAGES = "inline_images"
    MEDIA = "media"
    PROVIDER_TEMPLATE = "provider_template"
    APNS = "apns"
    FCM = "fcm"


EVERYTHING = frozenset(Capability)


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One gateway as a way out for one channel. Lower tiers come first; empty `pools` means every pool.

    `capabilities` are words of `Capability`, and countries as in "country:US": a gateway that names any
    reaches no other. One that is `drained` takes only what names it. `share` of its messages go to it
    first; it is below 1 while the gateway is slow, and the others go to it last. What was given to a
    gateway before `ordered_at` was so under another order.
    """

    channel: Channel
    gateway: str
    tier: int = 1
    weight: int = 1
    enabled: bool = True
    pools: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()
    drained: bool = False
    share: float = 1.0
    ordered_at: datetime | None = None

    @property
    def countries(self) -> frozenset[str]:
        """The countries that it reaches; none stands for all."""
        return frozenset(
            word.removeprefix(_COUNTRY) for word in self.capabilities if word.startswith(_COUNTRY)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a message asks of a gateway.

    `verified` are the gateways where the sender is verified; None means wherever it is sent from.
    `country` is where it goes, in two capitals; None where that is not known or does not matter.
    """

    channel: Channel
    pool: str | None = None
    verified: frozenset[str] | None = None
    capabilities: frozenset[str] = frozenset()
    country: str | None = None


Draw = Callable[[str], float]


def lot(uuid: UUID) -> Draw:
    """Give a message's own chances: numbers in [0, 1) by what is drawn for, the same at each try."""

    def draw(what: str) -> float:
        digest = blake2b(what.encode(), key=uuid.bytes, digest_size=7).digest()
        return int.from_bytes(digest) / 2**56

    return draw


def by_chance(_what: str) -> float:
    """Draw anew each time."""
    return random.random()  # noqa: S311 — a fair share needs no secret.


def fits(route: Route, needs: Needs, *, named: bool = False) -> bool:
    """Tell whether the gateway behind the route could send such a message, and may; drained: if `named`."""
    return (
        route.enabled
        and (named or (route.weight > 0 and not route.drained))
        and route.channel == needs.channel
        and (needs.verified is None or route.gateway in needs.verified)
        and (needs.pool is None or not route.pools or needs.pool in route.pools)
        and needs.capabilities <= route.capabilities
        and _reaches(route, needs.country)
    )


@dataclass(frozen=True)
class Chain:
    """The routes that fit, tiers in turn; in which order a message tries them is its own lot."""

    routes: tuple[Route, ...]

    @cached_property
    def is_fixed(self) -> bool:
        """Tell whether every message tries them in the same order: no weights and no shares matter."""
        tiers = [route.tier for route in self.routes]
        return len(set(tiers)) == len(tiers) and all(route.share >= 1 for route in self.routes)

    @cached_property
    def was_reordered(self) -> bool:
        """Tell whether there may be messages that were given to a gateway under another order."""
        return any(route.ordered_at is not None for route in self.routes)

    def order(self, draw: Draw) -> tuple[str, ...]:
        """Put the gateways in order: by tier, in it by weight; last, one that is spared of it."""
        if self.is_fixed:
            return self.names
        ranked = sorted(self.routes, key=lambda route: (_is_spared(route, draw), *_rank(route, draw)))
        return tuple(route.gateway for route in ranked)

    def as_accepted(self, draw: Draw) -> tuple[str, ...]:
        """Put them in order by tier and weight alone: how slow a gateway is, is looked at when sending."""
        return tuple(route.gateway for route in sorted(self.routes, key=lambda route: _rank(route, draw)))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The gateways as they are listed, by tier."""
        return tuple(route.gateway for route in self.routes)

    def keeps(self, gateway: str, accepted_at: datetime, draw: Draw) -> bool:
        """Tell whether a message that was given to this gateway goes there still, before any try.

        It does not where the order was changed since, where the gateway is spared of it, and where
        another of the same tier is the message's own by weight.
        """
        route = next((route for route in self.routes if route.gateway == gateway), None)
        if route is None or _is_spared(route, draw):
            return False
        if route.ordered_at is not None and accepted_at < route.ordered_at:
            return False
        return not any(other.tier == route.tier and other is not route for other in self.routes)


def chain(routes: Sequence[Route], needs: Needs) -> Chain:
    """Find the gateways that fit, in the order of their tiers."""
    fitting = (route for route in routes if fits(route, needs))
    return Chain(tuple(sorted(fitting, key=lambda route: route.tier)))


def _rank(route: Route, draw: Draw) -> tuple[int, float]:
    # Efraimidis and Spirakis: keys u ** (1 / w) sort a weighted sample without replacement.
    return route.tier, -(draw(route.gateway) ** (1 / route.weight))


def _is_spared(route: Route, draw: Draw) -> bool:
    return route.share < 1 and draw(f"share of {route.gateway}") >= route.share


def needed(channel: Channel, options: Mapping[str, Any], address: str | None = None) -> frozenset[Capability]:
    """Tell what a message needs beyond words, by its options as message_queue keeps them.

    `address` is the recipient's, where there is a single one.
    """
    return frozenset(_needed(channel, options, address or ""))


def _needed(channel: Channel, options: Mapping[str, Any], address: str) -> Iterable[Capability]:
    own = options.get(channel.value) or {}
    attachments = options.get("attachments") or ()
    if attachments:
        yield Capability.ATTACHMENTS
    if any(each.get("content_id") for each in attachments):
        yield Capability.INLINE_IMAGES
    if own.get("media"):
        yield Capability.MEDIA
    if own.get("template_id") or own.get("content_sid"):
        yield Capability.PROVIDER_TEMPLATE
    if channel is Channel.PUSH:
        yield from _platform(options.get("platform"), address)


def _platform(platform: str | None, address: str) -> Iterable[Capability]:
    """Topics and conditions are FCM's alone."""
    if platform == Capability.APNS:
        yield Capability.APNS
    elif platform == Capability.FCM or address.startswith(("topic:", "condition:")):
        yield Capability.FCM


def _reaches(route: Route, country: str | None) -> bool:
    return country is None or not route.countries or country in route.countries
