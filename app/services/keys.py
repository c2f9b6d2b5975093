"""API keys: `tcs_` and 43 characters, shown once, kept as SHA-256."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from app.domain.callers import Caller
from app.services.audit import Who


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientView:
    """A calling module."""

    id: int
    name: str
    description: str
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """Whom a presented key belongs to, and how many requests a minute it may make."""

    caller: Caller
    max_per_minute: int | None


class Authenticator:
    """Tells whose key it is. What it knows is at most five seconds old; threads may share it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def authenticate(self, presented: str, *, address: str | None = None) -> Known:
        """Give the caller behind a key that came from `address`.

        Raises Unauthenticated for a key that is unknown, expired or revoked, Forbidden for an
        address that it may not be used from.
        """
        raise NotImplementedError


def create_client(engine: sa.Engine, who: Who, name: str, *, description: str = "") -> ClientView:
    """Make a client; raises Conflict where the name is taken."""
    raise NotImplementedError


def list_clients(engine: sa.Engine) -> tuple[ClientView, ...]:
    """List all clients by name."""
    raise NotImplementedError


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
    raise NotImplementedError


def list_keys(engine: sa.Engine, *, client: str | None = None) -> tuple[KeyView, ...]:
    """List keys, newest first, revoked ones too."""
    raise NotImplementedError


def rotate_key(engine: sa.Engine, who: Who, key_id: int, *, overlap: timedelta) -> tuple[KeyView, str]:
    """Make a key that is like another, which ends after `overlap`; raises NotFound, Conflict."""
    raise NotImplementedError


def revoke_key(engine: sa.Engine, who: Who, key_id: int, *, why: str | None = None) -> KeyView:
    """End a key at once (five seconds at most); again is no error. Raises NotFound."""
    raise NotImplementedError


def machine_key(engine: sa.Engine, data_dir: Path) -> str:
    """Give this machine's own key, with all scopes; it is kept in a file that only its owner reads.

    A key that the database does not know is made anew.
    """
    raise NotImplementedError
