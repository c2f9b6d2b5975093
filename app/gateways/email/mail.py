"""What a message may put into a mail's header fields, whichever gateway writes them.

JSON hides line breaks from nobody: the vendor turns these values into mail headers. So whatever
could begin another header or name another recipient is refused, never stripped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import Header
from email.utils import formataddr, quote
from functools import lru_cache

from app.gateways.base import Attachment, Envelope

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_VISIBLE = r"""[^\x00-\x20\x7f-\U0010ffff<>()\[\]\\,;:"@]+"""
_ADDRESS = re.compile(f"{_VISIBLE}@{_VISIBLE}")
_NAMED = re.compile(r"""(?P<name>"(?:[^"\\]|\\.)*"|[^"<>]*?)\s*<(?P<address>[^<>]*)>""")
_ESCAPED = re.compile(r"\\(.)")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_WELL_FORMED = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,126}")
_CONTENT_TYPE = re.compile(r"[!-~]+/[!-~]+(?:[ -~]*)")

_HEADERS_LET_THROUGH = {
    "archived-at",
    "auto-submitted",
    "comments",
    "feedback-id",
    "importance",
    "in-reply-to",
    "keywords",
    "organization",
    "precedence",
    "priority",
    "references",
    "sensitivity",
}
_FAMILIES_LET_THROUGH = ("list-", "x-")
# By these a caller could change the tag, the settings or the recipients that the gateway goes by.
_VENDORS_OWN = ("x-postal-", "x-ses-", "x-sg-", "x-smtpapi")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mailbox:
    """An address with the name shown beside it, which may be empty."""

    name: str
    address: str

    @lru_cache(maxsize=1024)  # noqa: B019 — mailboxes are values, and the senders are few.
    def in_unicode(self) -> str:
        """Spell it as a header does, with the name's own letters."""
        if self.name.isascii():
            return formataddr((self.name, self.address))
        return f'"{quote(self.name)}" <{self.address}>'

    def in_ascii(self) -> str:
        """Spell it as a header does, with a foreign name as RFC 2047 encodes it."""
        if self.name.isascii():
            return formataddr((self.name, self.address))
        return f"{encoded(self.name)} <{self.address}>"


@lru_cache(maxsize=1024)
def mailbox(text: str) -> Mailbox | None:
    """Split "Name <address>" or a bare address; None where it is not exactly one ASCII address."""
    text = text.strip(" ")
    named = _NAMED.fullmatch(text)
    address = named["address"] if named else text
    if not _ADDRESS.fullmatch(address) or _CONTROL.search(text):
        return None
    return Mailbox(name=_unquoted(named["name"]) if named else "", address=address)


def _unquoted(name: str) -> str:
    name = name.strip(" ")
    return _ESCAPED.sub(r"\1", name[1:-1]) if name.startswith('"') else name


def well_formed(address: str) -> bool:
    """Tell whether an address is a plain one by RFC 5321: dot-atom @ host name."""
    return _WELL_FORMED.fullmatch(address) is not None


def encoded(text: str) -> str:
    """Give header text in printable ASCII: as it is where it is that, else in RFC 2047's encoding."""
    if text.isascii() and text.isprintable():
        return text
    return Header(text, "utf-8", maxlinelen=76).encode(linesep="")


def unsendable(message: Envelope, *, has_content: bool = False) -> str | None:
    """Name the first thing for which no gateway may put this message on the wire; None where all is well.

    One that `has_content` at the gateway, as a template there, needs no text of its own.
    """
    return next(_faults(message, has_content=has_content), None)


def _faults(message: Envelope, *, has_content: bool) -> Iterator[str]:
    if not _ADDRESS.fullmatch(message.address):
        yield "a recipient that is not one plain address"
    if mailbox(message.sender) is None:
        yield "a sender that is not one address"
    if message.reply_to is not None and mailbox(message.reply_to) is None:
        yield "a reply-to that is not one address"
    if _CONTROL.search(message.subject or ""):
        yield "a control character in the subject"
    if not (message.text or message.html or has_content):
        yield "a message without text"
    for name, value in message.headers.items():
        yield from _faults_of_header(name, value)
    for attachment in message.attachments:
        yield from _faults_of_attachment(attachment)


def _faults_of_header(name: str, value: str) -> Iterator[str]:
    if not _FIELD_NAME.fullmatch(name):
        yield "a header's name that is none"
    elif not _is_let_through(name.lower()):
        yield f"the header {name}"
    elif not value or _CONTROL.search(value):
        yield f"the value of the header {name}"


def _is_let_through(name: str) -> bool:
    if name.startswith(_VENDORS_OWN):
        return False
    return name in _HEADERS_LET_THROUGH or name.startswith(_FAMILIES_LET_THROUGH)


def _faults_of_attachment(attachment: Attachment) -> Iterator[str]:
    if not attachment.filename or _CONTROL.search(attachment.filename):
        yield "an attachment's file name"
    if not _CONTENT_TYPE.fullmatch(attachment.content_type):
        yield "an attachment's content type"
    if _CONTROL.search(attachment.content_id or ""):
        yield "an attachment's content id"
    if not attachment.content:
        yield "an attachment without content"
