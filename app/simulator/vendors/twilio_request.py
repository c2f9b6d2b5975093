"""What Twilio refuses of a request at once, by the first thing that it finds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# The one sender that is not the account's own.
FOREIGN_SENDER = "+15559990000"

_MOST_CHARACTERS = 1600
_MOST_MEDIA = 10
_MOST_TWIML = 4000
_LONGEST_VALIDITY = 36_000
_NUMBER = re.compile(r"(?:whatsapp:)?\+[1-9]\d{6,14}", re.ASCII)
_SENDER = re.compile(r"(?:whatsapp:)?(?:\+[1-9]\d{6,14}|\d{3,8})|(?=.*[A-Za-z])[\w +&.-]{1,11}", re.ASCII)
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_CONTENT = re.compile(r"HX[0-9a-fA-F]{32}")
_ADDRESS = re.compile(r"https?://\S+")

Fields = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Twilio's code, and what it says to it."""

    code: int
    words: str


def message_fault(fields: Fields) -> Fault | None:
    """Find the first thing wrong with a message."""
    return (
        _recipient_fault(fields)
        or _sender_fault(fields)
        or _content_fault(fields)
        or _callback_fault(fields, "StatusCallback")
    )


def call_fault(fields: Fields) -> Fault | None:
    """Find the first thing wrong with a call."""
    return (
        _parties_fault(fields)
        or _instructions_fault(fields)
        or _callback_fault(fields, "Url")
        or _callback_fault(fields, "StatusCallback")
    )


def _parties_fault(fields: Fields) -> Fault | None:
    sender, recipient = _first(fields, "From"), _first(fields, "To")
    if not recipient:
        return Fault(21201, "No 'To' number is specified")
    if not _NUMBER.fullmatch(recipient):
        return Fault(21211, "The 'To' number is not a valid phone number")
    if not _NUMBER.fullmatch(sender):
        return Fault(21212, "The 'From' number is not a valid phone number")
    return Fault(21210, "The source phone number is not verified") if sender == FOREIGN_SENDER else None


def _instructions_fault(fields: Fields) -> Fault | None:
    if len(_first(fields, "Twiml")) > _MOST_TWIML:
        return Fault(21218, "Twiml is too long")
    if not any(_first(fields, name) for name in ("Twiml", "Url", "ApplicationSid")):
        return Fault(21205, "Url parameter is required")
    return None


def _recipient_fault(fields: Fields) -> Fault | None:
    recipient = _first(fields, "To")
    if not recipient:
        return Fault(21604, "A 'To' phone number is required")
    return None if _NUMBER.fullmatch(recipient) else Fault(21211, "Invalid 'To' Phone Number")


def _sender_fault(fields: Fields) -> Fault | None:
    sender, service = _first(fields, "From"), _first(fields, "MessagingServiceSid")
    by_whatsapp = _first(fields, "To").startswith("whatsapp:")
    if not sender and not service:
        return Fault(21603, "A 'From' phone number is required")
    if service and not _SERVICE.fullmatch(service):
        return Fault(21701, "The Messaging Service does not exist")
    if sender and not _SENDER.fullmatch(sender):
        return Fault(21212, "Invalid 'From' Phone Number")
    if sender and sender.startswith("whatsapp:") != by_whatsapp:
        return Fault(63007, "Twilio could not find a Channel with the specified 'From' address")
    if sender.rpartition(":")[2] == FOREIGN_SENDER:
        return Fault(21606, "The 'From' phone number provided is not a valid message-capable number")
    return None


def _content_fault(fields: Fields) -> Fault | None:
    content, media = _first(fields, "ContentSid"), fields.get("MediaUrl", ())
    if content and not _CONTENT.fullmatch(content):
        return Fault(21655, "The ContentSid is invalid")
    if not (content or media or _first(fields, "Body")):
        return Fault(21619, "A text message body or media urls must be specified")
    if len(_first(fields, "Body")) > _MOST_CHARACTERS:
        return Fault(21617, "The concatenated message body exceeds the 1600 character limit")
    if len(media) > _MOST_MEDIA:
        return Fault(21623, "Number of media files exceeds allowed limit")
    validity = _first(fields, "ValidityPeriod") or "1"
    if not validity.isdecimal() or not 1 <= int(validity) <= _LONGEST_VALIDITY:
        return Fault(20001, "ValidityPeriod must be between 1 and 36000")
    return None


def _callback_fault(fields: Fields, name: str) -> Fault | None:
    given = _first(fields, name)
    if not given or _ADDRESS.fullmatch(given):
        return None
    return Fault(21609 if name == "StatusCallback" else 21205, f"Invalid {name}")


def _first(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[0]
