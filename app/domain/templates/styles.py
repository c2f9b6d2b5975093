"""Rules that hold only on some screens, kept stronger than the styles that were written into elements."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STYLE = re.compile(r"<style\b[^<>]*>", re.IGNORECASE)
_END_OF_STYLE = re.compile(r"</style\s*>", re.IGNORECASE)
_MEDIA = re.compile(r"@media\b[^{}]*\{", re.IGNORECASE)
_RULE = re.compile(r"([^{}@]+)\{([^{}]*)\}")
# A declaration ends at a semicolon that is neither in a text nor in brackets.
_DECLARATION = re.compile(r"(?:\"[^\"]*\"|'[^']*'|\([^()]*\)|[^;\"'()])+")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """A <style> with its place in the source."""

    start: int
    end: int
    tag: str
    css: str


def with_strong_media(html: str) -> str:
    """Mark what is declared under @media as important: an element's own style would win over it else."""
    pieces, position = [], 0
    for sheet in sheets(html):
        pieces += [html[position : sheet.start], sheet.tag, _strong(sheet.css), "</style>"]
        position = sheet.end
    return "".join([*pieces, html[position:]])


def without_sheets(html: str) -> str:
    """Take all style sheets out."""
    pieces, position = [], 0
    for sheet in sheets(html):
        pieces.append(html[position : sheet.start])
        position = sheet.end
    return "".join([*pieces, html[position:]])


def sheets(html: str) -> Iterator[Sheet]:
    """Give all style sheets in order; what follows one that nothing closes is left out."""
    position = 0
    while opened := _STYLE.search(html, position):
        closed = _END_OF_STYLE.search(html, opened.end())
        if closed is None:
            return
        css = html[opened.end() : closed.start()]
        yield Sheet(start=opened.start(), end=closed.end(), tag=opened.group(), css=css)
        position = closed.end()


def _strong(css: str) -> str:
    css = _COMMENT.sub("", css)
    pieces, position = [], 0
    for media in _MEDIA.finditer(css):
        if media.start() < position:
            continue
        end = _end_of_block(css, media.end())
        pieces += [css[position : media.end()], _RULE.sub(_marked, css[media.end() : end])]
        position = end
    return "".join([*pieces, css[position:]])


def _end_of_block(css: str, start: int) -> int:
    depth = 1
    for brace in re.finditer(r"[{}]", css[start:]):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return start + brace.start()
    return len(css)


def _marked(rule: re.Match[str]) -> str:
    declarations = (each.strip() for each in _DECLARATION.findall(rule[2]))
    marked = [each if "!important" in each else f"{each} !important" for each in declarations if each]
    return f"{rule[1]}{{ {'; '.join(marked)} }}"
