"""Devices as operators see them: looked through by anything, taken out of use by hand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import device_tokens, topic_members
from app.errors import Conflict, NotFound
from app.services import bounded, paging
from app.services.audit import Who, record
from app.services.devices import take_out

MOST = 200

_C = device_tokens.c
# The token itself stays in the database: whoever has it can send to the device.
_SHOWN = [
    column for column in _C if column.name != "token"
] + [sa.func.length(_C.token).label("length"), sa.func.right(_C.token, 4).label("ending")]  # fmt: skip


class DeviceState(StrEnum):
    """Whether a recipient's push goes to a device."""

    IN_USE = "in_use"
    STALE = "stale"
    OUT_OF_USE = "out_of_use"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceFilters:
    """What devices are looked for by; all that is set must hold. The token is a whole one."""

    recipient_type: str | None = None
    recipient_id: int | None = None
    token: str | None = None
    platform: str | None = None
    state: DeviceState | None = None
    seen_since: datetime | None = None
    unseen_since: datetime | None = None


class DeviceDesk:
    """Looking at devices and taking them out of use. Each call raises Unavailable without PostgreSQL."""

    def __init__(self, engine: sa.Engine, *, stale_after: timedelta) -> None:
        self._engine = engine
        self._stale_after = stale_after

    def look(
        self, wanted: DeviceFilters, now: datetime, *, cursor: str | None = None, limit: int = 50
    ) -> tuple[Sequence[sa.Row[Any]], str | None]:
        """Find one page, newest first, and the cursor of the look behind it.

        Where nothing leads to what is wanted, a look is bounded and may find less than a page. Raises
        Invalid for a cursor that is none of ours.
        """
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        query = sa.select(*_SHOWN, self._state(now)).where(*self._conditions(wanted, now))
        led = wanted.recipient_id is not None or wanted.token is not None
        with unavailable_when_down(), self._engine.connect() as conn:
            rows, behind = bounded.page_of(
                conn, query, _C.id, before=before[0] if before else None, limit=limit, led=led
            )
        return rows, None if behind is None else paging.cursor(behind)

    def some(self, ids: Sequence[int], now: datetime) -> Sequence[sa.Row[Any]]:
        """Give those of these devices that there are, each with its state and how many topics it follows."""
        members = topic_members.c
        follows = (
            sa.select(sa.func.count()).where(members.device_id == _C.id).scalar_subquery().label("topics")
        )
        query: sa.Select[Any] = (
            sa.select(*_SHOWN, self._state(now), follows).where(_C.id.in_(ids)).order_by(_C.id)
        )
        with unavailable_when_down(), self._engine.connect() as conn:
            return conn.execute(query).all()

    def deactivate(self, who: Who, device: int, *, why: str) -> None:
        """Take a device out of use, and out of its topics, until its app registers it anew.

        Raises NotFound, and Conflict where it is out of use already.
        """
        with unavailable_when_down(), self._engine.begin() as conn:
            query = sa.select(device_tokens).where(_C.id == device).with_for_update()
            row = conn.execute(query).one_or_none()
            if row is None:
                raise NotFound("there is no such device")
            if row.deactivated_at is not None:
                raise Conflict("it is out of use already")
            take_out(conn, row)
            after = {"platform": row.platform, "recipient_type": row.recipient_type}
            after["recipient_id"] = row.recipient_id
            record(conn, who, "device.deactivate", f"device:{device}", after=after, why=why)

    def _state(self, now: datetime) -> sa.Label[str]:
        return sa.case(
            (_C.deactivated_at.is_not(None), DeviceState.OUT_OF_USE.value),
            (_C.last_seen_at <= now - self._stale_after, DeviceState.STALE.value),
            else_=DeviceState.IN_USE.value,
        ).label("state")

    def _conditions(self, wanted: DeviceFilters, now: datetime) -> Iterator[sa.ColumnElement[bool]]:
        equal = {
            _C.recipient_type: wanted.recipient_type,
            _C.recipient_id: wanted.recipient_id,
            _C.platform: wanted.platform,
        }
        for column, value in equal.items():
            if value is not None:
                yield column == value
        if wanted.token is not None:
            # An APNs token may come in capitals; it is kept in lower case.
            yield _C.token.in_([wanted.token, wanted.token.lower()])
        if wanted.state is not None:
            yield self._state(now).element == wanted.state.value
        if wanted.seen_since is not None:
            yield _C.last_seen_at >= wanted.seen_since
        if wanted.unseen_since is not None:
            yield _C.last_seen_at < wanted.unseen_since
