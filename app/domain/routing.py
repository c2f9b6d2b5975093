"""Which gateways may take a message, and in which order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
    reaches no other.
    """

    channel: Channel
    gateway: str
    tier: int = 1
    weight: int = 1
    enabled: bool = True
    pools: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()

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


def fits(route: Route, needs: Needs) -> bool:
    """Tell whether the gateway behind the route could send such a message at all."""
    return (
        route.enabled
        and route.weight > 0
        and route.channel == needs.channel
        and (needs.verified is None or route.gateway in needs.verified)
        and (needs.pool is None or not route.pools or needs.pool in route.pools)
        and needs.capabilities <= route.capabilities
        and _reaches(route, needs.country)
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
