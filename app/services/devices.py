"""Devices that take push messages: whose they are, and whether they are still there."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import device_tokens, topic_members
from app.domain import device_tokens as tokens
from app.errors import Fault, Invalid, NotFound
from app.queue import PACKAGE
from app.services import paging
from app.services.field_rules import id_faults, locale_faults, name_faults
from app.services.views import Page

Platform = Literal["apns", "fcm"]
DeviceKind = Literal["ios", "android", "web"]

MOST = 200

_C = device_tokens.c
_SHOWN = (
    "id", "token", "platform", "device", "app", "recipient_type", "recipient_id", "locale", "created_at",
    "last_seen_at", "deactivated_at", "deactivated_why",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceDraft:
    """A device as its app registers it. `app` is the app's identifier, for APNs its topic.

    `last_seen_at` is now where it is None; a time ahead is taken for now.
    """

    token: str
    platform: Platform
    recipient_id: int
    recipient_type: str | None = None
    device: DeviceKind | None = None
    app: str | None = None
    locale: str | None = None
    last_seen_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceView:
    """A registered device. One that `is_stale` gets nothing for its recipient until it is seen again.

    `deactivated_why` is `asked` (the app said so), `gateway` (it is gone) or `replaced` (by a new token).
    """

    id: int
    token: str
    platform: str
    device: str | None
    app: str | None
    recipient_type: str | None
    recipient_id: int
    locale: str | None
    is_active: bool
    is_stale: bool
    created_at: datetime
    last_seen_at: datetime
    deactivated_at: datetime | None
    deactivated_why: str | None


class DeviceService:
    """Registering devices and looking them up. Each call raises Unavailable where PostgreSQL is down."""

    def __init__(self, engine: sa.Engine, *, stale_after: timedelta) -> None:
        self._engine = engine
        self._stale_after = stale_after

    def register(self, draft: DeviceDraft) -> tuple[DeviceView, bool]:
        """Register a device by its token, or say anew whose it is; tells too whether it is new.

        One that is known to have been seen later stays as it is. Raises Invalid.
        """
        good = _checked(draft)
        with unavailable_when_down(), self._engine.begin() as conn:
            row = run(conn, PACKAGE, "register_device", asdict(good)).one_or_none()
            is_new = row is not None and row.is_new
            return self._view(_by_token(conn, good.token)), is_new

    def refresh(self, token: str, new_token: str) -> DeviceView:
        """Put a new token in the place of one; it follows the same topics. Raises NotFound, Invalid."""
        with unavailable_when_down(), self._engine.begin() as conn:
            old = _by_token(conn, token, lock=True)
            draft = _checked(_draft_of(old, new_token), field="new_token")
            run(conn, PACKAGE, "register_device", asdict(draft))
            new = _by_token(conn, draft.token)
            if new.id != old.id:
                _replace(conn, old, new)
            return self._view(new)

    def deactivate(self, token: str) -> DeviceView:
        """Take a device out of use, and out of its topics; again is no error. Raises NotFound."""
        with unavailable_when_down(), self._engine.begin() as conn:
            row = _by_token(conn, token, lock=True)
            if row.deactivated_at is None:
                row = take_out(conn, row)
        return self._view(row)

    def get(self, device: int) -> DeviceView:
        """Give one device; raises NotFound."""
        with unavailable_when_down(), self._engine.connect() as conn:
            row = conn.execute(sa.select(device_tokens).where(_C.id == device)).one_or_none()
        return self._view(_required(row))

    def search(
        self,
        *,
        recipient_type: str | None = None,
        recipient_id: int | None = None,
        token: str | None = None,
        platform: Platform | None = None,
        is_active: bool | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[DeviceView]:
        """List devices, newest first; all that is given must hold."""
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        equal = {
            _C.recipient_type: recipient_type,
            _C.recipient_id: recipient_id,
            _C.token: token,
            _C.platform: platform,
        }
        query = sa.select(device_tokens).order_by(_C.id.desc()).limit(limit + 1)
        query = query.where(*(column == value for column, value in equal.items() if value is not None))
        if is_active is not None:
            query = query.where(_C.deactivated_at.is_(None) == is_active)
        if before:
            query = query.where(_C.id < before[0])
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = conn.execute(query).all()
        return paging.page(rows, limit, self._view)

    def _view(self, row: sa.Row[Any]) -> DeviceView:
        # Compared here, so that what is listed and what is sent to cannot differ by a clock's jump.
        stale = row.last_seen_at <= datetime.now(row.last_seen_at.tzinfo) - self._stale_after
        shown = {name: getattr(row, name) for name in _SHOWN}
        return DeviceView(**shown, is_active=row.deactivated_at is None, is_stale=stale)


def active_devices(
    conn: sa.Connection,
    recipient_type: str | None,
    recipient_id: int,
    *,
    platform: str | None,
    stale_after: timedelta,
) -> tuple[sa.Row[Any], ...]:
    """Read the devices that a recipient's push goes to; recipients of another type are others."""
    query = sa.select(device_tokens).where(
        _C.recipient_id == recipient_id,
        _C.recipient_type.is_not_distinct_from(recipient_type),
        _C.deactivated_at.is_(None),
        _C.last_seen_at > sa.func.now() - stale_after,
    )
    if platform is not None:
        query = query.where(_C.platform == platform)
    return tuple(conn.execute(query.order_by(_C.last_seen_at.desc(), _C.id.desc())))


