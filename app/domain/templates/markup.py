"""What a mail's HTML or MJML holds that matters to mail programs: links, pictures, forbidden elements."""

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

from app.domain.templates.sheltering import shelter

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
    """Give all elements in order."""
    sheltered = shelter(source)
    reader = _Reader()
    reader.feed(sheltered.text)
    reader.close()
    for name, line, attributes in reader.found:
        restored = {key: sheltered.restored(value or "") for key, value in attributes}
        yield Element(name=name, line=line, attributes=restored)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, int, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, self.getpos()[0], attrs))
