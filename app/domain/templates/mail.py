"""Mail bodies made when a template is saved: styles into elements, foreign HTML clean, text out of HTML."""

import re

import css_inline
import inscriptis  # type: ignore[import-untyped]  # It comes without types.
import nh3
from inscriptis.model.config import ParserConfig  # type: ignore[import-untyped]  # Likewise.

from app.domain.templates.nesting import require_shallow
from app.domain.templates.sheltering import shelter
from app.domain.templates.styles import sheets, with_strong_media, without_sheets
from app.errors import Invalid

# Cleaning grows faster than what is cleaned.
LONGEST_FOREIGN = 300_000

_STYLE = re.compile(r"<style\b", re.IGNORECASE)
# A parser opens <tbody> only at the row, and so behind a loop that is to repeat the row alone.
_LOOP_OF_ROWS = re.compile(r"(<table\b[^>]*>)(\s*(?:<!--tcc\d+x-->\s*)+)(?=<tr\b)", re.IGNORECASE)
_ROWS = re.compile(r"<(/?)(?:table|thead|tbody|tfoot|tr)\b", re.IGNORECASE)
_CELL = re.compile(r"<(/?)(?:td|th)\b", re.IGNORECASE)
_FRAME = re.compile(r"<(?:html|head|body)\b", re.IGNORECASE)
_LINK = re.compile(r"\[([^\[\]]*)\]\(([^()\s]*)\)")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+\n")

_TAGS = nh3.ALLOWED_TAGS | {"style", "font", "section", "main", "header", "footer", "figure", "figcaption"}
_EVERYWHERE = {"style", "class", "id", "align", "valign", "width", "height", "bgcolor", "dir", "lang", "role"}
_OWN = {
    "a": {"href", "name", "target", "title"},
    "img": {"src", "alt", "border", "title"},
    "table": {"cellpadding", "cellspacing", "border"},
    "td": {"colspan", "rowspan", "background"},
    "th": {"colspan", "rowspan", "scope"},
    "font": {"color", "face", "size"},
    "style": {"type", "media"},
}


def has_styles(html: str) -> bool:
    """Tell whether there are styles that could be written into elements."""
    return _STYLE.search(html) is not None


def with_styles_inlined(html: str, field: str) -> str:
    """Write rules of <style> into the elements they are for; rules with @ stay, and win.

    Nothing is loaded from elsewhere. Raises Invalid where a tag of the template would be lost by it.
    """
    sheltered = shelter(html)
    if sheltered.inside:
        tag = sheltered.inside[0]
        line = html.count("\n", 0, tag.start) + 1
        raise Invalid.of(field, f"line {line}: {tag.text[:60]} stands inside of an element's tag")
    require_shallow(sheltered.text, field)
    inliner = css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)
    try:
        inlined = inliner.inline(with_strong_media(_framed(_with_bodies(sheltered.text))))
    except css_inline.InlineError as exc:
        raise Invalid.of(field, f"has styles that cannot be read: {exc}") from exc
    if not sheltered.has_kept_all(inlined):
        raise Invalid.of(field, "has {% … %} or {{ … }} at a place that HTML does not allow")
    return sheltered.restored(inlined)


def cleaned(html: str, field: str) -> str:
    """Take out of foreign HTML what no mail may have: scripts, handlers, forms, frames, odd addresses.

    Raises Invalid where a tag of the template would be lost by it.
    """
    sheltered = shelter(html)
    if len(html) > LONGEST_FOREIGN:
        raise Invalid.of(field, f"is longer than the {LONGEST_FOREIGN} characters that can be cleaned")
    require_shallow(sheltered.text, field)
    clean = nh3.clean(
        _with_bodies(sheltered.text),
        tags=_TAGS,
        clean_content_tags={"script", "iframe", "object"},
        attributes={"*": _EVERYWHERE, **_OWN},
        url_schemes={"http", "https", "mailto", "tel", "cid", "sms"},
        strip_comments=False,
        link_rel=None,
    )
    if not sheltered.has_kept_order(clean) or sheltered.missing(clean):
        raise Invalid.of(field, "loses some of its {{ … }} or {% … %} when it is cleaned")
    return sheltered.restored(clean)


def text_of(html: str) -> str | None:
    """Read HTML out as a text with the same tags; None where its tags do not allow that."""
    sheltered = shelter(html, comments=False)
    text = inscriptis.get_text(_without_tables(sheltered.text), ParserConfig(display_links=True))
    if not sheltered.has_kept_order(text):
        return None
    written = _LINK.sub(_link, text)
    lines = "\n".join(_outdented(line) for line in written.splitlines())
    return sheltered.restored(_BLANK_LINES.sub("\n\n", lines)).strip() + "\n"


def _with_bodies(html: str) -> str:
    return _LOOP_OF_ROWS.sub(r"\1<tbody>\2", html)


def _framed(html: str) -> str:
    """Make a document of a piece of HTML; a parser would let its first tags slip into the head."""
    if _FRAME.search(html):
        return html
    styles = "".join(f"{sheet.tag}{sheet.css}</style>" for sheet in sheets(html))
    return f"<html><head>{styles}</head><body>{without_sheets(html)}</body></html>"


def _without_tables(html: str) -> str:
    """Let rows be lines: a table's own layout would take what stands between rows out of its place."""
    return _CELL.sub(r" <\1span", _ROWS.sub(r"<\1div", html))


def _outdented(line: str) -> str:
    """Take away what is left of a table's layout; an item of a list keeps its place."""
    bare = line.strip()
    return f"  {bare}" if bare.startswith("* ") else bare


def _link(found: re.Match[str]) -> str:
    words, target = found[1].strip(), found[2]
    return target if not words or words == target else f"{words} ({target})"
