"""Rows of what changes seldom, read into our own words: routes, senders, prices."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from app.db.tables import channel_health, gateways, prices, reputations, sender_health, senders
from app.domain.prices import Price, PriceTable, Unit
from app.domain.reputation import Level, NameKind
from app.domain.routing import EVERYTHING, Route
from app.domain.vocabulary import BreakerState, Channel


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """A configured identity that messages are sent as."""

    slug: str
    channel: Channel
    address: str
    name: str = ""
    gateways: frozenset[str] | None = None
    ip_pool: str | None = None
    default_for: frozenset[str] = frozenset()

    @property
    def written(self) -> str:
        """Spell the identity as a mail's From has it."""
        return f"{self.name} <{self.address}>" if self.name else self.address


@dataclass(frozen=True, kw_only=True, slots=True)
class NameState:
    """A name of our mail that is not good: how bad, why, and how many messages a minute are let through."""

    level: Level
    reason: str
    per_minute: int


IllSender = tuple[Channel, str, str]  # the gateway that refuses it, and its address


def read_routes(
    conn: sa.Connection,
    configured: Mapping[Channel, tuple[str, ...]],
    capabilities: Mapping[str, frozenset[str]],
) -> tuple[Route, ...]:
    """Read the routes of the configured gateways; what no row says is by their order and declarations.

    A gateway of which `capabilities` says nothing is taken for able to do everything.
    """
    rows = {(row.channel, row.gateway): row for row in conn.execute(sa.select(gateways))}
    slow = sa.select(channel_health.c.channel, channel_health.c.gateway, channel_health.c.share)
    shares = {
        (row.channel, row.gateway): row.share for row in conn.execute(slow.where(channel_health.c.share < 1))
    }
    declared = (
        Route(
            channel=channel,
            gateway=gateway,
            tier=tier,
            capabilities=capabilities.get(gateway, EVERYTHING),
            share=shares.get((channel, gateway), 1.0),
        )
        for channel, names in configured.items()
        for tier, gateway in enumerate(names, start=1)
    )
    return tuple(_route(route, rows.get((route.channel, route.gateway))) for route in declared)


def read_senders(conn: sa.Connection) -> dict[tuple[Channel, str], Sender]:
    """Read senders by slug, and by the types that they are the default for; names win over types."""
    rows = conn.execute(sa.select(senders).where(senders.c.is_active).order_by(senders.c.id)).all()
    known = [_sender(row) for row in rows]
    defaults = {(each.channel, kind): each for each in reversed(known) for kind in each.default_for}
    return defaults | {(each.channel, each.slug): each for each in known}


def read_ill_senders(conn: sa.Connection) -> frozenset[IllSender]:
    """Read which senders are refused at which gateways."""
    table = sender_health.c
    query = sa.select(table.channel, table.gateway, table.sender)
    rows = conn.execute(query.where(table.breaker_state != BreakerState.CLOSED.value))
    return frozenset((Channel(row.channel), row.gateway, row.sender) for row in rows)


def read_restraints(conn: sa.Connection) -> dict[tuple[NameKind, str], NameState]:
    """Read which names campaigns are held back for; not those where a person has lifted it for a time."""
    table = reputations.c
    lifted = sa.func.coalesce(table.lifted_until > sa.func.now(), sa.false())
    rows = conn.execute(sa.select(reputations).where(table.level > 0, ~lifted))
    return {
        (NameKind(row.kind), row.key): NameState(
            level=Level(row.level), reason=row.reason, per_minute=row.per_minute or 1
        )
        for row in rows
    }


def read_prices(conn: sa.Connection) -> PriceTable:
    """Read all prices, those to come and those of the past too."""
    return PriceTable(_price(row) for row in conn.execute(sa.select(prices)))


def _route(declared: Route, row: sa.Row[Any] | None) -> Route:
    """Change a route as its row says; what the gateway can express is only added to."""
    if row is None:
        return declared
    return replace(
        declared,
        tier=row.tier,
        weight=row.weight,
        enabled=row.enabled,
        pools=frozenset(row.pools),
        capabilities=declared.capabilities | frozenset(row.capabilities),
        drained=row.drained,
        ordered_at=row.ordered_at,
    )


def _sender(row: sa.Row[Any]) -> Sender:
    return Sender(
        slug=row.slug,
        channel=Channel(row.channel),
        address=row.address,
        name=row.name,
        gateways=None if row.gateways is None else frozenset(row.gateways),
        ip_pool=row.ip_pool,
        default_for=frozenset(row.default_for),
    )


def _price(row: sa.Row[Any]) -> Price:
    return Price(
        channel=Channel(row.channel),
        gateway=row.gateway,
        amount=row.amount,
        currency=row.currency,
        valid_from=row.valid_from,
        prefix=row.prefix,
        unit=Unit(row.unit),
    )
