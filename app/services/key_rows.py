"""API keys as rows: `tcs_` and 43 characters, shown once, kept as SHA-256."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.db.tables import api_clients, api_keys

BEGINNING = "tcs_"
SHOWN = 12

_RANDOM_BYTES = 32
_K = api_keys.c


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyView:
    """A key without its secret; `prefix` are its first characters, by which people tell keys apart."""

    id: int
    client: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    allowed_addresses: tuple[str, ...] | None
    max_per_minute: int | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


def new_key() -> str:
    """Make up a key; 32 random bytes need no slow hash to be kept safely."""
    return BEGINNING + secrets.token_urlsafe(_RANDOM_BYTES)


def digest(key: str) -> bytes:
    """Give what of a key is kept."""
    return hashlib.sha256(key.encode()).digest()


def insert_key(
    conn: sa.Connection,
    client_id: int,
    name: str,
    scopes: list[str],
    *,
    expires_at: datetime | None = None,
    allowed_addresses: list[str] | None = None,
    max_per_minute: int | None = None,
) -> tuple[int, str]:
    """Write a new key's row; gives its id and the key itself."""
    key = new_key()
    statement = (
        sa.insert(api_keys)
        .values(
            client_id=client_id,
            name=name,
            prefix=key[:SHOWN],
            hash=digest(key),
            scopes=scopes,
            expires_at=expires_at,
            allowed_addresses=allowed_addresses,
            max_per_minute=max_per_minute,
        )
        .returning(_K.id)
    )
    return int(conn.execute(statement).scalar_one()), key


def keys_query() -> sa.Select[Any]:
    """Select keys with their client's name."""
    return sa.select(api_keys, api_clients.c.name.label("client")).join(
        api_clients, api_clients.c.id == _K.client_id
    )


def key_view(row: sa.Row[Any]) -> KeyView:
    """Show a key."""
    allowed = row.allowed_addresses
    return KeyView(
        id=row.id,
        client=row.client,
        name=row.name,
        prefix=row.prefix,
        scopes=tuple(row.scopes),
        allowed_addresses=None if allowed is None else tuple(str(network) for network in allowed),
        max_per_minute=row.max_per_minute,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        created_at=row.created_at,
    )
