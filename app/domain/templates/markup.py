"""What a mail's HTML or MJML holds that matters to mail programs: links, pictures, forbidden elements."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

from app.domain.templates.sheltering import shelter

_START = re.compile(r"<!--|<([a-zA-Z][\w:-]*)")
_ATTRIBUTE = re.compile(r"[\s/]*([^\s\"'<>/=]+)(?:\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s\"'<>]*))?")
_LONGEST_ATTRIBUTE = 64 * 1024  # characters

_LINKS = frozenset({"a", "area", "mj-button", "mj-navbar-link", "mj-social-element"})
_PICTURES = frozenset({"img", "mj-image", "mj-carousel-image"})
_FORBIDDEN = frozenset({"script", "iframe", "object", "embed", "form", "applet", "base", "frameset"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Element:
    """An element of interest with its line; what the template fills in stands as its tags."""

    name: str
    line: int
    attributes: dict[str, str]

    @property
    def is_link(self) -> bool:
        return self.name in _LINKS or (self.name == "mj-image" and "href" in self.attributes)

    @property
    def is_picture(self) -> bool:
        return self.name in _PICTURES

    @property
    def is_forbidden(self) -> bool:
        return self.name in _FORBIDDEN

    @property
    def handlers(self) -> list[str]:
        """Attributes that would run a script."""
        return sorted(name for name in self.attributes if name.startswith("on"))


def elements(source: str) -> Iterator[Element]:
    """Give all elements in order. A source that is broken costs no more than one that is whole."""
    sheltered = shelter(source)
    text, position, line, counted = sheltered.text, 0, 1, 0
    while found := _START.search(text, position):
        if found.group() == "<!--":
            end = text.find("-->", found.end())
            if end < 0:
                return
            position = end
            continue
        line += text.count("\n", counted, found.start())
        counted = found.start()
        attributes, position = _attributes(text, found.end())
        restored = {name: sheltered.restored(unescape(value)) for name, value in attributes.items()}
        yield Element(name=found[1].lower(), line=line, attributes=restored)


def _attributes(text: str, position: int) -> tuple[dict[str, str], int]:
    """Read attributes from a place in an element's tag on; gives them and where they end."""
    found: dict[str, str] = {}
    while match := _ATTRIBUTE.match(text, position, position + _LONGEST_ATTRIBUTE):
        value = match[2] or ""
        is_quoted = value[:1] in {'"', "'"}
        found.setdefault(match[1].lower(), value[1:-1] if is_quoted else value)
        position = match.end()
    return found, position
