"""Showing a layout or a partial by itself: as a template that has nothing else to say."""

from dataclasses import replace

from app.domain.templates.building import Kind, Markup, Written
from app.domain.templates.tags import tags

_WORDS = "Here stands what a template says."
_HTML = f"<p>{_WORDS}</p>"
_MJML = f"<mj-section><mj-column><mj-text>{_WORDS}</mj-text></mj-column></mj-section>"


def alone(written: Written, kind: Kind) -> Written:
    """Give what can be built and filled in by itself; a template already can."""
    if kind is Kind.LAYOUT:
        content = _MJML if written.markup is Markup.MJML else _HTML
        return replace(written, html=_filled(written.html, content), text=_filled(written.text, _WORDS))
    if kind is Kind.PARTIAL and written.markup is Markup.MJML and written.html:
        return replace(written, html=f"<mjml><mj-body>{written.html}</mj-body></mjml>")
    return written


def _filled(source: str | None, content: str) -> str | None:
    if source is None:
        return None
    pieces, position = [], 0
    for tag in tags(source):
        if tag.is_content:
            pieces += [source[position : tag.start], content]
            position = tag.end
    return "".join([*pieces, source[position:]])
