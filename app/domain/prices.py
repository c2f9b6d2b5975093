"""What sending costs: the price in force for a gateway and a destination, and a message's cost by it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from app.domain.vocabulary import Channel

ANYWHERE = "*"


class Unit(StrEnum):
    """What a price is for."""

    SEGMENT = "segment"
    MESSAGE = "message"


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What a gateway asks for one unit to addresses that begin with `prefix`, from a time on.

    `prefix` is the beginning of a number as E.164 has it ("+44", "+447"), or ANYWHERE. `currency` is one
    of ISO 4217. `valid_from` is aware.
    """

    channel: Channel
    gateway: str
    amount: Decimal
    currency: str
    valid_from: datetime
    prefix: str = ANYWHERE
    unit: Unit = Unit.MESSAGE


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one message came to."""

    amount: Decimal
    currency: str


class PriceTable:
    """Prices, found by the longest prefix of an address for which one is in force."""

    def __init__(self, prices: Iterable[Price]) -> None:
        self._by_prefix: dict[tuple[Channel, str], dict[str, list[Price]]] = {}
        for price in sorted(prices, key=lambda price: price.valid_from, reverse=True):
            by_prefix = self._by_prefix.setdefault((price.channel, price.gateway), {})
            by_prefix.setdefault(price.prefix, []).append(price)

    def prices(self, channel: Channel, gateway: str) -> bool:
        """Tell whether any price is known for the gateway."""
        return (channel, gateway) in self._by_prefix

    def price(self, channel: Channel, gateway: str, address: str, at: datetime) -> Price | None:
        """Give the price of one unit to a canonical address at that time; None where none is in force."""
        by_prefix = self._by_prefix.get((channel, gateway))
        if by_prefix is None:
            return None
        wanted = (*(address[:end] for end in range(len(address), 0, -1)), ANYWHERE)
        known = (price for prefix in wanted for price in by_prefix.get(prefix, ()))
        return next((price for price in known if price.valid_from <= at), None)


def cost(price: Price, segments: int) -> Cost:
    """Say what a message of so many segments costs; a price for the message holds for all of them."""
    units = segments if price.unit is Unit.SEGMENT else 1
    return Cost(amount=price.amount * units, currency=price.currency)


def spelled(amount: Decimal) -> str:
    """Write an amount without exponent and without idle zeros."""
    return f"{amount.normalize():f}"