def take_out(conn: sa.Connection, row: sa.Row[Any]) -> sa.Row[Any]:
    """Take a device, whose row is locked, out of use because somebody asked for it; gives its row anew."""
    _leave_topics(conn, row)
    return _deactivate(conn, row.id, "asked")


def _checked(draft: DeviceDraft, field: str = "token") -> DeviceDraft:
    """Bring a token into its canonical form; raises Invalid with all faults."""
    found = [
        *name_faults("recipient_type", draft.recipient_type),
        *id_faults("recipient_id", draft.recipient_id),
        *name_faults("app", draft.app),
        *locale_faults(draft.locale),
    ]
    if draft.last_seen_at is not None and draft.last_seen_at.utcoffset() is None:
        found.append(Fault("last_seen_at", "needs its offset from UTC, as in 2026-01-31T12:00:00Z"))
    token = draft.token
    try:
        token = tokens.canonical(token, draft.platform)
    except Invalid as exc:
        found += [Fault(field, fault.message) for fault in exc.faults]
    if found:
        raise Invalid(found)
    return replace(draft, token=token)


def _draft_of(row: sa.Row[Any], token: str) -> DeviceDraft:
    return DeviceDraft(
        token=token,
        platform=row.platform,
        recipient_id=row.recipient_id,
        recipient_type=row.recipient_type,
        device=row.device,
        app=row.app,
        locale=row.locale,
    )


def _by_token(conn: sa.Connection, token: str, *, lock: bool = False) -> sa.Row[Any]:
    # An APNs token may come in capitals; in lower case it is none of FCM's, which have no such form.
    query = sa.select(device_tokens).where(_C.token.in_([token.strip(" \t"), token.strip(" \t").lower()]))
    query = query.order_by((_C.token == token.strip(" \t")).desc()).limit(1)
    return _required(conn.execute(query.with_for_update() if lock else query).one_or_none())


def _required(row: sa.Row[Any] | None) -> sa.Row[Any]:
    if row is None:
        raise NotFound("there is no such device")
    return row


def _replace(conn: sa.Connection, old: sa.Row[Any], new: sa.Row[Any]) -> None:
    # Who gave the old token out has to be told of the new one; apps of Apple's have no topics there.
    state = "subscribing" if new.platform == "fcm" else "subscribed"
    run(conn, PACKAGE, "move_memberships", {"old": old.id, "new": new.id, "state": state})
    if old.deactivated_at is None:
        _deactivate(conn, old.id, "replaced")


def _deactivate(conn: sa.Connection, device: int, why: str) -> sa.Row[Any]:
    statement = (
        sa.update(device_tokens)
        .where(_C.id == device)
        .values(deactivated_at=sa.func.now(), deactivated_why=why)
        .returning(*_C)
    )
    return conn.execute(statement).one()


def _leave_topics(conn: sa.Connection, row: sa.Row[Any]) -> None:
    members = topic_members.c
    mine = members.device_id == row.id
    if row.platform == "apns":
        conn.execute(sa.delete(topic_members).where(mine))
        return
    leaving = {"state": "unsubscribing", "error": None, "tries": 0, "changed_at": sa.func.clock_timestamp()}
    conn.execute(sa.update(topic_members).where(mine).values(leaving))
