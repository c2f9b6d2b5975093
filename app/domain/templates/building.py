"""From what an author wrote to what is kept for sending: one source a part, compiled, without outside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from app.domain.rendering import Compiled, Variable, compile_parts
from app.domain.templates import mail, mjml
from app.domain.templates.assembly import Assembled, Fragment, assemble
from app.domain.templates.findings import Finding, info, warning
from app.domain.templates.tags import tags
from app.errors import Fault, Invalid


class Markup(StrEnum):
    """What a body is written in."""

    HTML = "html"
    MJML = "mjml"


class Kind(StrEnum):
    """What is written: what messages are made of, what surrounds it, and what stands in many of both."""

    TEMPLATE = "template"
    LAYOUT = "layout"
    PARTIAL = "partial"


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenIn:
    """A version of a layout or a partial that is part of a template's version; `id` is its row."""

    kind: Kind
    slug: str
    locale: str | None
    version: int
    id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A version of a layout or a partial, as far as building needs it."""

    origin: TakenIn
    markup: Markup
    html: str | None
    text: str | None
    variables: tuple[Variable, ...]

    @property
    def label(self) -> str:
        """Name it for people."""
        return f"{self.origin.kind} {self.origin.slug}"


class Shelf(Protocol):
    """Where layouts and partials are found, in the template's locale or one that it falls back to."""

    def layout(self, slug: str) -> Source | None: ...

    def partial(self, slug: str) -> Source | None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What an author wrote. `layout` is a slug."""

    subject: str | None = None
    html: str | None = None
    text: str | None = None
    markup: Markup = Markup.HTML
    layout: str | None = None
    parts: Mapping[str, Any] = field(default_factory=dict)
    variables: tuple[Variable, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What is kept for sending, and how it came about.

    `html` and `text` need nothing else any more. `assembled` are the sources before anything was made
    of them, for looking at their lines.
    """

    html: str | None
    text: str | None
    variables: tuple[Variable, ...]
    used: frozenset[str]
    taken_in: tuple[TakenIn, ...]
    assembled: Mapping[str, Assembled]
    findings: tuple[Finding, ...]
    compiled: Compiled


def build(written: Written, shelf: Shelf, *, kind: Kind = Kind.TEMPLATE) -> Built:
    """Build a version; raises Invalid with all faults, each with the line its author can see.

    A layout or a partial is only looked through: it is built within each template.
    """
    built = _Build(written, shelf, is_fragment=kind is not Kind.TEMPLATE).built()
    if kind is Kind.LAYOUT:
        _require_slots(written)
    return built


def _require_slots(layout: Written) -> None:
    """Raise Invalid where a layout does not take its template in, or cannot be compiled around one."""
    for field_name, source in (("body_html", layout.html), ("body_text", layout.text)):
        if source is None:
            continue
        around = Fragment(label="the layout", source=source)
        assemble("", field_name, layout=around, partial=lambda _: Fragment(label="", source=""))
    if layout.html and layout.markup is Markup.MJML:
        slot = next(tag for tag in tags(layout.html) if tag.is_content)
        mjml.to_html(layout.html[: slot.start] + layout.html[slot.end :], "body_html")


