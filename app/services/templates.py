"""Templates, layouts and partials, and their versions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.domain.rendering import compile_parts
from app.domain.templates import diffing
from app.domain.templates.building import Kind, build
from app.domain.templates.diffing import PartDiff
from app.domain.templates.findings import Finding, Level
from app.domain.vocabulary import Channel, MessageType
from app.errors import Conflict, Fault, Invalid, NotFound
from app.services import paging, template_checks, template_rows
from app.services.audit import Who, record
from app.services.catalog import Catalog
from app.services.template_checks import Report, Subject
from app.services.template_drafts import checked_draft, compared_parts
from app.services.template_previews import TemplatePreview, render
from app.services.template_rows import HeadFilter, Name, TemplateDraft, TemplateView, VersionView
from app.services.template_shelf import ActiveShelf, PinnedShelf
from app.services.views import Page

__all__ = ["HeadFilter", "Kind", "Name", "TemplateDraft", "TemplateService", "TemplateView", "VersionView"]

MOST = 200
MOST_DEPENDENTS = 500


class TemplateService:
    """Reading and writing templates, layouts and partials, each named by slug, channel and locale.

    Each call raises Unavailable where PostgreSQL is down, and NotFound for what is not there.
    """

    def __init__(
        self,
        engine: sa.Engine,
        catalog: Catalog,
        *,
        second_person: bool = False,
        most_segments: int = 10,
    ) -> None:
        """Take the engine. With `second_person` nobody may activate what they saved themselves."""
        self._engine = engine
        self._catalog = catalog
        self._second_person = second_person
        self._most_segments = most_segments

    def save(
        self,
        who: Who,
        slug: str,
        channel: Channel,
        draft: TemplateDraft,
        *,
        locale: str | None = None,
        activate: bool = True,
        kind: Kind = Kind.TEMPLATE,
        why: str | None = None,
    ) -> VersionView:
        """Make a template, or its next version.

        Raises Invalid with what does not compile, by field and line, and, where it is to be activated,
        with each error of its checks. Where a second person must activate it, it is saved and not active.
        """
        name = Name(slug, channel, locale, kind)
        draft = checked_draft(name, draft)
        with unavailable_when_down(), self._engine.begin() as conn:
            built = build(draft.written, ActiveShelf(conn, channel, locale), kind=kind)
            head = template_rows.head_for_writing(conn, name, draft)
            is_active = activate and not self._wants_second(head)
            subject = _subject(head, draft)
            found = template_checks.findings(subject, built, most_segments=self._most_segments)
            if is_active:
                _require_no_error(tuple(found))
            version = template_rows.add_version(
                conn, head.id, draft.written, built, author=who.actor, note=draft.note
            )
            if is_active:
                template_rows.change(conn, head.id, active_version=version, is_active=True)
            after = {"version": version, "active": is_active}
            record(conn, who, f"{kind}.save", str(name), after=after, why=why or draft.note)
            view = template_rows.version_of(conn, template_rows.head_of(conn, name), version)
        self._catalog.forget()
        return view

    def activate(
        self,
        who: Who,
        slug: str,
        channel: Channel,
        version: int,
        *,
        locale: str | None = None,
        kind: Kind = Kind.TEMPLATE,
        why: str | None = None,
    ) -> TemplateView:
        """Make a version the one that new messages get.

        Raises Invalid with each error of its checks, and Conflict where somebody else must do it.
        """
        name = Name(slug, channel, locale, kind)
        with unavailable_when_down(), self._engine.begin() as conn:
            head = template_rows.head_of(conn, name, lock=True)
            saved = template_rows.version_of(conn, head, version)
            if self._wants_second(head) and saved.created_by == who.actor:
                raise Conflict(
                    f"version {version} was saved by {who.actor}; a second person must activate it"
                )
            _require_no_error(self._looked_over(conn, name, head, saved))
            template_rows.change(conn, head.id, active_version=version, is_active=True)
            before = {"version": head.active_version, "is_active": head.is_active}
            after = {"version": version, "is_active": True}
            record(conn, who, f"{kind}.activate", str(name), before=before, after=after, why=why)
            view = self._shown(template_rows.full_view(conn, name))
        self._catalog.forget()
        return view

    def retire(
        self,
        who: Who,
        slug: str,
        channel: Channel,
        *,
        locale: str | None = None,
        kind: Kind = Kind.TEMPLATE,
        why: str | None = None,
    ) -> None:
        """Let no new message use a template, and no new version a layout or a partial.

        What was accepted or saved already keeps it.
        """
        name = Name(slug, channel, locale, kind)
        with unavailable_when_down(), self._engine.begin() as conn:
            head = template_rows.head_of(conn, name, lock=True)
            template_rows.change(conn, head.id, is_active=False)
            record(conn, who, f"{kind}.retire", str(name), why=why)
        self._catalog.forget()

    def protect(self, who: Who, name: Name, *, second_person: bool, why: str | None = None) -> TemplateView:
        """Say whether whoever saves a version may activate it; the setting wins where it asks for two."""
        with unavailable_when_down(), self._engine.begin() as conn:
            head = template_rows.head_of(conn, name, lock=True)
            template_rows.change(conn, head.id, second_person=second_person)
            before, after = {"second_person": head.second_person}, {"second_person": second_person}
            record(conn, who, f"{name.kind}.protect", str(name), before=before, after=after, why=why)
            return self._shown(template_rows.full_view(conn, name))

    def restore(self, who: Who, name: Name, version: int, *, why: str | None = None) -> VersionView:
        """Save an old version again as the newest, exactly as it was; it is not active yet."""
        with unavailable_when_down(), self._engine.begin() as conn:
            head = template_rows.head_of(conn, name, lock=True)
            template_rows.version_of(conn, head, version)
            made = template_rows.copy_version(
                conn, head.id, version, author=who.actor, note=f"Restored from version {version}"
            )
            after = {"version": made, "from": version}
            record(conn, who, f"{name.kind}.restore", str(name), after=after, why=why)
            return template_rows.version_of(conn, head, made)

    def rebuild(self, who: Who, name: Name, *, activate: bool = False, why: str | None = None) -> VersionView:
        """Save the active version again with the layouts and partials that are in use now.

        Raises Conflict where there is no active version, Invalid where it cannot be built with them.
        """
        view = self.get(name.slug, name.channel, locale=name.locale, kind=name.kind)
        if view.active is None:
            raise Conflict(f"{name.kind} {name.slug!r} has no active version to rebuild")
        draft = replace(draft_of(view, view.active), note="Rebuilt with newer layouts and partials")
        return self.save(
            who,
            name.slug,
            name.channel,
            draft,
            locale=name.locale,
            activate=activate,
            kind=name.kind,
            why=why,
        )

    def dependents(self, name: Name) -> tuple[Name, ...]:
        """List the templates whose active version takes a layout or a partial in, 500 at most."""
        with unavailable_when_down(), self._engine.connect() as conn:
            return tuple(template_rows.dependents(conn, name, MOST_DEPENDENTS))

    def get(
        self, slug: str, channel: Channel, *, locale: str | None = None, kind: Kind = Kind.TEMPLATE
    ) -> TemplateView:
        """Give one with its active version."""
        with unavailable_when_down(), self._engine.connect() as conn:
            return self._shown(template_rows.full_view(conn, Name(slug, channel, locale, kind)))

    def list(
        self,
        *,
        channel: Channel | None = None,
        cursor: str | None = None,
        limit: int = 50,
        kind: Kind = Kind.TEMPLATE,
        search: str | None = None,
        slug: str | None = None,
    ) -> Page[TemplateView]:
        """List by slug, channel and locale; `active` holds no bodies here (it is None).

        With a slug and a channel these are one template's locales.
        """
        limit = paging.within(limit, MOST)
        after = paging.position(cursor, str, str, str)
        wanted = HeadFilter(kind=kind, channel=channel, slug=slug, search=search)
        with unavailable_when_down(), self._engine.connect() as conn:
            found = template_rows.heads(
                conn, wanted, (after[0], after[1], after[2]) if after else None, limit + 1
            )
        last = found[limit - 1] if len(found) > limit else None
        following = paging.cursor(last.slug, last.channel, last.locale or "") if last else None
        return Page(items=tuple(map(self._shown, found[:limit])), next=following)

    def versions(
        self,
        slug: str,
        channel: Channel,
        *,
        locale: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        kind: Kind = Kind.TEMPLATE,
    ) -> Page[VersionView]:
        """List the versions, newest first."""
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        with unavailable_when_down(), self._engine.connect() as conn:
            head = template_rows.head_of(conn, Name(slug, channel, locale, kind))
            found = template_rows.versions_of(conn, head, before[0] if before else None, limit + 1)
        following = paging.cursor(found[limit - 1].version) if len(found) > limit else None
        return Page(items=tuple(found[:limit]), next=following)

    def version(self, name: Name, version: int) -> VersionView:
        """Give one version."""
        with unavailable_when_down(), self._engine.connect() as conn:
            return template_rows.version_of(conn, template_rows.head_of(conn, name), version)

    def diff(self, name: Name, old: int, new: int) -> tuple[PartDiff, ...]:
        """Compare two versions part by part, as their authors wrote them, line by line."""
        with unavailable_when_down(), self._engine.connect() as conn:
            head = template_rows.head_of(conn, name)
            before = compared_parts(template_rows.version_of(conn, head, old))
            after = compared_parts(template_rows.version_of(conn, head, new))
        return tuple(diffing.compare(part, before[part], after[part]) for part in before)

    def check(self, name: Name, version: int | None = None) -> Report:
        """Look a saved version over, the active one where none is named, else the newest."""
        with unavailable_when_down(), self._engine.connect() as conn:
            head = template_rows.head_of(conn, name)
            wanted = version or head.active_version or template_rows.latest(conn, head.id)
            saved = template_rows.version_of(conn, head, wanted)
            return template_checks.of_findings(self._looked_over(conn, name, head, saved))

    def check_draft(
        self, channel: Channel, draft: TemplateDraft, *, locale: str | None = None, kind: Kind = Kind.TEMPLATE
    ) -> Report:
        """Look over what is not saved."""
        subject = Subject(kind=kind, channel=channel, message_type=draft.message_type, written=draft.written)
        try:
            checked_draft(Name("draft", channel, locale, kind), draft)
        except Invalid as exc:
            return template_checks.of_faults(exc.faults)
        with unavailable_when_down(), self._engine.connect() as conn:
            shelf = ActiveShelf(conn, channel, locale)
            return template_checks.report(subject, shelf, most_segments=self._most_segments)

    def preview(
        self,
        slug: str,
        channel: Channel,
        data: Mapping[str, Any],
        *,
        locale: str | None = None,
        version: int | None = None,
        fill: bool = False,
    ) -> TemplatePreview:
        """Render a saved version; examples stand in for what `data` leaves out. Raises Invalid."""
        with unavailable_when_down(), self._engine.connect() as conn:
            head = template_rows.head_of(conn, Name(slug, channel, locale))
            wanted = version or head.active_version
            if wanted is None:
                raise NotFound(f"template {slug!r} has no active version")
            saved = template_rows.version_of(conn, head, wanted)
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
    ) -> TemplatePreview:
        """Render what is not saved, with its layout and partials as they are now; raises Invalid."""
        with unavailable_when_down(), self._engine.connect() as conn:
            built = build(draft.written, ActiveShelf(conn, channel, locale))
        return render(channel, built.compiled, built.variables, data, fill=fill)

    def _looked_over(
        self, conn: sa.Connection, name: Name, head: sa.Row[Any], saved: VersionView
    ) -> tuple[Finding, ...]:
        """Look a saved version over with what it was made with, not with what is active by now."""
        subject = _subject(head, saved)
        report = template_checks.report(
            subject, PinnedShelf(conn, saved.taken_in), most_segments=self._most_segments
        )
        now = ActiveShelf(conn, name.channel, name.locale)
        return (*report.findings, *template_checks.outdated(saved.taken_in, now))

    def _wants_second(self, head: sa.Row[Any]) -> bool:
        return self._second_person or bool(head.second_person)

    def _shown(self, view: TemplateView) -> TemplateView:
        return replace(view, second_person=True) if self._second_person else view


def draft_of(view: TemplateView, version: VersionView) -> TemplateDraft:
    """Give a version as the draft of the next."""
    return TemplateDraft(
        name=view.name,
        description=view.description,
        subject=version.subject,
        body_html=version.body_html,
        body_text=version.body_text,
        markup=version.markup,
        layout=version.layout,
        parts=version.parts,
        variables=version.variables,
    )


def _subject(head: sa.Row[Any], said: TemplateDraft | VersionView) -> Subject:
    return Subject(
        kind=Kind(head.kind),
        channel=Channel(head.channel),
        message_type=MessageType(head.message_type) if head.message_type else None,
        written=said.written,
    )


def _require_no_error(found: Sequence[Finding]) -> None:
    errors = [each for each in found if each.level is Level.ERROR]
    if errors:
        raise Invalid([Fault(each.place, _told(each)) for each in errors])


def _told(finding: Finding) -> str:
    where = f"line {finding.line}" if finding.line else ""
    where += f" of {finding.fragment}" if finding.fragment else ""
    return (
        f"{where}: {finding.message}; {finding.advice}" if where else f"{finding.message}; {finding.advice}"
    )
