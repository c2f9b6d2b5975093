"""What stops and filters are about: checked against what there is, and spelled for people."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.tables import api_clients, message_batches, message_templates
from app.domain.stops import StopScope
from app.domain.vocabulary import Channel, Priority
from app.errors import Invalid

_WORDS: Mapping[StopScope, Iterable[str]] = {
    StopScope.CHANNEL: tuple(Channel),
    StopScope.PRIORITY: tuple(Priority),
}


def resolved(
    conn: sa.Connection, scope: StopScope, key: str, *, gateways: Iterable[str], field: str = "key"
) -> str:
    """Give the key as it is kept: a client's or batch's id for its name or UUID; raises Invalid."""
    if scope in _WORDS:
        return _one_of(key, _WORDS[scope], field)
    if scope is StopScope.GATEWAY:
        return _one_of(key, sorted(set(gateways)), field)
    if scope is StopScope.CLIENT:
        return str(_client(conn, key, field))
    if scope is StopScope.BATCH:
        return str(_batch(conn, key, field))
    query = sa.select(message_templates.c.slug).where(message_templates.c.slug == key).limit(1)
    if conn.scalar(query) is None:
        raise Invalid.of(field, f"there is no template {key!r}")
    return key


def spelled(conn: sa.Connection, scope: StopScope, key: str | None) -> str | None:
    """Spell a key that is kept as people write it."""
    if key is None:
        return None
    if scope is StopScope.CLIENT:
        return conn.scalar(sa.select(api_clients.c.name).where(api_clients.c.id == int(key))) or key
    if scope is StopScope.BATCH:
        uuid = conn.scalar(sa.select(message_batches.c.uuid).where(message_batches.c.id == int(key)))
        return key if uuid is None else str(uuid)
    return key


def _one_of(key: str, words: Iterable[str], field: str) -> str:
    if key not in words:
        raise Invalid.of(field, f"must be one of {', '.join(words)}")
    return str(key)


def _client(conn: sa.Connection, key: str, field: str) -> Any:
    column = api_clients.c
    found = conn.scalar(sa.select(column.id).where(column.name == key))
    if found is None and key.isdecimal() and len(key) < len(str(2**63)):
        found = conn.scalar(sa.select(column.id).where(column.id == int(key)))
    if found is None:
        raise Invalid.of(field, f"there is no client {key!r}")
    return found


def _batch(conn: sa.Connection, key: str, field: str) -> Any:
    try:
        uuid = UUID(key)
    except ValueError as exc:
        raise Invalid.of(field, "must be the UUID of a batch") from exc
    found = conn.scalar(sa.select(message_batches.c.id).where(message_batches.c.uuid == uuid))
    if found is None:
        raise Invalid.of(field, f"there is no batch {key}")
    return found
