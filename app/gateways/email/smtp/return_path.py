"""The address to which a mail comes back that cannot be delivered: it names the message and the try."""

import re

from app.domain.facts import Tag

_PREFIX = "bounce+"
_TAG = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}_p[0-4]_[0-9]{1,6}"
_RETURN_PATH = re.compile(rf"bounce\+({_TAG})@[^\s@<>]+", re.IGNORECASE)
_MESSAGE_ID = re.compile(rf"<?({_TAG})@[^\s@<>]+", re.IGNORECASE)


def return_path(tag: Tag, domain: str) -> str:
    """Make the address: one mailbox `bounce` with what follows the plus sign can take them all."""
    return f"{_PREFIX}{tag}@{domain}"


def tag_of_return_path(text: str) -> Tag | None:
    """Find our tag in an address that a mail came back to, wherever it stands in `text`."""
    found = _RETURN_PATH.search(text)
    return _tag(found[1]) if found else None


def tag_of_message_id(text: str) -> Tag | None:
    """Find our tag in a Message-ID that we wrote."""
    found = _MESSAGE_ID.search(text)
    return _tag(found[1]) if found else None


def _tag(text: str) -> Tag | None:
    # Some on the way write local parts in lower case.
    uuid, priority, attempt = text.split("_")
    return Tag.parse(f"{uuid.lower()}_{priority.upper()}_{attempt}")
