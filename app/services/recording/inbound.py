"""What people send us: kept once, obeyed where it is a refusal, told to callers where it is an answer."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.sql import run
from app.db.tables import inbound_messages, senders
from app.domain.addresses import masked, suppression_key
from app.domain.facts import Fact, Inbound, InboundKind, Tag
from app.domain.opt_words import Meaning, is_answer_too, meaning
from app.domain.vocabulary import Channel, EventType, Priority, SuppressionReason
from app.queue import PACKAGE
from app.services.audit import Who
from app.services.audit import record as audit
from app.services.recording.heard import Heard
from app.services.sending.tools import Tools
from app.services.suppressing import Blame, suppress

# Somebody who asks for help again and again, a machine perhaps, is not answered each time.
HELPED_FOR = timedelta(hours=1)
LONGEST_TEXT = 10_000
LONGEST_DIGITS = 32

_KEPT = inbound_messages.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """Something that a person sent, by which gateway it came, and in which request."""

    gateway: str
    inbox: int | None
    inbound: Inbound


@dataclass(kw_only=True, slots=True)
class _Letter:
    """One that was not told before: its row, what it means, the message that it answers."""

    received: Received
    meaning: Meaning | None
    id: int = 0
    message: sa.Row[Any] | None = None
    obeyed: bool = False
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inbound(self) -> Inbound:
        return self.received.inbound


def take_in(conn: sa.Connection, tools: Tools, received: Sequence[Received]) -> list[Heard]:
    """Keep what was not told before, and do what follows from it; commit afterwards.

    A refusal suppresses its sender for that sender of ours, asking again releases just that. Gives what
    there is to record about messages of ours. Raises Unavailable.
    """
    if not received:
        return []
    _hold(conn, received)
    letters = _only_new(conn, received)
    if not letters:
        return []
    _match(conn, tools, letters)
    _keep(conn, letters)
    _obey(conn, tools, [letter for letter in letters if letter.meaning in (Meaning.STOP, Meaning.START)])
    for letter in letters:
        if letter.meaning is Meaning.HELP:
            _help(conn, tools, letter)
    return [heard for letter in letters if (heard := _heard(letter))]


def _hold(conn: sa.Connection, received: Sequence[Received]) -> None:
    run(conn, PACKAGE, "hold_senders", _people([each.inbound for each in received]))


def _only_new(conn: sa.Connection, received: Sequence[Received]) -> list[_Letter]:
    by_key = {_key(each): each for each in reversed(received)}
    new = {row.key for row in run(conn, PACKAGE, "new_event_keys", {"keys": list(by_key)})}
    return [
        _Letter(received=each, meaning=_meaning(each.inbound))
        for key, each in reversed(by_key.items())
        if key in new
    ]


def _key(received: Received) -> UUID:
    told = f"{received.gateway}\x1finbound\x1f{received.inbound.key}".encode()
    return UUID(bytes=hashlib.blake2b(told, digest_size=16).digest())


def _meaning(inbound: Inbound) -> Meaning | None:
    if inbound.opt_out is not None:
        return Meaning.STOP if inbound.opt_out else Meaning.START
    return meaning(inbound.text) if inbound.kind is InboundKind.MESSAGE else None


def _match(conn: sa.Connection, tools: Tools, letters: Sequence[_Letter]) -> None:
    """Find the message of ours that each answers."""
    inbounds = [letter.inbound for letter in letters]
    tags = [inbound.tag for inbound in inbounds]
    parameters = {
        **_people(inbounds),
        "numbers": list(range(len(letters))),
        "recipients": [inbound.recipient for inbound in inbounds],
        "times": [inbound.received_at for inbound in inbounds],
        "uuids": [tag.uuid if tag else None for tag in tags],
        "priorities": [tag.priority.value if tag else None for tag in tags],
        "within": tools.reply_within,
    }
    for row in run(conn, PACKAGE, "answered", parameters):
        letters[row.number].message = row


def _people(inbounds: Sequence[Inbound]) -> dict[str, list[Any]]:
    return {
        "channels": [inbound.channel.value for inbound in inbounds],
        "senders": [inbound.sender for inbound in inbounds],
    }


def _keep(conn: sa.Connection, letters: Sequence[_Letter]) -> None:
    statement = sa.insert(inbound_messages).returning(_KEPT.id, sort_by_parameter_order=True)
    ids = conn.execute(statement, [_row(letter) for letter in letters]).scalars()
    for letter, id_ in zip(letters, ids, strict=True):
        letter.id = id_


def _row(letter: _Letter) -> dict[str, Any]:
    inbound, message = letter.inbound, letter.message
    return {
        "channel": inbound.channel.value,
        "gateway": letter.received.gateway,
        "external_id": inbound.external_id,
        "sender_address": inbound.sender,
        "recipient_address": inbound.recipient,
        "body": _storable(inbound.text),
        "kind": inbound.kind.value,
        "media": [_storable(url) for url in inbound.media],
        "meaning": letter.meaning.value if letter.meaning else None,
        "message_id": message.id if message else None,
        "message_uuid": message.uuid if message else None,
        "client_id": message.client_id if message else None,
        "inbox_id": letter.received.inbox,
        "received_at": inbound.received_at,
    }


def _storable(text: str) -> str:
    """Leave out what PostgreSQL cannot keep; nobody can be asked to send it again."""
    return text[:LONGEST_TEXT].replace("\x00", "").encode("utf-8", "replace").decode()


def _obey(conn: sa.Connection, tools: Tools, letters: Sequence[_Letter]) -> None:
    """Do what these words ask for, each unless its sender has sent another word since."""
    if not letters:
        return
    inbounds = [letter.inbound for letter in letters]
    parameters = {**_people(inbounds), "recipients": [inbound.recipient for inbound in inbounds]}
    by_id = {letter.id: letter for letter in letters}
    last = [by_id[row.id] for row in run(conn, PACKAGE, "last_words", parameters) if row.id in by_id]
    _refuse(conn, tools, [letter for letter in last if letter.meaning is Meaning.STOP])
    _release(conn, [letter for letter in last if letter.meaning is Meaning.START])


def _refuse(conn: sa.Connection, tools: Tools, letters: Sequence[_Letter]) -> None:
    blames = [
        Blame(
            message=letter.message.id if letter.message else None,
            channel=letter.inbound.channel,
            address=letter.inbound.sender,
            reason=SuppressionReason.UNSUBSCRIBE,
            source=letter.received.gateway,
            sender=sender,
        )
        for letter in letters
        for sender in letter.inbound.senders
    ]
    suppress(conn, tools.policy, blames)
    for letter in letters:
        letter.obeyed = True


def _release(conn: sa.Connection, letters: Sequence[_Letter]) -> None:
    if not letters:
        return
    asked = [(letter, sender) for letter in letters for sender in letter.inbound.senders]
    inbounds = [letter.inbound for letter, _ in asked]
    parameters = {
        "channels": [inbound.channel.value for inbound in inbounds],
        "addresses": [suppression_key(inbound.channel, inbound.sender) for inbound in inbounds],
        "senders": [sender for _, sender in asked],
    }
    released = set()
    for row in run(conn, PACKAGE, "release_refused", parameters):
        released.add((row.channel, row.address, row.sender))
        audit(conn, Who(actor="inbound"), "suppression.release", f"suppression:{row.id}",
              before=_for_audit(row), why="they asked for messages again")  # fmt: skip
    for (letter, _), refused in zip(asked, zip(*parameters.values(), strict=True), strict=True):
        letter.obeyed |= refused in released


def _for_audit(row: sa.Row[Any]) -> dict[str, str]:
    """Say what was released without the address, which must be erasable: the log never is."""
    return {
        "channel": row.channel,
        "address": masked(Channel(row.channel), row.address),
        "reason": SuppressionReason.UNSUBSCRIBE.value,
        "source": row.source,
        "sender": row.sender,
    }


def _help(conn: sa.Connection, tools: Tools, letter: _Letter) -> None:
    """Answer, where there is a text for it, and nobody answered the same person lately."""
    inbound = letter.inbound
    if tools.help_desk is None or _was_helped(conn, inbound):
        return
    query = sa.select(senders.c.slug).where(
        senders.c.channel == inbound.channel.value,
        senders.c.address.in_(inbound.senders),
        senders.c.is_active,
    )
    slug = conn.scalar(query.limit(1))
    # Under one key, so that nobody is answered twice where this is done again after a fault.
    key = str(_key(letter.received))
    if slug and tools.help_desk.answer(inbound.channel, inbound.sender, sender=slug, key=key):
        conn.execute(
            sa.update(inbound_messages).where(_KEPT.id == letter.id).values(answered_at=sa.func.now())
        )


def _was_helped(conn: sa.Connection, inbound: Inbound) -> bool:
    query = sa.select(_KEPT.id).where(
        _KEPT.sender_address == inbound.sender,
        _KEPT.channel == inbound.channel.value,
        _KEPT.answered_at > sa.func.now() - HELPED_FOR,
    )
    return bool(conn.scalar(sa.select(sa.exists(query))))


def _heard(letter: _Letter) -> Heard | None:
    """Say what is to be recorded about the message that this answers; None where there is nothing."""
    inbound, event = letter.inbound, _event(letter)
    tag = _tag(letter)
    if event is None or tag is None:
        return None
    data: dict[str, str | int | bool] = {"inbound_id": letter.id}
    if inbound.kind is InboundKind.DIGITS:
        data["digits"] = _storable(inbound.text)[:LONGEST_DIGITS]
    fact = Fact(
        key=f"inbound:{inbound.key}",
        event_type=event,
        occurred_at=inbound.received_at,
        tag=tag,
        external_event_id=inbound.external_id,
        sender=inbound.recipient if event is EventType.UNSUBSCRIBED else None,
        data=data,
    )
    return Heard(gateway=letter.received.gateway, fact=fact, inbox=letter.received.inbox)


def _event(letter: _Letter) -> EventType | None:
    inbound = letter.inbound
    if letter.meaning is Meaning.STOP:
        return EventType.UNSUBSCRIBED if letter.obeyed else None
    if letter.meaning is Meaning.START:
        # A yes where there was nothing to release is the answer to a question.
        answers = inbound.opt_out is None and not letter.obeyed and is_answer_too(inbound.text)
        return EventType.REPLIED if answers else None
    if letter.meaning is Meaning.HELP:
        return None
    # That the key was pressed that the call asked for, the gateway itself tells as a fact.
    return None if _is_asked_for(letter) else EventType.REPLIED


def _is_asked_for(letter: _Letter) -> bool:
    inbound, message = letter.inbound, letter.message
    if inbound.kind is not InboundKind.DIGITS or message is None:
        return False
    return bool(inbound.text == message.confirm_digit)


def _tag(letter: _Letter) -> Tag | None:
    message = letter.message
    if letter.inbound.tag is not None or message is None:
        return letter.inbound.tag
    return Tag(uuid=message.uuid, priority=Priority(message.priority), attempt=message.tries)
