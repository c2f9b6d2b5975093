"""The address to which a mail comes back that cannot be delivered: it names the message and the try."""

import re

from app.domain.facts import Tag
from app.gateways.email.mime import TAG, tag_in

_PREFIX = "bounce+"
_RETURN_PATH = re.compile(rf"{re.escape(_PREFIX)}({TAG})@[^\s@<>]+", re.IGNORECASE)


def return_path(tag: Tag, domain: str) -> str:
    """Make the address: one mailbox `bounce` with what follows the plus sign can take them all."""
    return f"{_PREFIX}{tag}@{domain}"


def tag_of_return_path(text: str) -> Tag | None:
    """Find our tag in an address that a mail came back to, wherever it stands in `text`."""
    found = _RETURN_PATH.search(text)
    return tag_in(found[1]) if found else None
