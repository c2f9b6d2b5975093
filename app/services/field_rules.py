"""What may stand in each field of a request, apart from everything else known."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from app.domain import emails
from app.domain.rendering import LONGEST_HTML, LONGEST_SUBJECT, LONGEST_TEXT
from app.domain.vocabulary import Channel
from app.errors import Fault, Invalid
from app.gateways.email.mail import mailbox
from app.services.requests import File, Head

LONGEST_NAME = 100
LONGEST_METADATA = 4 * 1024
LONGEST_DATA = 64 * 1024
LONGEST_HEADER = 998
MOST_HEADERS = 20
MOST_ATTACHMENTS = 10
FURTHEST_AHEAD = timedelta(days=366)
LARGEST_ID = 2**63 - 1

# Whatever could end a header's line, or that PostgreSQL cannot keep.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_HEADERS = re.compile(r"(?:In-Reply-To|References|List-[A-Za-z0-9-]{1,60})", re.IGNORECASE)
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*(?:;[ -~]*)?")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


def head_faults(head: Head, now: datetime, *, wordless: bool = False) -> Iterator[Fault]:
    """Tell all that is wrong with the shared fields by themselves; `wordless` is one that needs no words."""
    yield from _name_faults(head)
    yield from id_faults("community_id", head.community_id)
    yield from id_faults("source_id", head.source_id)
    yield from _content_faults(head, wordless=wordless)
    yield from _mail_faults(head)
    yield from json_faults("metadata", head.metadata, LONGEST_METADATA)
    yield from _time_faults(head, now)


def name_faults(field: str, value: str | None) -> Iterator[Fault]:
    """Tell what is wrong with a short text in one line."""
    if value is None:
        return
    if not value.strip() or len(value) > LONGEST_NAME:
        yield Fault(field, f"must have 1 to {LONGEST_NAME} characters")
    elif _CONTROL.search(value):
        yield Fault(field, "contains a line break or another control character; remove it")


def locale_faults(value: str | None) -> Iterator[Fault]:
    """Tell what is wrong with a language tag."""
    if value is not None and not _LOCALE.fullmatch(value):
        yield Fault("locale", "must be a language tag, as in de or pt-BR")


def id_faults(field: str, value: int | None) -> Iterator[Fault]:
    """Tell what is wrong with a number of the caller's."""
    if value is not None and not 0 <= value <= LARGEST_ID:
        yield Fault(field, f"must be from 0 to {LARGEST_ID}")


def json_faults(field: str, value: Mapping[str, Any], longest: int) -> Iterator[Fault]:
    """Tell why a mapping cannot be kept; `longest` is in bytes as JSON."""
    if not value:
        return
    try:
        storable(value, longest)
    except ValueError as exc:
        yield Fault(field, str(exc))


def storable(value: Mapping[str, Any], longest: int) -> str:
    """Give a mapping as JSON that PostgreSQL can keep; raises ValueError that says why it cannot."""
    try:
        text = orjson.dumps(value)
    except TypeError as exc:
        raise ValueError("must be plain JSON, with whole numbers of 64 bits at most") from exc
    if len(text) > longest:
        raise ValueError(f"is longer than {longest} bytes")
    if b"\\u0000" in text and _ESCAPED_NUL.search(text):
        raise ValueError("contains the character NUL; remove it")
    return text.decode()


def _name_faults(head: Head) -> Iterator[Fault]:
    for field in ("category", "source_type", "template", "sender", "ip_pool", "gateway"):
        yield from name_faults(field, getattr(head, field))
    yield from locale_faults(head.locale)


def _content_faults(head: Head, *, wordless: bool) -> Iterator[Fault]:
    has_body = bool(head.body_text or head.body_html)
    if head.template is not None and has_body:
        yield Fault("template", "cannot come together with body_text or body_html; give one of them")
    if head.template is None and not has_body and not wordless:
        yield Fault("body_text", "is missing: give a template, or what the message says")
    if head.template is None and head.channel is Channel.EMAIL and not head.subject and not wordless:
        yield Fault("subject", "is missing")
    if head.body_html and head.channel is not Channel.EMAIL:
        yield Fault("body_html", "is for email only")
    yield from _text_faults(head)


