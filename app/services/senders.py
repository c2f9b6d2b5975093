"""Sender identities: whom messages come from."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.db.engine import unavailable_when_down
from app.db.tables import senders
from app.domain.addresses import canonical, domain_of, suppression_key
from app.domain.vocabulary import Channel, MessageType
from app.errors import Fault, Invalid, NotFound
from app.services.audit import Who, record
from app.services.catalog import Catalog
from app.services.field_rules import name_faults

_SLUG = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
# Short codes, the names that some countries show in place of a number, and Twilio's services of numbers.
_NO_NUMBER = re.compile(r"\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}|MG[0-9a-fA-F]{32}")
_C = senders.c


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderDraft:
    """What an identity is. `gateways` are those where it is verified; None means all."""

    address: str
    name: str = ""
    gateways: tuple[str, ...] | None = None
    ip_pool: str | None = None
    default_for: tuple[MessageType, ...] = ()
    is_active: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderView:
    """One identity; `domain` is its address's, for email."""

    slug: str
    channel: Channel
    address: str
    name: str
    domain: str | None
    gateways: tuple[str, ...] | None
    ip_pool: str | None
    default_for: tuple[MessageType, ...]
    is_active: bool


class SenderService:
    """Reading and writing senders; each change lands in the audit log.

    Each call raises Unavailable where PostgreSQL is down.
    """

    def __init__(self, engine: sa.Engine, catalog: Catalog, *, phone_region: str | None = None) -> None:
        self._engine = engine
        self._catalog = catalog
        self._phone_region = phone_region

    def save(
        self, who: Who, channel: Channel, slug: str, draft: SenderDraft, *, why: str | None = None
    ) -> SenderView:
        """Make or replace an identity; a type that it becomes default for is taken from the others.

        Raises Invalid.
        """
        address = self.checked(channel, slug, draft)
        with unavailable_when_down(), self._engine.begin() as conn:
            before = _find(conn, channel, slug)
            _take_defaults(conn, channel, slug, draft.default_for)
            row = _save(conn, channel, slug, draft, address)
            view = _view(row)
            record(
                conn,
                who,
                "sender.save",
                f"sender:{channel}/{slug}",
                before=asdict(_view(before)) if before else None,
                after=asdict(view),
                why=why,
            )
        self._catalog.changed()
        return view

    def get(self, channel: Channel, slug: str) -> SenderView:
        """Give one identity; raises NotFound."""
        with unavailable_when_down(), self._engine.connect() as conn:
            return _view(_required(_find(conn, channel, slug)))

    def list(self, *, channel: Channel | None = None) -> tuple[SenderView, ...]:
        """List all identities by channel and slug; there are few."""
        query = sa.select(senders).order_by(_C.channel, _C.slug)
        if channel is not None:
            query = query.where(_C.channel == channel)
        with unavailable_when_down(), self._engine.connect() as conn:
            return tuple(_view(row) for row in conn.execute(query))

    def remove(self, who: Who, channel: Channel, slug: str, *, why: str | None = None) -> None:
        """Take an identity out of use; messages that wait for it find none. Raises NotFound."""
        with unavailable_when_down(), self._engine.begin() as conn:
            _required(_find(conn, channel, slug))
            conn.execute(
                sa.update(senders).where(_C.channel == channel, _C.slug == slug).values(is_active=False)
            )
            record(conn, who, "sender.remove", f"sender:{channel}/{slug}", why=why)
        self._catalog.changed()

    def checked(self, channel: Channel, slug: str, draft: SenderDraft) -> str:
        """Give the address in canonical form; raises Invalid with all faults."""
        found = [
            *name_faults("name", draft.name or None),
            *name_faults("ip_pool", draft.ip_pool),
            *[fault for gateway in draft.gateways or () for fault in name_faults("gateways", gateway)],
        ]
        if not _SLUG.fullmatch(slug):
            found.append(Fault("slug", "must have 1 to 100 small letters, digits, and . _ - between them"))
        address = draft.address.strip()
        try:
            if channel is Channel.EMAIL or not _NO_NUMBER.fullmatch(address):
                # In the form that suppressions compare, since some hold for one sender only.
                address = suppression_key(channel, canonical(channel, address, region=self._phone_region))
        except Invalid as exc:
            found += [Fault("address", fault.message) for fault in exc.faults]
        if found:
            raise Invalid(found)
        return address


def _find(conn: sa.Connection, channel: Channel, slug: str) -> sa.Row[Any] | None:
    query = sa.select(senders).where(_C.channel == channel, _C.slug == slug)
    return conn.execute(query).one_or_none()


def _required(row: sa.Row[Any] | None) -> sa.Row[Any]:
    if row is None:
        raise NotFound("there is no such sender")
    return row


def _take_defaults(conn: sa.Connection, channel: Channel, slug: str, types: Sequence[MessageType]) -> None:
    """Leave each type with one default at most."""
    for message_type in types:
        conn.execute(
            sa.update(senders)
            .where(
                _C.channel == channel,
                _C.slug != slug,
                sa.literal(message_type.value) == sa.any_(_C.default_for),
            )
            .values(default_for=sa.func.array_remove(_C.default_for, message_type.value))
        )


def _save(conn: sa.Connection, channel: Channel, slug: str, draft: SenderDraft, address: str) -> sa.Row[Any]:
    values = {
        "address": address,
        "name": draft.name,
        "domain": domain_of(address) if channel is Channel.EMAIL else None,
        "gateways": None if draft.gateways is None else list(draft.gateways),
        "ip_pool": draft.ip_pool,
        "default_for": [message_type.value for message_type in draft.default_for],
        "is_active": draft.is_active,
    }
    statement = (
        postgresql.insert(senders)
        .values(channel=channel, slug=slug, **values)
        .on_conflict_do_update(constraint="senders_slug_key", set_=values)
        .returning(*_C)
    )
    return conn.execute(statement).one()


def _view(row: sa.Row[Any]) -> SenderView:
    return SenderView(
        slug=row.slug,
        channel=Channel(row.channel),
        address=row.address,
        name=row.name,
        domain=row.domain,
        gateways=None if row.gateways is None else tuple(row.gateways),
        ip_pool=row.ip_pool,
        default_for=tuple(MessageType(message_type) for message_type in row.default_for),
        is_active=row.is_active,
    )
