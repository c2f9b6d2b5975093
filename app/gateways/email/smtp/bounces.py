"""What comes back by mail: reports of delivery (RFC 3464), of abuse (RFC 5965), and bounces of older kinds.

Nothing in such a mail is trusted but our tag, which stands in the address that it came back to and in
the Message-ID of what it is about.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from email.utils import parsedate_to_datetime

from app.domain.facts import Fact, Tag
from app.domain.vocabulary import EventType, OutcomeClass
from app.gateways.answers import code_in_short, in_short, key_of
from app.gateways.email.mime import tag_of_message_id
from app.gateways.email.smtp.return_path import tag_of_return_path

Meaning = tuple[EventType, OutcomeClass | None]
Told = tuple[Meaning, str, str]  # what it means, its code, its words

_HARD_BOUNCE: Meaning = (EventType.BOUNCED, OutcomeClass.RECIPIENT)
_SOFT_BOUNCE: Meaning = (EventType.BOUNCED, OutcomeClass.UNREACHABLE)
_DELAYED: Meaning = (EventType.DEFERRED, OutcomeClass.UNREACHABLE)
_DELIVERED: Meaning = (EventType.DELIVERED, None)
_COMPLAINED: Meaning = (EventType.COMPLAINED, None)
_UNSUBSCRIBED: Meaning = (EventType.UNSUBSCRIBED, None)

_REPORTED_ABUSE = {
    "abuse": _COMPLAINED,
    "fraud": _COMPLAINED,
    "virus": _COMPLAINED,
    "other": _COMPLAINED,
    "opt-out": _UNSUBSCRIBED,
    "opt-out-list": _UNSUBSCRIBED,
}
_CAME_BACK_TO = ("To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")
_STATUS = re.compile(r"(?<![0-9.])([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![0-9.])")
_REPLY = re.compile(r"(?<![0-9.])([45][0-9]{2})(?![0-9.])")
# A subject that says nothing is 5.0.0; then the old codes decide.
_UNSPECIFIED = re.compile(r"[245]\.0\.0")
# No such mailbox, host or address; one about the sender's address is none about the recipient's.
_NO_SUCH_ADDRESS = re.compile(r"5\.1\.(?!7$|8$)[0-9]+|5\.2\.1|5\.4\.4")
_NO_SUCH_MAILBOX = frozenset({"550", "551", "553"})
_DAEMON = re.compile(r"mailer-daemon|postmaster", re.IGNORECASE)
_LONGEST_TEXT = 20_000


def facts_of(source: bytes, received_at: datetime) -> list[Fact]:
    """Read the fact of one mail that came back; none of what is no report, or not about a mail of ours.

    Answers of people and of their absence come to the same address, and tell nothing.
    """
    try:
        mail = message_from_bytes(source, policy=compat32)
        told = next(_told(mail), None)
        tag = _tag(mail) if told else None
    except (RecursionError, ValueError, LookupError):
        # Mails can be nested and misspelled beyond what the parser takes.
        return []
    if told is None or tag is None:
        return []
    (event_type, outcome), code, words = told
    return [
        Fact(
            key=key_of("smtp", tag, event_type, _header(mail, "Message-ID") or source),
            event_type=event_type,
            occurred_at=_date(mail, received_at),
            tag=tag,
            outcome=outcome,
            code=code_in_short(code),
            detail=in_short(words),
        )
    ]


def _told(mail: Message) -> Iterator[Told]:
    reports = [part for part in mail.walk() if part is not mail or not part.is_multipart()]
    for part in reports:
        kind = part.get_content_type()
        if kind == "message/delivery-status":
            yield from _deliveries(part)
        elif kind == "message/feedback-report":
            yield from _complaints(part)
    if not any(part.get_content_type().startswith("message/") for part in reports):
        yield from _old_bounce(mail)


def _deliveries(part: Message) -> Iterator[Told]:
    """Read the blocks about recipients: of one mail to one person the first that failed says most."""
    blocks = [block for block in _blocks(part) if block["Action"]]
    for block in sorted(blocks, key=lambda block: _action(block) != "failed"):
        status, said = _header(block, "Status"), _header(block, "Diagnostic-Code")
        found = _STATUS.search(status)
        code = found[0] if found else ""
        if _action(block) == "failed":
            yield _meaning_of_failure(code, said), _specific(code, said), said
        elif _action(block) == "delayed":
            yield _DELAYED, _specific(code, said), said
        elif _action(block) == "delivered":
            yield _DELIVERED, code, said


def _action(block: Message) -> str:
    return _header(block, "Action").partition(";")[0].strip().lower()


def _complaints(part: Message) -> Iterator[Told]:
    for block in _blocks(part):
        kind = _header(block, "Feedback-Type").lower()
        if kind in _REPORTED_ABUSE:
            yield _REPORTED_ABUSE[kind], kind, _header(block, "User-Agent")


def _old_bounce(mail: Message) -> Iterator[Told]:
    """Read what a mail system says in plain words; only a clear no counts for more than a soft bounce."""
    text = _text(mail)
    if not _DAEMON.search(_header(mail, "From")) or _header(mail, "Auto-Submitted").startswith(
        "auto-replied"
    ):
        return
    status, reply = _STATUS.search(text), _REPLY.search(text)
    if status and status[1] != "2":
        yield _meaning_of_failure(status[0], text), status[0], text
    elif reply:
        yield _SOFT_BOUNCE, reply[1], text


def _meaning_of_failure(code: str, said: str) -> Meaning:
    """Tell a hard bounce from all that speaks of content, policy, size or patience at its end."""
    code = _specific(code, said)
    if code and not _UNSPECIFIED.fullmatch(code):
        return _HARD_BOUNCE if _NO_SUCH_ADDRESS.fullmatch(code) else _SOFT_BOUNCE
    reply = _REPLY.search(said)
    return _HARD_BOUNCE if reply and reply[1] in _NO_SUCH_MAILBOX else _SOFT_BOUNCE


def _specific(code: str, said: str) -> str:
    """Prefer what the recipient's server said to a code that says nothing."""
    if code and not _UNSPECIFIED.fullmatch(code):
        return code
    found = _STATUS.search(said)
    return found[0] if found else code


