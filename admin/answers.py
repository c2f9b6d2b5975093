"""What is said after something was done, with links to what it made or changed."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

# More links than these no sentence can hold.
_NAMED = 5


def told(words: str, *parts: object) -> Markup:
    """Put parts into a sentence of ours at its `{}`; what is no link of `link` is shown as it stands."""
    return Markup(words).format(*parts)  # noqa: S704 - The words are ours, and parts are escaped.


def link(label: object, address: str) -> Markup:
    """Name a thing and lead to where it is shown."""
    return Markup('<a href="{}">{}</a>').format(address, label)


def message_links(uuids: Iterable[object]) -> Markup:
    """Lead to some messages' pages, by the ends of their UUIDs; only the first of many."""
    return some([link(f"…{str(uuid)[-8:]}", f"/admin/messages/{uuid}") for uuid in uuids])


def some(links: Sequence[Markup]) -> Markup:
    """Name the first of some things, and how many more there are."""
    shown = Markup(", ").join(links[:_NAMED])
    left = len(links) - _NAMED
    return shown if left <= 0 else told("{} and {} more", shown, f"{left:,}")
