"""What may not go after all: suppressed or erased meanwhile, or too late."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from app.db.arrays import flags, numbers, texts
from app.db.sql import run
from app.db.tables import device_tokens
from app.domain.addresses import is_erased, suppression_key
from app.domain.decisions import Decision, Event
from app.domain.lanes import Lane
from app.domain.suppression import MARKETING, reasons_that_block
from app.domain.vocabulary import Channel, EventType, Status
from app.queue import PACKAGE
from app.queue.rows import Claimed
from app.services.sending.content import Contents


def refused(
    conn: sa.Connection, lane: Lane, messages: Sequence[Claimed], contents: Contents, now: datetime
) -> dict[int, Decision]:
    """Decide about the messages that may not be sent now; those not named may go.

    Good for a moment only: suppressions are read here and nowhere kept.
    """
    decisions = {
        message.id: _suppressed(message, reason)
        for message, reason in _blocked(conn, lane, messages, contents)
    }
    for message in _out_of_use(conn, messages):
        decisions.setdefault(message.id, _suppressed(message, "inactive_device"))
    for message in messages:
        if is_erased(message.recipient_address):
            decisions.setdefault(message.id, _cancelled(message))
        if message.expires_at <= now:
            decisions.setdefault(message.id, _expired(message))
    return decisions


def _blocked(
    conn: sa.Connection, lane: Lane, messages: Sequence[Claimed], contents: Contents
) -> Iterable[tuple[Claimed, str]]:
    senders = contents.senders(messages)
    rows = run(
        conn,
        PACKAGE,
        "blocked",
        {
            "ids": numbers(message.id for message in messages),
            "channels": texts(message.channel for message in messages),
            "keys": texts(suppression_key(Channel(m.channel), m.recipient_address) for m in messages),
            "communities": texts(None if m.community_id is None else str(m.community_id) for m in messages),
            "categories": texts(message.category for message in messages),
            "senders": texts(sender.address if sender else None for sender in senders),
            "marketing": flags(message.message_type in MARKETING for message in messages),
            "reasons": [reason.value for reason in reasons_that_block(lane.priority)],
        },
    )
    by_id = {message.id: message for message in messages}
    return [(by_id[row.id], row.reason) for row in rows]


def _out_of_use(conn: sa.Connection, messages: Sequence[Claimed]) -> Iterable[Claimed]:
    """Name the pushes to devices that are known to be out of use."""
    pushes = [message for message in messages if message.channel == Channel.PUSH]
    if not pushes:
        return ()
    query = sa.select(device_tokens.c.token).where(
        device_tokens.c.token.in_({message.recipient_address for message in pushes}),
        device_tokens.c.deactivated_at.is_not(None),
    )
    gone = set(conn.execute(query).scalars())
    return [message for message in pushes if message.recipient_address in gone]


def _suppressed(message: Claimed, reason: str) -> Decision:
    return Decision(
        status=Status.SUPPRESSED,
        gateway=message.gateway,
        attempts=message.attempts,
        tried=tuple(message.tried),
        possible_duplicate=message.possible_duplicate,
        error=f"the recipient is suppressed: {reason}",
        events=(Event(event_type=EventType.SUPPRESSED, data={"reason": reason}),),
    )


def _cancelled(message: Claimed) -> Decision:
    return Decision(
        status=Status.CANCELLED,
        gateway=message.gateway,
        attempts=message.attempts,
        tried=tuple(message.tried),
        possible_duplicate=message.possible_duplicate,
        error="the recipient's address was erased",
        events=(Event(event_type=EventType.CANCELLED, data={"erased": True}),),
    )


def _expired(message: Claimed) -> Decision:
    return Decision(
        status=Status.EXPIRED,
        gateway=message.gateway,
        attempts=message.attempts,
        tried=tuple(message.tried),
        possible_duplicate=message.possible_duplicate,
        events=(Event(event_type=EventType.EXPIRED),),
    )
