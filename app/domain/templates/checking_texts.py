"""What is wrong with a filled-in text for its channel: how long it is, and what does not work there."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.domain import sms
from app.domain.lengths import excess
from app.domain.templates.findings import Finding, error, info, warning
from app.domain.vocabulary import Channel, MessageType

_SHOWN_TITLE = 65  # characters, on most phones
_SHOWN_BODY = 178
_LONG_CALL = 60  # seconds
WORDS_A_SECOND = 2.5

_ADDRESS = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_STOP = re.compile(r"\bSTOP\b", re.IGNORECASE)
_PLACE = "body_text"
_ASKED_TO_STOP = frozenset({MessageType.NEWSLETTER, MessageType.CAMPAIGN})


def text_findings(
    channel: Channel,
    subject: str | None,
    text: str | None,
    own: Mapping[str, Any],
    *,
    message_type: MessageType | None,
    most_segments: int,
) -> Iterator[Finding]:
    """Look at what a message comes to, filled in with examples."""
    words = excess(channel, subject, text, own, most_segments=most_segments)
    if words:
        yield error("too_long", _PLACE, f"the text {words}", "shorten it")
    look = _LOOKS.get(channel)
    if look:
        yield from look(subject, text or "", own, message_type)


def spoken_seconds(text: str) -> float:
    """Reckon how long a text takes to say."""
    return len(text.split()) / WORDS_A_SECOND


def _sms(
    _: str | None, text: str, own: Mapping[str, Any], message_type: MessageType | None
) -> Iterator[Finding]:
    if own.get("media"):
        return
    found = sms.measure(text)
    yield info("segments", _PLACE, f"with the examples it takes {found.segments} SMS ({found.units} units)")
    if found.forced_by:
        characters = " ".join(found.forced_by[:10])
        yield warning(
            "not_gsm",
            _PLACE,
            f"{characters} leaves the GSM alphabet: 70 characters fit instead of 160",
            "use plain quotes, dashes and letters where you can",
        )
    if message_type in _ASKED_TO_STOP and not _STOP.search(text):
        yield warning(
            "no_stop", _PLACE, "it does not say how to stop these messages", "add: Reply STOP to opt out"
        )


def _whatsapp(_: str | None, __: str, own: Mapping[str, Any], ___: MessageType | None) -> Iterator[Finding]:
    if not own.get("content_sid"):
        yield warning(
            "no_approved_template",
            "parts.content_sid",
            "WhatsApp delivers free text only within 24 hours of the recipient's own message",
            "name the approved template in content_sid",
        )


def _voice(_: str | None, text: str, __: Mapping[str, Any], ___: MessageType | None) -> Iterator[Finding]:
    seconds = spoken_seconds(text)
    yield info("spoken", _PLACE, f"it takes about {seconds:.0f} s to say")
    if seconds > _LONG_CALL:
        yield warning("long_call", _PLACE, "few people listen for more than a minute", "shorten it")
    if _ADDRESS.search(text):
        yield warning(
            "spoken_link", _PLACE, "a web address cannot be followed from a call", "say where else to look"
        )


def _push(subject: str | None, text: str, own: Mapping[str, Any], _: MessageType | None) -> Iterator[Finding]:
    title = str(own.get("title") or subject or "")
    if len(title) > _SHOWN_TITLE:
        message = f"the title has {len(title)} characters; phones show about {_SHOWN_TITLE}"
        yield warning("push_title", "subject", message, "put what matters first")
    if len(text) > _SHOWN_BODY:
        message = f"the text has {len(text)} characters; phones show about {_SHOWN_BODY}"
        yield warning("push_body", _PLACE, message, "put what matters first")
    image = own.get("image")
    if image and not str(image).startswith("https://"):
        yield error(
            "push_image", "parts.image", "the picture's address is not over https", "phones load no other"
        )


_LOOKS = {Channel.SMS: _sms, Channel.WHATSAPP: _whatsapp, Channel.VOICE: _voice, Channel.PUSH: _push}