def _text_faults(head: Head) -> Iterator[Fault]:
    if head.subject and _CONTROL.search(head.subject):
        yield Fault("subject", "contains a line break or another control character; remove it")
    limits = {"subject": LONGEST_SUBJECT, "body_html": LONGEST_HTML, "body_text": LONGEST_TEXT}
    for field, longest in limits.items():
        text = getattr(head, field) or ""
        if len(text) > longest:
            yield Fault(field, f"is longer than {longest} characters")
        if field != "subject" and _UNSTORABLE.search(text):
            yield Fault(field, "contains the character NUL or half a character; remove it")


def _mail_faults(head: Head) -> Iterator[Fault]:
    if head.channel is not Channel.EMAIL:
        given = {"reply_to": head.reply_to, "headers": head.headers, "attachments": head.attachments}
        yield from (Fault(field, "is for email only") for field, value in given.items() if value)
        return
    if head.reply_to is not None:
        yield from _reply_to_faults(head.reply_to)
    if len(head.headers) > MOST_HEADERS:
        yield Fault("headers", f"has more than {MOST_HEADERS} fields")
    for name, value in head.headers.items():
        yield from _header_faults(name, value)
    yield from _attachment_faults(head.attachments)


def _reply_to_faults(text: str) -> Iterator[Fault]:
    found = None if _CONTROL.search(text) or len(text) > LONGEST_HEADER else mailbox(text)
    if found is None:
        yield Fault("reply_to", "must be one address, as in name@example.com or Name <name@example.com>")
        return
    try:
        emails.canonical(found.address)
    except Invalid as exc:
        yield Fault("reply_to", exc.faults[0].message)


def _header_faults(name: str, value: str) -> Iterator[Fault]:
    if not _HEADERS.fullmatch(name):
        # The name comes from outside and may be anything, so it is shown only where it is harmless.
        shown = f"headers.{name}" if re.fullmatch(r"[A-Za-z0-9-]{1,60}", name) else "headers"
        yield Fault(shown, "cannot be set; allowed are In-Reply-To, References and List-…")
    elif not value.strip() or len(value) > LONGEST_HEADER:
        yield Fault(f"headers.{name}", f"must have 1 to {LONGEST_HEADER} characters")
    elif _CONTROL.search(value):
        yield Fault(f"headers.{name}", "contains a line break or another control character; remove it")


def _attachment_faults(attachments: Sequence[File]) -> Iterator[Fault]:
    if len(attachments) > MOST_ATTACHMENTS:
        yield Fault("attachments", f"are more than {MOST_ATTACHMENTS}")
    for number, file in enumerate(attachments):
        yield from name_faults(f"attachments.{number}.filename", file.filename)
        yield from name_faults(f"attachments.{number}.content_id", file.content_id)
        if not _CONTENT_TYPE.fullmatch(file.content_type):
            yield Fault(f"attachments.{number}.content_type", "must be a media type, as in application/pdf")
        if not file.content:
            yield Fault(f"attachments.{number}.content", "is empty")


def _time_faults(head: Head, now: datetime) -> Iterator[Fault]:
    times = {"scheduled_for": head.scheduled_for, "expires_at": head.expires_at}
    naive = [field for field, time in times.items() if time is not None and time.utcoffset() is None]
    yield from (Fault(field, "needs its offset from UTC, as in 2026-01-31T12:00:00Z") for field in naive)
    if naive:
        return
    begin = max(now, head.scheduled_for or now)
    if begin > now + FURTHEST_AHEAD:
        yield Fault("scheduled_for", "is more than a year ahead")
    if head.expires_at is not None and head.expires_at <= begin:
        yield Fault("expires_at", "is over before the message could be sent")
    if head.expires_at is not None and head.expires_at > begin + FURTHEST_AHEAD:
        yield Fault("expires_at", "is more than a year after the message is due")