def _tag(mail: Message) -> Tag | None:
    """Find our tag: where the mail came back to, else in what it quotes of ours."""
    for value in _values(mail, _CAME_BACK_TO):
        if tag := tag_of_return_path(value):
            return tag
    for part in mail.walk():
        if part is mail:
            continue
        fields = _values(part, ("Original-Mail-From", "Return-Path"))
        ids = _values(part, ("Message-ID",))
        for tag in (*map(tag_of_return_path, fields), *map(tag_of_message_id, ids)):
            if tag:
                return tag
        if part.get_content_type() == "text/rfc822-headers" and (tag := _quoted(part)):
            return tag
    return None


def _quoted(part: Message) -> Tag | None:
    text = _text(part)
    return tag_of_return_path(text) or tag_of_message_id(text)


def _blocks(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []


def _text(mail: Message) -> str:
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            content = part.get_payload(decode=True)
            return content[:_LONGEST_TEXT].decode("utf-8", "replace") if isinstance(content, bytes) else ""
    return ""


def _values(part: Message, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        for value in part.get_all(name, []):
            yield str(value)


def _header(part: Message, name: str) -> str:
    return next(_values(part, [name]), "").strip()


def _date(mail: Message, received_at: datetime) -> datetime:
    """Read when it was written; whatever lies ahead of its coming, or cannot be read, is not believed."""
    try:
        written = parsedate_to_datetime(_header(mail, "Date"))
    except ValueError:
        return received_at
    aware = written if written.tzinfo else written.replace(tzinfo=UTC)
    return min(aware.astimezone(UTC), received_at)