class _Build:
    def __init__(self, written: Written, shelf: Shelf, *, is_fragment: bool) -> None:
        self._written = written
        self._shelf = shelf
        self._is_fragment = is_fragment
        self._layout = self._found_layout()
        self._partials: dict[str, Source] = {}
        self._findings: list[Finding] = []

    def built(self) -> Built:
        assembled = self._assembled()
        html, text = assembled.get("body_html"), assembled.get("body_text")
        compiled = self._compiled(assembled)
        names = compiled.names - ({"content"} if self._is_fragment else frozenset())
        variables = self._variables(names)
        sent_html = html.text if html else None
        sent_text = text.text if text else None
        if html and not self._is_fragment:
            sent_html = self._made_html(html)
            sent_text = self._derived(sent_html) if sent_text is None else sent_text
        return Built(
            html=sent_html,
            text=sent_text,
            variables=variables,
            used=frozenset(names),
            taken_in=tuple(source.origin for source in self._sources()),
            assembled=assembled,
            findings=tuple(self._findings),
            compiled=compile_parts(
                self._written.subject, sent_html, sent_text, variables=variables, own=self._written.parts
            ),
        )

    def _sources(self) -> list[Source]:
        return [*([self._layout] if self._layout else []), *self._partials.values()]

    def _found_layout(self) -> Source | None:
        slug = self._written.layout
        if slug is None:
            return None
        found = self._shelf.layout(slug)
        if found is None:
            raise Invalid.of("layout", f"there is no active layout {slug!r}")
        if self._written.html and found.html and found.markup is not self._written.markup:
            raise Invalid.of(
                "layout",
                f"{found.label} is written in {found.markup.value.upper()} and this template in "
                f"{self._written.markup.value.upper()}: use the same for both",
            )
        return found

    def _assembled(self) -> dict[str, Assembled]:
        layout, written, found = self._layout, self._written, list[Fault]()
        around = {"body_html": layout and layout.html, "body_text": layout and layout.text}
        parts = {"body_html": written.html, "body_text": written.text}
        assembled = {}
        for field_name, source in parts.items():
            if source is None:
                continue
            outer = around[field_name]
            fragment = Fragment(label=layout.label, source=outer) if layout and outer else None
            try:
                assembled[field_name] = assemble(
                    source, field_name, layout=fragment, partial=self._finder(field_name)
                )
            except Invalid as exc:
                found += exc.faults
        if found:
            raise Invalid(found)
        return assembled

    def _finder(self, field_name: str) -> Any:
        def find(slug: str) -> Fragment | None:
            source = self._partials.get(slug) or self._shelf.partial(slug)
            if source is None:
                return None
            part = source.html if field_name == "body_html" else source.text
            if part is None or not self._fits(source, field_name):
                return None
            self._partials[slug] = source
            return Fragment(label=source.label, source=part)

        return find

    def _fits(self, source: Source, field_name: str) -> bool:
        """HTML may stand inside of MJML, but no MJML inside of HTML."""
        return (
            field_name == "body_text" or source.markup is Markup.HTML or self._written.markup is Markup.MJML
        )

    def _compiled(self, assembled: Mapping[str, Assembled]) -> Compiled:
        texts = {name: part.text for name, part in assembled.items()}
        try:
            return compile_parts(
                self._written.subject,
                texts.get("body_html"),
                texts.get("body_text"),
                variables=self._written.variables or (),
                own=self._written.parts,
            )
        except Invalid as exc:
            raise Invalid([self._told(fault, assembled) for fault in exc.faults]) from exc

    def _told(self, fault: Fault, assembled: Mapping[str, Assembled]) -> Fault:
        part = assembled.get(fault.field)
        return part.told(fault) if part else fault

    def _variables(self, names: frozenset[str]) -> tuple[Variable, ...]:
        """Give what is declared, here or by what is taken in; raises Invalid for what is used and is not."""
        theirs = {variable.name: variable for source in self._sources() for variable in source.variables}
        declared = self._written.variables
        if declared is None:
            derived = (theirs.get(name) or Variable(name=name, type="any") for name in sorted(names))
            return tuple(derived)
        known = {variable.name for variable in declared}
        added = tuple(theirs[name] for name in sorted(names - known) if name in theirs)
        missing = sorted(names - known - set(theirs))
        if missing:
            raise Invalid([Fault(f"variables.{name}", "is used but not declared") for name in missing])
        return (*declared, *added)

    def _made_html(self, source: Assembled) -> str:
        try:
            if self._written.markup is Markup.MJML:
                html = mjml.to_html(source.text, "body_html")
                return self._inlined(html) if mjml.wants_inlining(source.text) else html
            return self._inlined(source.text) if mail.has_styles(source.text) else source.text
        except Invalid as exc:
            raise Invalid([source.told(fault) for fault in exc.faults]) from exc

    def _inlined(self, html: str) -> str:
        """Write styles into elements; where that would lose a tag, leave them and say so."""
        try:
            return mail.with_styles_inlined(html, "body_html")
        except Invalid as exc:
            self._findings.append(
                warning(
                    "not_inlined",
                    "body_html",
                    f"styles stay in <style>, which some mail programs drop: {exc.faults[0].message}",
                    "keep {% … %} outside of an element's tag, or write styles into the elements yourself",
                )
            )
            return html

    def _derived(self, html: str) -> str | None:
        """Read a text out of the HTML; where its tags do not come out whole, there is none."""
        text = mail.text_of(html)
        try:
            compile_parts(None, None, text)
        except Invalid:
            text = None
        if text is None:
            self._findings.append(
                warning(
                    "no_text",
                    "body_text",
                    "no plain text could be made of the HTML",
                    "write the plain text yourself",
                )
            )
            return None
        self._findings.append(info("text_derived", "body_text", "the plain text is made of the HTML"))
        return text
