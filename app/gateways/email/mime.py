"""A whole mail as RFC 5322 and MIME have it, in ASCII, for gateways that take one.

The standard library makes the parts that are files. The rest is written here: it would break long
addresses of the web, as in List-Unsubscribe, into encoded words that nobody follows, and take ten times
as long.
"""

import re
from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.header import Header
from email.message import MIMEPart
from email.policy import SMTP
from email.utils import format_datetime
from secrets import token_hex

from app.domain.facts import Tag
from app.gateways.base import Attachment, Envelope
from app.gateways.email.mail import Mailbox, encoded, mailbox

LONGEST_LINE = 998  # without its CRLF
TAG = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}_p[0-4]_[0-9]{1,6}"
GOOD_LENGTH = 76
MOST_BYTES = 25 * 1024 * 1024

# Everything in ASCII, so that no relay on the way has to change it, and a signature keeps holding.
_POLICY = SMTP.clone(cte_type="7bit")
_LINE_END = re.compile("\r\n|\r|\n")
_PLAIN = re.compile(rb"(?:[\t -~]{0,76}\n)*")
_FOLDING_POINT = re.compile(r"(?<=[^ ]) (?=[^ ])")
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")
# These hold other mails or parts, and may not be encoded as an attachment has to be.
_NESTING = ("multipart/", "message/")
_LITERALLY_ENCODED = "=?"
_MESSAGE_ID = re.compile(rf"<?({TAG})@[^\s@<>]+", re.IGNORECASE)


def mail_of(
    message: Envelope, *, now: datetime, domain: str, extra: Mapping[str, str] | None = None
) -> bytes:
    """Write the mail, in lines that end with CRLF; its Message-ID is our tag at `domain`.

    `extra` are header fields of the gateway's own. The message is one of which `unsendable` and
    `unwritable` name nothing.
    """
    fields = [*_fields(message, now, domain), *(extra or {}).items()]
    head = b"".join(_field(name, value) for name, value in fields)
    return head + b"MIME-Version: 1.0\r\n" + _content(message)


def unwritable(message: Envelope, *, at_most: int = MOST_BYTES) -> str | None:
    """Name the first thing of a message that cannot be put into a mail; None where all of it can."""
    return next(_faults(message, at_most), None)


def message_id(message: Envelope, domain: str) -> str:
    """Give the Message-ID: it names the message and the try wherever the mail's own head is shown."""
    return f"<{message.tag}@{domain}>"


def tag_of_message_id(text: str) -> Tag | None:
    """Find our tag in a Message-ID that we wrote."""
    found = _MESSAGE_ID.search(text)
    return tag_in(found[1]) if found else None


def tag_in(spelled: str) -> Tag | None:
    """Read a tag of which somebody on the way may have changed the case."""
    uuid, priority, attempt = spelled.split("_")
    return Tag.parse(f"{uuid.lower()}_{priority.upper()}_{attempt}")


def size_of(message: Envelope) -> int:
    """Tell, roughly and never too low for files, how many bytes the mail will have."""
    files = sum(_in_base64(len(each.content)) for each in message.attachments)
    return files + sum(len(body.encode()) for body in (message.text, message.html) if body)


def bare(content_id: str) -> str:
    """Give a content id without its brackets, as a `cid:` address has it."""
    return content_id.removeprefix("<").removesuffix(">")


def _in_base64(size: int) -> int:
    # Each 57 bytes are a line of 76 characters and its end.
    return (size + 56) // 57 * 78


def _faults(message: Envelope, at_most: int) -> Iterator[str]:
    for name, value in message.headers.items():
        if any(len(line) > LONGEST_LINE for line in _field(name, value).split(b"\r\n")):
            yield f"the length of the header {name}"
    for attachment in message.attachments:
        if attachment.content_id and not _CONTENT_ID.fullmatch(bare(attachment.content_id)):
            yield "an attachment's content id"
    if size_of(message) > at_most:
        yield f"more than {at_most // 1024**2} MB"


