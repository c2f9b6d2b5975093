"""What `tocsin up` prepares for the person at this machine: a client, a key, and someone to send as."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.db.engine import unavailable_when_down
from app.db.tables import api_clients, api_keys, senders
from app.domain.callers import SCOPES
from app.domain.vocabulary import Channel, MessageType
from app.services.audit import Who, record
from app.services.clients import client_named, insert_client
from app.services.key_rows import digest, insert_key

CLIENT = "local"
_FILE = "machine.key"
_WHO = Who(actor="tocsin up")

# One identity for each kind of message, at a domain that reaches nobody.
_IDENTITIES = {
    MessageType.EMERGENCY: ("emergency", "Emergency Desk"),
    MessageType.ALERT: ("alerts", "Breaking News"),
    MessageType.NEWSLETTER: ("news", "The Newsletter"),
    MessageType.CAMPAIGN: ("offers", "Offers"),
    MessageType.TRANSACTIONAL: ("hello", "Hello"),
}

# One for each other channel, good for all kinds.
_OF_CHANNELS = {
    Channel.SMS: "+15550100100",
    Channel.WHATSAPP: "+15550100200",
    Channel.VOICE: "+15550100300",
    Channel.PUSH: "app",
}


def machine_key(engine: sa.Engine, data_dir: Path) -> str:
    """Give this machine's own key, with all scopes; it is kept in a file that only its owner reads.

    A key that the database does not know, or that lacks a scope, is made anew. Raises Unavailable.
    """
    file = data_dir / _FILE
    with unavailable_when_down(), engine.begin() as conn:
        key = _kept(file)
        if key is not None and _is_good(conn, key):
            return key
        insert_client(conn, CLIENT, "Commands on this machine")
        client = client_named(conn, CLIENT)
        key_id, key = insert_key(conn, client.id, "machine", sorted(SCOPES))
        record(conn, _WHO, "key.create", f"key:{key_id}", after={"client": CLIENT, "name": "machine"})
    _keep(file, key)
    return key


def seed_senders(engine: sa.Engine) -> bool:
    """Make default senders on every channel that has none at all; tells whether it did.

    Meant for the simulator only: the addresses are of a domain, and numbers, that reach nobody.
    """
    with unavailable_when_down(), engine.begin() as conn:
        known = set(conn.scalars(sa.select(senders.c.channel).distinct()))
        rows = [row for row in _identities() if row["channel"] not in known]
        if not rows:
            return False
        conn.execute(postgresql.insert(senders).on_conflict_do_nothing(), rows)
        record(conn, _WHO, "sender.seed", "senders", after={"slugs": [row["slug"] for row in rows]})
    return True


def _identities() -> Iterator[dict[str, object]]:
    for message_type, (slug, name) in _IDENTITIES.items():
        yield {
            "slug": slug,
            "channel": Channel.EMAIL.value,
            "address": f"{slug}@example.com",
            "name": name,
            "domain": "example.com",
            "default_for": [message_type.value],
        }
    for channel, address in _OF_CHANNELS.items():
        yield {
            "slug": channel.value,
            "channel": channel.value,
            "address": address,
            "name": "",
            "domain": None,
            "default_for": [message_type.value for message_type in MessageType],
        }


def _is_good(conn: sa.Connection, key: str) -> bool:
    known = api_keys.c
    query = (
        sa.select(known.scopes)
        .join(api_clients, api_clients.c.id == known.client_id)
        .where(
            known.hash == digest(key),
            known.revoked_at.is_(None),
            sa.or_(known.expires_at.is_(None), known.expires_at > sa.func.now()),
            api_clients.c.is_active,
        )
    )
    scopes = conn.scalar(query)
    return scopes is not None and set(SCOPES) <= set(scopes)


def _kept(file: Path) -> str | None:
    with suppress(FileNotFoundError, UnicodeDecodeError):
        return file.read_text(encoding="ascii").strip() or None
    return None


def _keep(file: Path, key: str) -> None:
    """Write the key where only the owner may read it, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(f".{os.getpid()}")
    # Left over by a process of the same number that was killed here.
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(key + "\n")
    beside.replace(file)
