"""The price table: what gateways ask for, from when on, for whom."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.db.engine import unavailable_when_down
from app.db.tables import prices
from app.domain.prices import ANYWHERE, Unit, spelled
from app.domain.vocabulary import Channel
from app.errors import Fault, Invalid, NotFound
from app.services.audit import Who, record
from app.services.catalog import Catalog
from app.services.field_rules import name_faults

MOST_AT_ONCE = 1000

_PREFIX = re.compile(r"\*|\+[1-9][0-9]{0,14}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_LARGEST = Decimal(1_000_000)
_FINEST = -8  # decimal places
_C = prices.c


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceDraft:
    """A price to be set; `unit` is the segment for SMS and the message for all else where it is None."""

    channel: Channel
    gateway: str
    amount: Decimal
    currency: str
    valid_from: datetime
    prefix: str = ANYWHERE
    unit: Unit | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceView:
    """One price; `amount` is a decimal number in text."""

    id: int
    channel: Channel
    gateway: str
    prefix: str
    unit: Unit
    amount: str
    currency: str
    valid_from: datetime


class PriceService:
    """Reading and writing prices; each change lands in the audit log.

    Each call raises Unavailable where PostgreSQL is down.
    """

    def __init__(self, engine: sa.Engine, catalog: Catalog) -> None:
        self._engine = engine
        self._catalog = catalog

    def save(
        self, who: Who, drafts: Sequence[PriceDraft], *, why: str | None = None
    ) -> tuple[PriceView, ...]:
        """Set prices, all or none; one for the same place from the same time on is replaced.

        Raises Invalid.
        """
        _check(drafts)
        with unavailable_when_down(), self._engine.begin() as conn:
            views = tuple(_view(_save(conn, draft)) for draft in drafts)
            after = {"prices": [_told(view) for view in views]}
            record(conn, who, "price.save", "prices", after=after, why=why)
        self._catalog.changed()
        return views

    def list(self, *, channel: Channel | None = None, gateway: str | None = None) -> tuple[PriceView, ...]:
        """List prices by channel, gateway and prefix, the latest first; past ones too."""
        query = sa.select(prices).order_by(_C.channel, _C.gateway, _C.prefix, _C.valid_from.desc())
        if channel is not None:
            query = query.where(_C.channel == channel)
        if gateway is not None:
            query = query.where(_C.gateway == gateway)
        with unavailable_when_down(), self._engine.connect() as conn:
            return tuple(_view(row) for row in conn.execute(query))

    def remove(self, who: Who, price: int, *, why: str | None = None) -> None:
        """Remove a price, as if it had never been set; what was spent by it stays. Raises NotFound."""
        with unavailable_when_down(), self._engine.begin() as conn:
            row = conn.execute(sa.delete(prices).where(_C.id == price).returning(*_C)).one_or_none()
            if row is None:
                raise NotFound("there is no such price")
            record(conn, who, "price.remove", f"price:{price}", before=_told(_view(row)), why=why)
        self._catalog.changed()


def _check(drafts: Sequence[PriceDraft]) -> None:
    found = [
        Fault(f"prices.{number}.{fault.field}", fault.message)
        for number, draft in enumerate(drafts)
        for fault in faults_of(draft)
    ]
    if not 1 <= len(drafts) <= MOST_AT_ONCE:
        found.append(Fault("prices", f"must be 1 to {MOST_AT_ONCE}"))
    places = [(draft.channel, draft.gateway, draft.prefix, draft.valid_from) for draft in drafts]
    if len(set(places)) < len(places):
        found.append(Fault("prices", "names a place twice from the same time on"))
    if found:
        raise Invalid(found)


def faults_of(draft: PriceDraft) -> list[Fault]:
    """List what is wrong with a price in itself, by its fields."""
    found = list(name_faults("gateway", draft.gateway))
    if not _PREFIX.fullmatch(draft.prefix):
        found.append(Fault("prefix", "must be the beginning of a number, as in +44, or * for all"))
    if not _CURRENCY.fullmatch(draft.currency):
        found.append(Fault("currency", "must be three capitals, as in USD"))
    if not draft.amount.is_finite() or not 0 <= draft.amount < _LARGEST:
        found.append(Fault("amount", f"must be from 0 to less than {_LARGEST}"))
    elif int(draft.amount.normalize().as_tuple().exponent) < _FINEST:
        found.append(Fault("amount", f"has more than {-_FINEST} decimal places"))
    if draft.unit is Unit.SEGMENT and draft.channel is not Channel.SMS:
        found.append(Fault("unit", "only SMS has segments"))
    return found


def _save(conn: sa.Connection, draft: PriceDraft) -> sa.Row[Any]:
    values = {
        "unit": draft.unit or (Unit.SEGMENT if draft.channel is Channel.SMS else Unit.MESSAGE),
        "amount": draft.amount,
        "currency": draft.currency,
    }
    statement = insert(prices).values(
        channel=draft.channel,
        gateway=draft.gateway,
        prefix=draft.prefix,
        valid_from=draft.valid_from,
        **values,
    )
    replacing = statement.on_conflict_do_update(constraint="prices_scope_key", set_=values)
    return conn.execute(replacing.returning(*_C)).one()


def _view(row: sa.Row[Any]) -> PriceView:
    return PriceView(
        id=row.id,
        channel=Channel(row.channel),
        gateway=row.gateway,
        prefix=row.prefix,
        unit=Unit(row.unit),
        amount=spelled(row.amount),
        currency=row.currency,
        valid_from=row.valid_from,
    )


def _told(view: PriceView) -> dict[str, Any]:
    return {
        "id": view.id,
        "place": f"{view.channel}/{view.gateway}/{view.prefix}",
        "price": f"{view.amount} {view.currency} a {view.unit}",
        "valid_from": view.valid_from.isoformat(),
    }
