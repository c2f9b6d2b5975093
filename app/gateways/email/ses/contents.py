"""What a message says, in the three forms that SES takes: simple, raw, and as an inline template."""

import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from app.gateways.base import Attachment, Envelope
from app.gateways.email.mail import encoded, mailbox, unsendable
from app.gateways.email.mime import bare, mail_of, size_of, unwritable

TAG_NAME = "tocsin"

_TAG_VALUE = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MOST_HEADERS = 15
_LONGEST_HEADER = 996
_LONGEST_HEADER_VALUE = 995
_LONGEST_FILE_NAME = 255
_LONGEST_CONTENT_TYPE = 78
_LONGEST_CONTENT_ID = 78
_MOST_BYTES = 40 * 1024 * 1024


def content_of(message: Envelope, now: datetime) -> dict[str, Any]:
    """Give the content for SendEmail: simple, or raw where only a whole mail can say it."""
    if next(_excesses(message), None) is None:
        return {"Simple": _simple(message)}
    sender = mailbox(message.sender)
    domain = sender.address.rpartition("@")[2] if sender else ""
    return {"Raw": {"Data": b64encode(mail_of(message, now=now, domain=domain)).decode()}}


def inexpressible(message: Envelope) -> str | None:
    """Name what SES would not take in any form; None where it takes it in one."""
    if fault := unsendable(message):
        return fault
    if next(_excesses(message), None) is not None:
        return unwritable(message, at_most=_MOST_BYTES)
    return "more than 40 MB" if size_of(message) > _MOST_BYTES else None


def headers_of(message: Envelope) -> list[dict[str, str]]:
    """Spell the headers as SES takes them, in ASCII."""
    return [{"Name": name, "Value": encoded(value)} for name, value in message.headers.items()]


def tags_of(message: Envelope) -> list[dict[str, str]]:
    """Give our tag, and the category where SES has letters for it."""
    tags = {TAG_NAME: str(message.tag), "category": message.category or ""}
    return [{"Name": name, "Value": value} for name, value in tags.items() if _TAG_VALUE.fullmatch(value)]


def in_ascii(text: str) -> str:
    """Spell an address with its name in ASCII."""
    found = mailbox(text)
    return found.in_ascii() if found else text


def _simple(message: Envelope) -> dict[str, Any]:
    bodies = {"Text": message.text, "Html": message.html}
    content: dict[str, Any] = {
        "Subject": _utf8(message.subject or ""),
        "Body": {name: _utf8(body) for name, body in bodies.items() if body},
    }
    if message.headers:
        content["Headers"] = headers_of(message)
    if message.attachments:
        content["Attachments"] = [_attachment(each) for each in message.attachments]
    return content


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}


def _attachment(attachment: Attachment) -> dict[str, str]:
    described = {
        "RawContent": b64encode(attachment.content).decode(),
        "FileName": attachment.filename,
        "ContentType": attachment.content_type,
        "ContentDisposition": "ATTACHMENT",
    }
    if attachment.content_id:
        described |= {"ContentDisposition": "INLINE", "ContentId": bare(attachment.content_id)}
    return described


def _excesses(message: Envelope) -> Iterator[str]:
    """Name what the simple form has no place for."""
    if len(message.headers) > _MOST_HEADERS:
        yield f"more than {_MOST_HEADERS} headers"
    for name, value in message.headers.items():
        length = len(encoded(value))
        if length > _LONGEST_HEADER_VALUE or length + len(name) > _LONGEST_HEADER:
            yield f"the length of the header {name}"
    for attachment in message.attachments:
        yield from _excesses_of(attachment)


def _excesses_of(attachment: Attachment) -> Iterator[str]:
    if len(attachment.filename) > _LONGEST_FILE_NAME:
        yield "the length of an attachment's file name"
    if len(attachment.content_type) > _LONGEST_CONTENT_TYPE:
        yield "the length of an attachment's content type"
    if attachment.content_id and not 1 <= len(bare(attachment.content_id)) <= _LONGEST_CONTENT_ID:
        yield "the length of an attachment's content id"
