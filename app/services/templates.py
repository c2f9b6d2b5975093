"""Templates, layouts and partials, and their versions."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.domain.templates import diffing
from app.domain.templates.building import Kind, build
from app.domain.templates.diffing import PartDiff
from app.domain.vocabulary import Channel
from app.errors import Conflict
from app.services import paging, template_rows
from app.services.audit import Who, record
from app.services.catalog import Catalog
from app.services.template_checks import findings, looked_over, require_no_error, subject_of
from app.services.template_drafts import checked_draft, compared_parts
from app.services.template_shelf import ActiveShelf
from app.services.template_views import HeadFilter, Name, TemplateDraft, TemplateView, VersionView
from app.services.views import Page

__all__ = ["HeadFilter", "Kind", "Name", "TemplateDraft", "TemplateService", "TemplateView", "VersionView"]

MOST = 200


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
            if is_active:
                subject = subject_of(head, draft.written)
                require_no_error(tuple(findings(subject, built, most_segments=self._most_segments)))
            version = template_rows.add_version(
                conn, head.id, draft.written, built, author=who.actor, note=draft.note
            )
            if is_active:
                template_rows.change(conn, head.id, active_version=version, is_active=True)
            after = {"version": version, "active": is_active}
            record(conn, who, f"{kind}.save", str(name), after=after, why=why or draft.note)
            view = template_rows.version_of(conn, template_rows.head_of(conn, name), version)
        self._catalog.changed()
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
            require_no_error(looked_over(conn, head, saved, most_segments=self._most_segments))
            template_rows.change(conn, head.id, active_version=version, is_active=True)
            before = {"version": head.active_version, "is_active": head.is_active}
            after = {"version": version, "is_active": True}
            record(conn, who, f"{kind}.activate", str(name), before=before, after=after, why=why)
            view = self._shown(template_rows.full_view(conn, name))
        self._catalog.changed()
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
        self._catalog.changed()

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
        kind: Kind | None = Kind.TEMPLATE,
        search: str | None = None,
        slug: str | None = None,
    ) -> Page[TemplateView]:
        """List by slug, channel and locale; `active` holds no bodies here (it is None).

        Without a kind these are templates, layouts and partials together; with a slug and a channel, one
        template's locales.
        """
        limit = paging.within(limit, MOST)
        after = paging.position(cursor, str, str, str, str)
        wanted = HeadFilter(kind=kind, channel=channel, slug=slug, search=search)
        with unavailable_when_down(), self._engine.connect() as conn:
            found = template_rows.heads(conn, wanted, after, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        following = paging.cursor(last.slug, last.channel, last.locale or "", last.kind) if last else None
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

    def _wants_second(self, head: sa.Row[Any]) -> bool:
        return self._second_person or bool(head.second_person)

    def _shown(self, view: TemplateView) -> TemplateView:
        return replace(view, second_person=True) if self._second_person else view
