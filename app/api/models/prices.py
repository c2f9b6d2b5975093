"""Bodies, queries and answers about prices and costs."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from app.api.models.answers import Answer
from app.api.models.base import Body, Query, Time, Word
from app.domain.prices import ANYWHERE, Unit
from app.domain.vocabulary import Channel
from app.services.prices import PriceDraft, PriceView


class Price(Body):
    """What a gateway asks for one segment or message."""

    channel: Channel
    gateway: Word
    prefix: Annotated[str, Field(max_length=16, pattern=r"^(\*|\+[1-9][0-9]{0,14})$")] = ANYWHERE
    """The beginning of the numbers it is for, as in +44; the longest one that fits decides. * is for all."""
    unit: Unit | None = None
    """The segment for SMS, else the message, where it is left out."""
    amount: Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,8})?$")]
    """A decimal number in text, as in "0.0079"."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    valid_from: Time
    """Past times change nothing about what is counted already."""

    def draft(self) -> PriceDraft:
        """Give this in the services' words."""
        return PriceDraft(**{**vars(self), "amount": Decimal(self.amount)})


class NewPrices(Body):
    """Prices to be set, all or none; one for the same place from the same time on is replaced."""

    prices: Annotated[list[Price], Field(min_length=1, max_length=1000)]


class Prices(Query):
    channel: Channel | None = None
    gateway: Word | None = None


class Costs(Query):
    since: date | None = None
    """The first day; left out, thirty days ago. Days are those of UTC."""
    until: date | None = None
    """The day behind the last one; left out, tomorrow."""
    channel: Channel | None = None
    gateway: Word | None = None


class PriceList(Answer):
    items: list[PriceView]


class DayCosts(Answer):
    """What one gateway's messages of one day came to in one currency."""

    day: date
    channel: Channel
    gateway: str
    currency: str | None
    """Null for SMS of which no price was known."""
    messages: int
    """Tries that the gateway accepted."""
    segments: int
    amount: str
    """A decimal number in text."""


class CostTable(Answer):
    items: list[DayCosts]
