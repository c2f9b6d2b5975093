"""Bodies, queries and answers about gateways."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.api.models.answers import Answer
from app.api.models.base import Address, Body, Query, Reason, Word
from app.api.models.rules import Cursor, Limit
from app.domain.vocabulary import Channel, Status
from app.services.gateway_rows import HIGHEST, GatewayChanges
from app.services.gateway_views import GatewayView


class GatewayList(Answer):
    """All gateways of the channels asked for; those without credentials last."""

    items: list[GatewayView]


class InChannel(Query):
    channel: Channel | None = None


class ChangesOf(Query):
    channel: Channel | None = None
    gateway: Word | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


class Why(Body):
    why: Reason
    """Goes into the audit log."""


class Changed(Why):
    """What is to be otherwise; what is left out stays."""

    tier: Annotated[int, Field(ge=1, le=HIGHEST)] | None = None
    """Lower tiers are tried first."""
    weight: Annotated[int, Field(ge=0, le=HIGHEST)] | None = None
    """The gateway's part inside its tier; 0 gives it nothing."""
    pools: list[Word] | None = None
    """The IP pools that it serves; none stands for all."""

    def changes(self) -> GatewayChanges:
        """Give this in the services' words."""
        pools = None if self.pools is None else tuple(self.pools)
        return GatewayChanges(tier=self.tier, weight=self.weight, pools=pools)


class Order(Why):
    tiers: Annotated[list[Annotated[list[Word], Field(min_length=1, max_length=20)]], Field(min_length=1)]
    """Gateways by tier, the first to be tried first; those left out come behind, as they were."""


class Trip(Why):
    minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] | None = None
    """How long nothing tries; left out, as after faults: half a minute."""
    sender: Address | None = None
    """Only this sender of ours is concerned."""


class Reset(Why):
    sender: Address | None = None
    """Only this sender of ours is concerned."""


class Trial(Why):
    address: Address
    """Who gets the test message."""


class TrialSent(Answer):
    uuid: UUID
    status: Status
    links: dict[str, str]
