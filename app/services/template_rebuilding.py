"""Making templates anew with the layouts and partials that are in use now."""

from dataclasses import dataclass, replace

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.errors import Conflict, Refused
from app.services import template_rows
from app.services.audit import Who
from app.services.template_views import Name, TemplateDraft, TemplateView, VersionView
from app.services.templates import TemplateService

MOST_DEPENDENTS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilt:
    """What became of one template: its new version, or in words why there is none."""

    slug: str
    locale: str | None
    version: int | None = None
    is_active: bool = False
    error: str | None = None


class TemplateRebuilding:
    """Rebuilds templates; each call raises Unavailable where PostgreSQL is down."""

    def __init__(self, engine: sa.Engine, templates: TemplateService) -> None:
        self._engine = engine
        self._templates = templates

    def rebuild(self, who: Who, name: Name, *, activate: bool = False, why: str | None = None) -> VersionView:
        """Save the active version again with the layouts and partials that are in use now.

        Raises Conflict where there is no active version, Invalid where it cannot be built with them.
        """
        view = self._templates.get(name.slug, name.channel, locale=name.locale, kind=name.kind)
        if view.active is None:
            raise Conflict(f"{name.kind} {name.slug!r} has no active version to rebuild")
        draft = replace(draft_of(view, view.active), note="Rebuilt with newer layouts and partials")
        return self._templates.save(
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

    def rebuild_dependents(
        self, who: Who, name: Name, *, activate: bool = False, why: str | None = None
    ) -> tuple[Rebuilt, ...]:
        """Rebuild all templates that a layout or a partial is in; one that cannot be stops no other."""
        return tuple(self._rebuilt(who, each, activate=activate, why=why) for each in self.dependents(name))

    def _rebuilt(self, who: Who, name: Name, *, activate: bool, why: str | None) -> Rebuilt:
        try:
            made = self.rebuild(who, name, activate=activate, why=why)
        except Refused as exc:
            return Rebuilt(slug=name.slug, locale=name.locale, error=str(exc))
        return Rebuilt(slug=name.slug, locale=name.locale, version=made.version, is_active=made.is_active)


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
