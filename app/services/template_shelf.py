"""Where a template finds its layout and its partials: those in use now, or those it was made with."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from app.db.tables import message_template_versions, message_templates
from app.domain.locales import fallbacks
from app.domain.rendering import Variable
from app.domain.templates.building import Kind, Markup, Source, TakenIn
from app.domain.vocabulary import Channel

_HEADS, _VERSIONS = message_templates.c, message_template_versions.c


class ActiveShelf:
    """Gives active versions, in the locale asked for or one that it falls back to."""

    def __init__(self, conn: sa.Connection, channel: Channel, locale: str | None) -> None:
        self._conn = conn
        self._channel = channel
        self._locales = fallbacks(locale)

    def layout(self, slug: str) -> Source | None:
        """Find a layout."""
        return self._found(Kind.LAYOUT, slug)

    def partial(self, slug: str) -> Source | None:
        """Find a partial."""
        return self._found(Kind.PARTIAL, slug)

    def _found(self, kind: Kind, slug: str) -> Source | None:
        query = _fragments().where(
            _HEADS.kind == kind,
            _HEADS.slug == slug,
            _HEADS.channel == self._channel,
            _HEADS.is_active,
            _VERSIONS.version == _HEADS.active_version,
        )
        by_locale = {row.locale: row for row in self._conn.execute(query)}
        rows = (by_locale[locale] for locale in self._locales if locale in by_locale)
        return next(map(_source, rows), None)


class PinnedShelf:
    """Gives the versions that a template's version was made with, whatever is active now."""

    def __init__(self, conn: sa.Connection, taken_in: Sequence[TakenIn]) -> None:
        query = _fragments().where(_VERSIONS.id.in_([each.id for each in taken_in]))
        sources = map(_source, conn.execute(query)) if taken_in else ()
        self._sources = {(source.origin.kind, source.origin.slug): source for source in sources}

    def layout(self, slug: str) -> Source | None:
        """Find a layout."""
        return self._sources.get((Kind.LAYOUT, slug))

    def partial(self, slug: str) -> Source | None:
        """Find a partial."""
        return self._sources.get((Kind.PARTIAL, slug))


def _fragments() -> sa.Select[Any]:
    columns = (
        _HEADS.kind, _HEADS.slug, _HEADS.locale, _VERSIONS.id, _VERSIONS.version, _VERSIONS.markup,
        _VERSIONS.body_html, _VERSIONS.body_text, _VERSIONS.variables,
    )  # fmt: skip
    return sa.select(*columns).join_from(
        message_templates, message_template_versions, _VERSIONS.template_id == _HEADS.id
    )


def _source(row: sa.Row[Any]) -> Source:
    origin = TakenIn(kind=Kind(row.kind), slug=row.slug, locale=row.locale, version=row.version, id=row.id)
    return Source(
        origin=origin,
        markup=Markup(row.markup),
        html=row.body_html,
        text=row.body_text,
        variables=tuple(Variable(**variable) for variable in row.variables if variable["name"] != "content"),
    )
