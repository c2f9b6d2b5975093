"""Making, rotating and revoking API keys."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import api_clients, api_keys
from app.domain.callers import SCOPES
from app.errors import Conflict, Fault, Invalid, NotFound
from app.services.audit import Who, record
from app.services.authenticating import Authenticator, Known
from app.services.clients import ClientView, client_named, create_client, list_clients
from app.services.field_rules import name_faults
from app.services.key_rows import KeyView, insert_key, key_view, keys_query
from app.services.machine import machine_key, seed_senders

__all__ = [
    "Authenticator",
    "ClientView",
    "KeyView",
    "Known",
    "create_client",
    "create_key",
    "list_clients",
    "list_keys",
    "machine_key",
    "revoke_key",
    "rotate_key",
    "seed_senders",
]

_MOST_PER_MINUTE = 10_000_000
_LONGEST_OVERLAP = timedelta(days=90)
_K = api_keys.c


def create_key(
    engine: sa.Engine,
    who: Who,
    client: str,
    name: str,
    scopes: Iterable[str],
    *,
    expires_at: datetime | None = None,
    allowed_addresses: Iterable[str] | None = None,
    max_per_minute: int | None = None,
) -> tuple[KeyView, str]:
    """Make a key for a client; the second is the key itself, which cannot be had again.

    Raises NotFound for an unknown client and Invalid for scopes or addresses that are none.
    """
    wanted = sorted(set(scopes))
    allowed = None if allowed_addresses is None else list(allowed_addresses)
    check_key(name, wanted, expires_at=expires_at, allowed_addresses=allowed, max_per_minute=max_per_minute)
    with unavailable_when_down(), engine.begin() as conn:
        key_id, key = insert_key(
            conn,
            client_named(conn, client).id,
            name,
            wanted,
            expires_at=expires_at,
            allowed_addresses=allowed,
            max_per_minute=max_per_minute,
        )
        after = {"client": client, "name": name, "scopes": wanted}
        record(conn, who, "key.create", f"key:{key_id}", after=after)
        return key_view(_read(conn, key_id)), key


def list_keys(engine: sa.Engine, *, client: str | None = None) -> tuple[KeyView, ...]:
    """List keys, newest first, revoked ones too."""
    query = keys_query().order_by(_K.id.desc())
    if client is not None:
        query = query.where(api_clients.c.name == client)
    with unavailable_when_down(), engine.connect() as conn:
        return tuple(key_view(row) for row in conn.execute(query))


def rotate_key(engine: sa.Engine, who: Who, key_id: int, *, overlap: timedelta) -> tuple[KeyView, str]:
    """Make a key that is like another, which ends after `overlap`; raises NotFound, Conflict."""
    if not timedelta(0) <= overlap <= _LONGEST_OVERLAP:
        raise Invalid.of("overlap", f"must be from 0 to {_LONGEST_OVERLAP.days} days")
    with unavailable_when_down(), engine.begin() as conn:
        old = _read(conn, key_id, lock=True)
        if old.revoked_at is not None or old.rotated_to is not None:
            raise Conflict("this key is revoked or was rotated before")
        new_id, key = insert_key(
            conn,
            old.client_id,
            old.name,
            old.scopes,
            expires_at=old.expires_at,
            allowed_addresses=old.allowed_addresses,
            max_per_minute=old.max_per_minute,
        )
        ends = sa.func.least(_K.expires_at, sa.func.now() + overlap)
        _change(conn, key_id, rotated_to=new_id, expires_at=ends)
        record(conn, who, "key.rotate", f"key:{key_id}", after={"rotated_to": new_id})
        return key_view(_read(conn, new_id)), key


def revoke_key(engine: sa.Engine, who: Who, key_id: int, *, why: str | None = None) -> KeyView:
    """End a key at once (five seconds at most); again is no error. Raises NotFound."""
    with unavailable_when_down(), engine.begin() as conn:
        if _read(conn, key_id, lock=True).revoked_at is None:
            _change(conn, key_id, revoked_at=sa.func.now())
            record(conn, who, "key.revoke", f"key:{key_id}", why=why)
        return key_view(_read(conn, key_id))


def check_key(
    name: str,
    scopes: Sequence[str],
    *,
    expires_at: datetime | None,
    allowed_addresses: Sequence[str] | None,
    max_per_minute: int | None,
) -> None:
    """Raise Invalid with all that is wrong with a wish for a key."""
    found = [*name_faults("name", name)]
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        found.append(Fault("scopes", f"must be some of {', '.join(SCOPES)}"))
    if expires_at is not None and (expires_at.utcoffset() is None or expires_at <= datetime.now(UTC)):
        found.append(Fault("expires_at", "must be a time ahead, with its offset from UTC"))
    if allowed_addresses is not None and not (allowed_addresses and all(map(_is_network, allowed_addresses))):
        found.append(Fault("allowed_addresses", "must be addresses or networks, as in 192.0.2.0/24"))
    if max_per_minute is not None and not 0 < max_per_minute <= _MOST_PER_MINUTE:
        found.append(Fault("max_per_minute", f"must be from 1 to {_MOST_PER_MINUTE}"))
    if found:
        raise Invalid(found)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _read(conn: sa.Connection, key_id: int, *, lock: bool = False) -> sa.Row[Any]:
    query = keys_query().where(_K.id == key_id)
    row = conn.execute(query.with_for_update(of=api_keys) if lock else query).one_or_none()
    if row is None:
        raise NotFound("there is no such key")
    return row


def _change(conn: sa.Connection, key_id: int, **values: Any) -> None:
    conn.execute(sa.update(api_keys).where(_K.id == key_id).values(**values))
