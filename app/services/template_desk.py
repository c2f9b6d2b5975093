"""Trying templates out: looking them over, filling them in, saved or not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.domain.rendering import compile_parts
from app.domain.templates.building import Kind, build
from app.domain.templates.examples import alone
from app.domain.variables import Variable
from app.domain.vocabulary import Channel
from app.errors import Invalid, NotFound
from app.services import template_checks, template_rows
from app.services.template_checks import Report, Subject
from app.services.template_drafts import checked_draft, with_clean_html
from app.services.template_previews import TemplatePreview, render
from app.services.template_shelf import ActiveShelf, PinnedShelf
from app.services.template_views import Name, TemplateDraft


class TemplateDesk:
    """Checks and previews; nothing is written.

    Each call raises Unavailable where PostgreSQL is down, and NotFound for what is not there.
    """

    def __init__(self, engine: sa.Engine, *, most_segments: int = 10) -> None:
        self._engine = engine
        self._most_segments = most_segments

    def check(self, name: Name, version: int | None = None) -> Report:
        """Look a saved version over, the active one where none is named, else the newest."""
        with unavailable_when_down(), self._engine.connect() as conn:
            head = template_rows.head_of(conn, name)
            wanted = version or head.active_version or template_rows.latest(conn, head.id)
            saved = template_rows.version_of(conn, head, wanted)
            return template_checks.of_findings(
                template_checks.looked_over(conn, head, saved, most_segments=self._most_segments)
            )

    def check_draft(
        self,
        channel: Channel,
        draft: TemplateDraft,
        *,
        locale: str | None = None,
        kind: Kind = Kind.TEMPLATE,
        slug: str | None = None,
    ) -> Report:
        """Look over what is not saved, with a slug also against the version that is in use of it."""
        subject = Subject(kind=kind, channel=channel, message_type=draft.message_type, written=draft.written)
        try:
            checked_draft(Name("draft", channel, locale, kind), draft)
        except Invalid as exc:
            return template_checks.of_faults(exc.faults)
        with unavailable_when_down(), self._engine.connect() as conn:
            shelf = ActiveShelf(conn, channel, locale)
            return template_checks.report(
                subject,
                shelf,
                most_segments=self._most_segments,
                in_use=_in_use(conn, Name(slug, channel, locale, kind)) if slug else None,
            )

    def completed(
        self, channel: Channel, draft: TemplateDraft, *, locale: str | None = None, kind: Kind = Kind.TEMPLATE
    ) -> TemplateDraft:
        """Declare what a draft uses and does not declare; one that cannot be built comes back as it is.

        What was declared in this way once, and is used no more, is dropped.
        """
        try:
            with unavailable_when_down(), self._engine.connect() as conn:
                shelf = ActiveShelf(conn, channel, locale)
                found = build(replace(draft, variables=None).written, shelf, kind=kind).variables
        except Invalid:
            return draft
        used = {variable.name for variable in found}
        declared = [each for each in draft.variables or () if each.name in used or not _is_bare(each)]
        known = {variable.name for variable in declared}
        return replace(draft, variables=(*declared, *(each for each in found if each.name not in known)))

    def preview(
        self,
        slug: str,
        channel: Channel,
        data: Mapping[str, Any],
        *,
        locale: str | None = None,
        version: int | None = None,
        fill: bool = False,
        kind: Kind = Kind.TEMPLATE,
    ) -> TemplatePreview:
        """Render a saved version; examples stand in for what `data` leaves out. Raises Invalid.

        A layout shows a sentence in place of a template.
        """
        with unavailable_when_down(), self._engine.connect() as conn:
            head = template_rows.head_of(conn, Name(slug, channel, locale, kind))
            wanted = version or head.active_version
            if wanted is None:
                raise NotFound(f"{kind} {slug!r} has no active version")
            saved = template_rows.version_of(conn, head, wanted)
            if kind is not Kind.TEMPLATE:
                built = build(alone(saved.written, kind), PinnedShelf(conn, saved.taken_in))
                return render(channel, built.compiled, built.variables, data, fill=fill)
        compiled = compile_parts(
            saved.subject,
            saved.compiled_html,
            saved.compiled_text,
            variables=saved.variables,
            own=saved.parts,
        )
        return render(channel, compiled, saved.variables, data, fill=fill)

    def preview_draft(
        self,
        draft: TemplateDraft,
        data: Mapping[str, Any],
        *,
        channel: Channel = Channel.EMAIL,
        locale: str | None = None,
        fill: bool = False,
        kind: Kind = Kind.TEMPLATE,
    ) -> TemplatePreview:
        """Render what is not saved, with its layout and partials as they are now; raises Invalid."""
        written = alone(with_clean_html(draft).written, kind)
        with unavailable_when_down(), self._engine.connect() as conn:
            built = build(written, ActiveShelf(conn, channel, locale))
        return render(channel, built.compiled, built.variables, data, fill=fill)


def _in_use(conn: sa.Connection, name: Name) -> tuple[Variable, ...] | None:
    try:
        head = template_rows.head_of(conn, name)
    except NotFound:
        return None
    return template_checks.in_use(conn, head)


def _is_bare(variable: Variable) -> bool:
    """Tell whether a variable says no more than its name."""
    return variable == Variable(name=variable.name, type="any")
