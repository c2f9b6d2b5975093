"""Telling whose key it is."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import api_clients, api_keys
from app.domain.callers import Caller
from app.errors import Forbidden, Unauthenticated
from app.services.key_rows import BEGINNING, digest

KEPT = 5.0  # seconds

_MOST_KEPT = 10_000
_SEEN_EVERY = timedelta(minutes=1)
_K = api_keys.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """Whom a presented key belongs to, and how many requests a minute it may make."""

    caller: Caller
    max_per_minute: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """What was read about a key, and until when (monotonic) it may be believed."""

    known: Known | None
    expires_at: datetime | None
    networks: tuple[IPv4Network | IPv6Network, ...] | None
    until: float


class Authenticator:
    """Tells whose key it is. What it knows is at most five seconds old; threads may share it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._entries: dict[bytes, _Entry] = {}

    def authenticate(self, presented: str, *, address: str | None = None) -> Known:
        """Give the caller behind a key that came from `address`.

        Raises Unauthenticated for a key that is unknown, expired or revoked, Forbidden for an
        address that it may not be used from, Unavailable where the database cannot be asked.
        """
        if not presented.startswith(BEGINNING) or not presented.isascii():
            raise Unauthenticated("this is no key of ours")
        entry = self._entry(digest(presented))
        expired = entry.expires_at is not None and entry.expires_at <= datetime.now(UTC)
        if entry.known is None or expired:
            raise Unauthenticated("this key is unknown, expired or revoked")
        if entry.networks is not None and not _within(address, entry.networks):
            raise Forbidden("this key may not be used from this address")
        return entry.known

    def _entry(self, key: bytes) -> _Entry:
        entry = self._entries.get(key)
        if entry is None or entry.until <= time.monotonic():
            if len(self._entries) >= _MOST_KEPT:
                # Somebody is guessing; what is good is read again.
                self._entries.clear()
            entry = self._entries[key] = self._read(key)
        return entry

    def _read(self, key: bytes) -> _Entry:
        until = time.monotonic() + KEPT
        with unavailable_when_down(), self._engine.begin() as conn:
            row = conn.execute(_by_hash(key)).one_or_none()
            if row is None:
                return _Entry(known=None, expires_at=None, networks=None, until=until)
            if row.unseen:
                seen = sa.update(api_keys).where(_K.id == row.id).values(last_used_at=sa.func.now())
                conn.execute(seen)
        return _Entry(known=_known(row), expires_at=row.expires_at, networks=_networks(row), until=until)


def _by_hash(key: bytes) -> sa.Select[Any]:
    unseen = sa.or_(_K.last_used_at.is_(None), _K.last_used_at < sa.func.now() - _SEEN_EVERY)
    return (
        sa.select(api_keys, api_clients.c.name.label("client"), unseen.label("unseen"))
        .join(api_clients, api_clients.c.id == _K.client_id)
        .where(_K.hash == key, _K.revoked_at.is_(None), api_clients.c.is_active)
    )


def _known(row: sa.Row[Any]) -> Known:
    caller = Caller(
        client_id=row.client_id,
        name=f"{row.client}/{row.name}",
        scopes=frozenset(row.scopes),
        key_id=row.id,
    )
    return Known(caller=caller, max_per_minute=row.max_per_minute)


def _networks(row: sa.Row[Any]) -> tuple[IPv4Network | IPv6Network, ...] | None:
    if row.allowed_addresses is None:
        return None
    return tuple(ip_network(str(network)) for network in row.allowed_addresses)


def _within(address: str | None, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks)
