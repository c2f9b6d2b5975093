"""From MJML to HTML that mail programs can show, once when a template is saved."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import mjml

from app.domain.templates.nesting import require_shallow
from app.domain.templates.sheltering import Sheltered, shelter
from app.errors import Fault, Invalid

_START = re.compile(r"<!--|<(/?)(mj-[\w-]+|mjml)\b")
_REST = re.compile(r"(?:[^<>\"']|\"[^\"]*\"|'[^']*')*?(/?)>")
_LONGEST_TAG = 16 * 1024  # characters
_ATTRIBUTES = re.compile(r"<[\w-]+(?:\s+[\w:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*/?>")
# Elements whose content is HTML, which the compiler reads as strictly as its own.
_WITH_HTML = re.compile(
    r"<(mj-(?:text|button|table|raw|accordion-text|accordion-title|navbar-link|social-element))\b[^>]*>.*?</\1>",
    re.DOTALL,
)
_PLACE = re.compile(r" at position (\d+):\d+")
_INLINE_STYLE = re.compile(r"<mj-style[^>]*\binline\s*=")

# Elements of MJML 4 that the compiler knows; mj-include is none of ours, partials are.
_KNOWN = frozenset(
    f"mj-{name}"
    for name in (
        "accordion", "accordion-element", "accordion-text", "accordion-title", "all", "attributes", "body",
        "breakpoint", "button", "carousel", "carousel-image", "class", "column", "divider", "font", "group",
        "head", "hero", "html-attribute", "html-attributes", "image", "navbar", "navbar-link", "preview",
        "raw", "section", "selector", "social", "social-element", "spacer", "style", "table", "text",
        "title", "wrapper",
    )
) | {"mjml"}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tag:
    """A tag of MJML with its line; its text is None where it lacks its end."""

    name: str
    line: int
    closes: bool
    text: str | None


@dataclass(frozen=True, slots=True)
class _Open:
    name: str
    line: int


def to_html(source: str, field: str) -> str:
    """Compile a whole MJML document that may have a template's tags; raises Invalid with lines.

    No font and no other file is taken from elsewhere.
    """
    sheltered = shelter(source)
    faults = [Fault(field, text) for text in _structure_faults(sheltered.text)]
    if faults:
        raise Invalid(faults)
    require_shallow(sheltered.text, field)
    try:
        html = mjml.mjml2html(sheltered.text, fonts={})
    except ValueError as exc:
        raise Invalid.of(field, _told(str(exc), sheltered)) from exc
    if not sheltered.has_kept_all(html):
        raise Invalid.of(field, _lost(html, sheltered))
    return sheltered.restored(html)


def wants_inlining(source: str) -> bool:
    """Tell whether the document has styles that it wants to see written into its elements."""
    return _INLINE_STYLE.search(source) is not None


def _structure_faults(text: str) -> list[str]:
    """Tell what is open too long, closed too early, or unknown; the compiler itself names no line."""
    found: list[str] = []
    opened: list[_Open] = []
    for tag in _tags(text):
        if tag.closes:
            fault = _closed(opened, tag.name, tag.line)
            if fault:
                return [*found, fault]
            continue
        if tag.text is None:
            return [*found, f"line {tag.line}: <{tag.name}> lacks its >"]
        if tag.name not in _KNOWN:
            found.append(f"line {tag.line}: {_unknown(tag.name)}")
        elif not _ATTRIBUTES.fullmatch(tag.text):
            found.append(
                f'line {tag.line}: <{tag.name}> has an attribute that is not written as name="value"'
            )
        if not tag.text.endswith("/>"):
            opened.append(_Open(tag.name, tag.line))
    found += [f"line {each.line}: <{each.name}> is never closed" for each in opened]
    if not found and not re.search(r"<mjml\b", text):
        found.append("line 1: a document in MJML begins with <mjml>; a layout may bring it along")
    return found


def _tags(text: str) -> Iterator[_Tag]:
    position, line, counted = 0, 1, 0
    while found := _START.search(text, position):
        position = found.end()
        if found[2] is None:
            position = text.find("-->", found.end())
            if position < 0:
                return
            continue
        line += text.count("\n", counted, found.start())
        counted = found.start()
        rest = _REST.match(text, found.end(), found.end() + _LONGEST_TAG)
        position = rest.end() if rest else found.end()
        yield _Tag(
            name=found[2],
            line=line,
            closes=bool(found[1]),
            text=text[found.start() : position] if rest else None,
        )


def _unknown(name: str) -> str:
    if name == "mj-include":
        return 'take in a partial, as in {% include "footer" %}, instead of a file'
    return f"<{name}> is no element of MJML"


def _closed(opened: list[_Open], name: str, line: int) -> str | None:
    if not opened:
        return f"line {line}: </{name}> closes nothing"
    last = opened.pop()
    if last.name == name:
        return None
    return f"line {line}: </{name}> comes where <{last.name}> of line {last.line} is open"


def _told(words: str, sheltered: Sheltered) -> str:
    found = _PLACE.search(words)
    if found:
        before = sheltered.text.encode()[: int(found[1])].decode(errors="ignore")
        return f"line {before.count(chr(10)) + 1}: {words[: found.start()]}"
    for element in _WITH_HTML.finditer(sheltered.text):
        if not _compiles(element[0]):
            line = sheltered.text.count("\n", 0, element.start()) + 1
            return (
                f"line {line}: what is in <{element[1]}> is no proper HTML: close each element, "
                "and write &lt; for <"
            )
    return f"is no MJML that can be compiled: {words}"


def _compiles(element: str) -> bool:
    document = f"<mjml><mj-body><mj-section><mj-column>{element}</mj-column></mj-section></mj-body></mjml>"
    try:
        mjml.mjml2html(document, fonts={})
    except ValueError:
        return False
    return True


def _lost(html: str, sheltered: Sheltered) -> str:
    lost = sheltered.missing(html)
    if lost:
        return f"{lost[0].text[:60]} stands where MJML shows nothing; put it into <mj-text> or <mj-raw>"
    return "MJML changes the order of what is between {% and %}; keep each within one element"
