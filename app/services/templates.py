"""Templates and their versions."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.domain.rendering import Compiled, Content, Variable, compile_parts, faults
from app.domain.vocabulary import Channel
from app.errors import Fault, Invalid, NotFound
from app.services import paging, template_rows
from app.services.audit import Who, record
from app.services.catalog import Catalog
from app.services.template_rows import Name, TemplateDraft, TemplateView, VersionView
from app.services.views import Page

__all__ = ["TemplateDraft", "TemplateService", "TemplateView", "VersionView"]

MOST = 200

_SLUG = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


class TemplateService:
    """Reading and writing templates. A template is named by slug, channel and locale.

    Each call raises Unavailable where PostgreSQL is down.
    """

    def __init__(self, engine: sa.Engine, catalog: Catalog) -> None:
        self._engine = engine
        self._catalog = catalog

    def save(
        self,
        who: Who,
        slug: str,
        channel: Channel,
        draft: TemplateDraft,
        *,
        locale: str | None = None,
        activate: bool = True,
    ) -> VersionView:
        """Make a template, or its next version; raises Invalid with what does not compile, by field."""
        name = Name(slug, channel, locale)
        variables = _checked(name, draft)
        with unavailable_when_down(), self._engine.begin() as conn:
            head = template_rows.head_for_writing(conn, name, draft)
            version = template_rows.add_version(conn, head, draft, variables, who.actor)
            if activate:
                template_rows.activate(conn, head, version)
            record(conn, who, "template.save", str(name), after={"version": version, "active": activate})
            view = template_rows.version_of(conn, template_rows.head_of(conn, name), version)
        self._catalog.forget()
        return view

    def activate(
        self, who: Who, slug: str, channel: Channel, version: int, *, locale: str | None = None
    ) -> TemplateView:
        """Make a version the one that new messages get; raises NotFound."""
        name = Name(slug, channel, locale)
        with unavailable_when_down(), self._engine.begin() as conn:
            head = template_rows.head_of(conn, name)
            template_rows.version_of(conn, head, version)
            template_rows.activate(conn, head.id, version)
            before, after = {"version": head.active_version}, {"version": version}
            record(conn, who, "template.activate", str(name), before=before, after=after)
            view = template_rows.full_view(conn, name)
        self._catalog.forget()
        return view

    def retire(self, who: Who, slug: str, channel: Channel, *, locale: str | None = None) -> None:
        """Let no new message use the template; messages already accepted keep theirs. Raises NotFound."""
        name = Name(slug, channel, locale)
        with unavailable_when_down(), self._engine.begin() as conn:
            template_rows.retire(conn, template_rows.head_of(conn, name).id)
            record(conn, who, "template.retire", str(name))
        self._catalog.forget()

    def get(self, slug: str, channel: Channel, *, locale: str | None = None) -> TemplateView:
        """Give one template; raises NotFound."""
        with unavailable_when_down(), self._engine.connect() as conn:
            return template_rows.full_view(conn, Name(slug, channel, locale))

    def list(
        self, *, channel: Channel | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[TemplateView]:
        """List templates by slug, channel and locale; `active` holds no bodies here (it is None)."""
        limit = paging.within(limit, MOST)
        after = paging.position(cursor, str, str, str)
        with unavailable_when_down(), self._engine.connect() as conn:
            found = template_rows.heads(
                conn, channel, (after[0], after[1], after[2]) if after else None, limit + 1
            )
        last = found[limit - 1] if len(found) > limit else None
        following = paging.cursor(last.slug, last.channel, last.locale or "") if last else None
        return Page(items=tuple(found[:limit]), next=following)

    def versions(
        self,
        slug: str,
        channel: Channel,
        *,
        locale: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[VersionView]:
        """List a template's versions, newest first; raises NotFound."""
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        with unavailable_when_down(), self._engine.connect() as conn:
            head = template_rows.head_of(conn, Name(slug, channel, locale))
            found = template_rows.versions_of(conn, head, before[0] if before else None, limit + 1)
        following = paging.cursor(found[limit - 1].version) if len(found) > limit else None
        return Page(items=tuple(found[:limit]), next=following)

    def preview(
        self,
        slug: str,
        channel: Channel,
        data: Mapping[str, Any],
        *,
        locale: str | None = None,
        version: int | None = None,
    ) -> Content:
        """Render a saved version; examples stand in for what `data` leaves out. Raises NotFound, Invalid."""
        with unavailable_when_down(), self._engine.connect() as conn:
            head = template_rows.head_of(conn, Name(slug, channel, locale))
            wanted = version or head.active_version
            if wanted is None:
                raise NotFound(f"template {slug!r} has no active version")
            saved = template_rows.version_of(conn, head, wanted)
        return _rendered(saved, saved.variables, data)

    def preview_draft(self, draft: TemplateDraft, data: Mapping[str, Any]) -> Content:
        """Render parts that are not saved; raises Invalid."""
        compiled = compile_parts(draft.subject, draft.body_html, draft.body_text)
        variables = _derived(compiled) if draft.variables is None else draft.variables
        return _rendered(draft, variables, data)


def _checked(name: Name, draft: TemplateDraft) -> tuple[Variable, ...]:
    """Judge a draft as a whole; gives its variables, raises Invalid with all faults."""
    found = [*_name_faults(name), *_part_faults(name.channel, draft)]
    variables: tuple[Variable, ...] = ()
    try:
        compiled = compile_parts(
            draft.subject, draft.body_html, draft.body_text, variables=draft.variables or ()
        )
        variables = _derived(compiled) if draft.variables is None else draft.variables
        missing = sorted(compiled.names - {variable.name for variable in variables})
        found += [Fault(f"variables.{name}", "is used but not declared") for name in missing]
    except Invalid as exc:
        found += exc.faults
    if found:
        raise Invalid(found)
    return variables


def _derived(compiled: Compiled) -> tuple[Variable, ...]:
    return tuple(Variable(name=name, type="any") for name in sorted(compiled.names))


def _name_faults(name: Name) -> Sequence[Fault]:
    found = []
    if not _SLUG.fullmatch(name.slug):
        found.append(Fault("slug", "must have 1 to 100 small letters, digits, and . _ - between them"))
    if name.locale is not None and not _LOCALE.fullmatch(name.locale):
        found.append(Fault("locale", "must be a language tag, as in de or pt-BR"))
    return found


def _part_faults(channel: Channel, draft: TemplateDraft) -> Sequence[Fault]:
    found = []
    if not draft.body_text and not draft.body_html:
        found.append(Fault("body_text", "is missing: a template needs body_text or body_html"))
    if channel is Channel.EMAIL and not draft.subject:
        found.append(Fault("subject", "is missing"))
    if channel is not Channel.EMAIL and draft.body_html:
        found.append(Fault("body_html", "is for email only"))
    texts = ("name", "description", "subject", "body_html", "body_text")
    with_nul = [field for field in texts if "\x00" in (getattr(draft, field) or "")]
    return found + [Fault(field, "contains the character NUL; remove it") for field in with_nul]


def _rendered(
    parts: TemplateDraft | VersionView, variables: Sequence[Variable], data: Mapping[str, Any]
) -> Content:
    examples = {variable.name: variable.example for variable in variables if variable.example is not None}
    filled = {**examples, **data}
    found = faults(variables, filled)
    if found:
        raise Invalid(found)
    compiled = compile_parts(parts.subject, parts.body_html, parts.body_text, variables=variables)
    return compiled.render(filled)