def _fields(message: Envelope, now: datetime, domain: str) -> Iterator[tuple[str, str]]:
    yield "Date", format_datetime(now.astimezone(UTC))
    yield "Message-ID", message_id(message, domain)
    yield "From", _spelled(message.sender)
    yield "To", message.address
    if message.reply_to:
        yield "Reply-To", _spelled(message.reply_to)
    yield "Subject", _text(message.subject or "")
    for name, value in message.headers.items():
        yield name, _text(value)


def _spelled(address: str) -> str:
    found = mailbox(address) or Mailbox(name="", address=address)
    if _LITERALLY_ENCODED in found.name:
        return f"{_text(found.name)} <{found.address}>"
    return found.in_ascii()


def _text(value: str) -> str:
    """Give header text in ASCII; what only looks encoded is encoded, so that it stays as it is."""
    if _LITERALLY_ENCODED in value:
        return Header(value, "utf-8", maxlinelen=GOOD_LENGTH).encode(linesep="")
    return encoded(value)


def _field(name: str, value: str) -> bytes:
    """Write one header field, broken at spaces where its lines would be long."""
    lines = [f"{name}:"]
    for word in _FOLDING_POINT.split(value):
        if lines[-1] == f"{name}:" or len(lines[-1]) + 1 + len(word) <= GOOD_LENGTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    return "\r\n".join([*lines, ""]).encode("ascii", "replace")


def _content(message: Envelope) -> bytes:
    """Write the mail's parts: words, what they show, and what goes beside them."""
    inside, beside = _divided(message)
    texts = [_text_part(message.text or "", "plain")] if message.text or not message.html else []
    if message.html:
        shown = [_text_part(message.html, "html"), *(_file_part(each, "inline") for each in inside)]
        texts.append(_joined("related", shown))
    said = _joined("alternative", texts)
    return _joined("mixed", [said, *(_file_part(each, "attachment") for each in beside)])


def _joined(kind: str, parts: list[bytes]) -> bytes:
    """Make one part of several; one alone stays as it is."""
    if len(parts) == 1:
        return parts[0]
    boundary = token_hex(16).encode()
    head = b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (kind.encode(), boundary)
    return head + b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts) + b"--%s--\r\n" % boundary


def _text_part(text: str, subtype: str) -> bytes:
    lines = _LINE_END.sub("\n", text)
    data = (lines if lines.endswith("\n") else f"{lines}\n").encode()
    encoding, body = _encoded(data)
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + body.replace(b"\n", b"\r\n")


def _encoded(data: bytes) -> tuple[str, bytes]:
    """Encode text so that every line is short and plain, in the way that is shortest."""
    if _PLAIN.fullmatch(data):
        return "7bit", data
    quoted = b2a_qp(data, istext=True)
    # Base64 takes four bytes for three, and a line end for each 57 of them.
    if len(quoted) <= len(data) * 78 // 57:
        return "quoted-printable", quoted if quoted.endswith(b"\n") else quoted + b"\n"
    return "base64", encodebytes(data)


def _file_part(attachment: Attachment, disposition: str) -> bytes:
    maintype, subtype, params = _type_of(attachment.content_type)
    part = MIMEPart(policy=_POLICY)
    part.set_content(
        attachment.content,
        maintype,
        subtype,
        params=params,
        filename=attachment.filename,
        cid=f"<{bare(attachment.content_id)}>" if attachment.content_id else None,
        disposition=disposition,
    )
    return part.as_bytes()


def _divided(message: Envelope) -> tuple[list[Attachment], list[Attachment]]:
    """Tell what the HTML shows, by its content id, from what goes beside it."""
    inside = [each for each in message.attachments if each.content_id and message.html]
    return inside, [each for each in message.attachments if each not in inside]


def _type_of(content_type: str) -> tuple[str, str, dict[str, str]]:
    """Take a content type apart; one that is none, or that may not be encoded, is of bytes."""
    given = MIMEPart(policy=_POLICY)
    given["Content-Type"] = content_type
    read = given["Content-Type"]
    named = content_type.partition(";")[0].strip().lower()
    if read.content_type != named or named.startswith(_NESTING):
        return "application", "octet-stream", {}
    return (
        read.maintype,
        read.subtype,
        {name: value for name, value in read.params.items() if value.isascii()},
    )
