"""What a relay's last reply means, by the command that it answers and by its codes."""

import re

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.answers import code_in_short, in_short
from app.gateways.base import Envelope, MailReply

Meaning = tuple[OutcomeClass, ConfigScope | None]

ACCEPTED: Meaning = (OutcomeClass.ACCEPTED, None)
RECIPIENT: Meaning = (OutcomeClass.RECIPIENT, None)
UNREACHABLE: Meaning = (OutcomeClass.UNREACHABLE, None)
CONTENT: Meaning = (OutcomeClass.CONTENT, None)
THROTTLE: Meaning = (OutcomeClass.THROTTLE, None)
TRANSIENT: Meaning = (OutcomeClass.TRANSIENT, None)
UNKNOWN: Meaning = (OutcomeClass.UNKNOWN, None)
ACCOUNT: Meaning = (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)
SENDER: Meaning = (OutcomeClass.CONFIG, ConfigScope.SENDER)

# What is not as the first two parts of the status say.
_MEANING_OF_RECIPIENT = {"5.2.2": UNREACHABLE, "5.1.7": SENDER, "5.1.8": SENDER}

_GOOD = range(200, 300)
_LATER = range(400, 500)
_NEVER = range(500, 600)
_CLOSING = 421
_ABOUT_SENDER = frozenset({550, 553})
_ENHANCED = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![0-9.])")
_QUEUE_ID = re.compile(r"(?:queued as|\bid=)\s*<?([A-Za-z0-9._-]{4,64})", re.IGNORECASE)
# Relays look at a sender only when the first recipient is named, and say so in words of their own.
_OURS = re.compile(r"relay|authenticat|not permitted|not allowed|not authori[sz]ed|not owned", re.IGNORECASE)
_OUR_SENDER = re.compile(r"\bsender\b|\bfrom\b|not owned", re.IGNORECASE)


def outcome_of(message: Envelope, reply: MailReply) -> Outcome:
    """Tell what the reply with which the relay ended means for its one message."""
    text = reply.body.decode(errors="replace")
    enhanced = _ENHANCED.match(text)
    status = enhanced[0] if enhanced else ""
    kind, scope = _meaning(reply, status, text)
    queued = _QUEUE_ID.search(text) if kind is OutcomeClass.ACCEPTED else None
    return Outcome(
        kind=kind,
        scope=scope,
        code=code_in_short(status or str(reply.status)),
        detail=in_short(f"{reply.command}: {reply.status} {text}", without=[message.address]),
        external_id=queued[1].rstrip(".") if queued else None,
    )


def _meaning(reply: MailReply, status: str, text: str) -> Meaning:
    if reply.command == "DOT":
        return _of_mail(reply.status, status)
    if reply.command == "DATA":
        # Before the mail nothing can have been taken, whatever a relay calls a yes here.
        return TRANSIENT if reply.status < _LATER.start else _of_mail(reply.status, status)
    if reply.command == "RCPT":
        return _of_recipient(reply.status, status, text)
    return _of_session(reply, status)


def _of_mail(code: int, status: str) -> Meaning:
    if code in _GOOD:
        return ACCEPTED
    if code in _LATER:
        return THROTTLE if status.startswith("4.7.") else TRANSIENT
    return CONTENT if code in _NEVER else UNKNOWN


def _of_recipient(code: int, status: str, text: str) -> Meaning:
    if code == _CLOSING or status.startswith("4.7."):
        return THROTTLE
    if code not in _NEVER:
        return UNREACHABLE if status.startswith("4.2.") else TRANSIENT
    if status in _MEANING_OF_RECIPIENT:
        return _MEANING_OF_RECIPIENT[status]
    if status.startswith("5.1."):
        return RECIPIENT
    if (status.startswith("5.7.") or not status) and _OURS.search(text):
        return SENDER if _OUR_SENDER.search(text) else ACCOUNT
    return CONTENT


def _of_session(reply: MailReply, status: str) -> Meaning:
    """Read a reply to all up to MAIL: nothing of it is about the recipient."""
    if reply.status == _CLOSING:
        return THROTTLE
    if reply.status not in _NEVER:
        return TRANSIENT
    if reply.command == "MAIL":
        if status.startswith("5.3.") or (reply.status == 552 and not status):  # noqa: PLR2004 — too large.
            return CONTENT
        if reply.status in _ABOUT_SENDER or status in {"5.1.7", "5.1.8"}:
            return SENDER
    return ACCOUNT
