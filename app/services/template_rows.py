"""Templates, layouts and partials as rows: one head each, one row for each saved version."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.db.tables import message_template_versions, message_templates
from app.domain.rendering import Variable
from app.domain.templates.building import Built, Kind, Markup, TakenIn, Written
from app.domain.vocabulary import Channel, MessageType
from app.errors import NotFound
from app.services.template_views import HeadFilter, Name, TemplateDraft, TemplateView, VersionView

_HEADS, _VERSIONS = message_templates.c, message_template_versions.c


def head_of(conn: sa.Connection, name: Name, *, lock: bool = False) -> sa.Row[Any]:
    """Read a head, and hold it for a change where asked to; raises NotFound."""
    query = sa.select(message_templates).where(_is(name))
    row = conn.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no {name.kind} {name.slug!r} for {name.channel} in this locale")
    return row


def head_for_writing(conn: sa.Connection, name: Name, draft: TemplateDraft) -> sa.Row[Any]:
    """Make or change a head and lock it, so that versions are numbered one by one."""
    insert = postgresql.insert(message_templates).values(
        kind=name.kind.value,
        slug=name.slug,
        channel=name.channel,
        locale=name.locale,
        name=draft.name,
        description=draft.description,
        message_type=draft.message_type,
    )
    statement = insert.on_conflict_do_update(
        constraint="message_templates_slug_key",
        set_={
            "name": draft.name,
            "description": draft.description,
            "message_type": sa.func.coalesce(insert.excluded.message_type, _HEADS.message_type),
            "updated_at": sa.func.now(),
        },
    ).returning(message_templates)
    return conn.execute(statement).one()


def add_version(
    conn: sa.Connection, head: int, written: Written, built: Built, *, author: str, note: str | None
) -> int:
    """Save the next version of a locked head; gives its number."""
    return _added(
        conn,
        head,
        subject=written.subject,
        body_html=written.html,
        body_text=written.text,
        markup=written.markup.value,
        layout=written.layout,
        parts=dict(written.parts),
        variables=[asdict(variable) for variable in built.variables],
        taken_in=[asdict(each) for each in built.taken_in],
        compiled_html=None if built.html == written.html else built.html,
        compiled_text=None if built.text == written.text else built.text,
        note=note,
        created_by=author,
    )


def copy_version(conn: sa.Connection, head: int, version: int, *, author: str, note: str | None) -> int:
    """Save an old version again as the next one, exactly as it was; gives its number."""
    copied = (
        "subject", "body_html", "body_text", "markup", "layout", "parts", "variables", "taken_in",
        "compiled_html", "compiled_text",
    )  # fmt: skip
    query = sa.select(*(_VERSIONS[name] for name in copied)).where(
        _VERSIONS.template_id == head, _VERSIONS.version == version
    )
    row = conn.execute(query).one()
    return _added(conn, head, **row._mapping, note=note, created_by=author)  # noqa: SLF001 - Its public name.


def _added(conn: sa.Connection, head: int, **values: Any) -> int:
    latest = sa.select(sa.func.coalesce(sa.func.max(_VERSIONS.version), 0)).where(
        _VERSIONS.template_id == head
    )
    statement = (
        sa.insert(message_template_versions)
        .values(template_id=head, version=latest.scalar_subquery() + 1, **values)
        .returning(_VERSIONS.version)
    )
    return int(conn.execute(statement).scalar_one())


def change(conn: sa.Connection, head: int, **values: Any) -> None:
    """Change a head."""
    statement = sa.update(message_templates).where(_HEADS.id == head)
    conn.execute(statement.values(**values, updated_at=sa.func.now()))


def version_of(conn: sa.Connection, head: sa.Row[Any], version: int) -> VersionView:
    """Read one version; raises NotFound."""
    query = sa.select(message_template_versions).where(
        _VERSIONS.template_id == head.id, _VERSIONS.version == version
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"{head.kind} {head.slug!r} has no version {version}")
    return version_view(row, head.active_version)


def latest(conn: sa.Connection, head: int) -> int:
    """Give the number of the newest version."""
    query = sa.select(sa.func.max(_VERSIONS.version)).where(_VERSIONS.template_id == head)
    return int(conn.execute(query).scalar_one())


def versions_of(conn: sa.Connection, head: sa.Row[Any], before: int | None, limit: int) -> list[VersionView]:
    """Read versions, newest first, those before a number."""
    query = sa.select(message_template_versions).where(_VERSIONS.template_id == head.id)
    if before is not None:
        query = query.where(_VERSIONS.version < before)
    rows = conn.execute(query.order_by(_VERSIONS.version.desc()).limit(limit))
    return [version_view(row, head.active_version) for row in rows]


def heads(
    conn: sa.Connection, wanted: HeadFilter, after: Sequence[str] | None, limit: int
) -> list[TemplateView]:
    """Read heads by slug, channel, locale and kind, those after a position, without their bodies."""
    position = (_HEADS.slug, _HEADS.channel, sa.func.coalesce(_HEADS.locale, ""), _HEADS.kind)
    query = sa.select(message_templates, _latest()).where(*_conditions(wanted)).order_by(*position)
    if after is not None:
        query = query.where(sa.tuple_(*position) > sa.tuple_(*after))
    return [template_view(row, None) for row in conn.execute(query.limit(limit))]


def dependents(conn: sa.Connection, name: Name, limit: int) -> list[Name]:
    """List the templates whose active version takes a layout or a partial in."""
    part = [{"kind": name.kind.value, "slug": name.slug}]
    query = (
        sa.select(message_templates)
        .join(
            message_template_versions,
            sa.and_(_VERSIONS.template_id == _HEADS.id, _VERSIONS.version == _HEADS.active_version),
        )
        .where(
            _HEADS.kind == Kind.TEMPLATE,
            _HEADS.channel == name.channel,
            _HEADS.is_active,
            _VERSIONS.taken_in.contains(part),
        )
        .order_by(_HEADS.slug, _HEADS.locale)
        .limit(limit)
    )
    return [Name(row.slug, Channel(row.channel), row.locale) for row in conn.execute(query)]


def full_view(conn: sa.Connection, name: Name) -> TemplateView:
    """Read a head with its active version; raises NotFound."""
    row = conn.execute(sa.select(message_templates, _latest()).where(_is(name))).one_or_none()
    if row is None:
        raise NotFound(f"there is no {name.kind} {name.slug!r} for {name.channel} in this locale")
    active = None if row.active_version is None else version_of(conn, row, row.active_version)
    return template_view(row, active)


def template_view(row: sa.Row[Any], active: VersionView | None) -> TemplateView:
    """Show a head."""
    return TemplateView(
        kind=Kind(row.kind),
        slug=row.slug,
        channel=Channel(row.channel),
        locale=row.locale,
        name=row.name,
        description=row.description,
        message_type=MessageType(row.message_type) if row.message_type else None,
        second_person=row.second_person,
        is_active=row.is_active,
        active_version=row.active_version,
        latest_version=row.latest_version,
        active=active,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def version_view(row: sa.Row[Any], active_version: int | None) -> VersionView:
    """Show a version."""
    return VersionView(
        version=row.version,
        subject=row.subject,
        body_html=row.body_html,
        body_text=row.body_text,
        markup=Markup(row.markup),
        layout=row.layout,
        parts=row.parts,
        variables=tuple(Variable(**variable) for variable in row.variables),
        taken_in=tuple(taken_in(each) for each in row.taken_in),
        compiled_html=row.body_html if row.compiled_html is None else row.compiled_html,
        compiled_text=row.body_text if row.compiled_text is None else row.compiled_text,
        note=row.note,
        created_by=row.created_by,
        created_at=row.created_at,
        is_active=row.version == active_version,
    )


def taken_in(kept: Mapping[str, Any]) -> TakenIn:
    """Read what a version keeps of a layout or a partial that it took in."""
    return TakenIn(**{**kept, "kind": Kind(kept["kind"])})


def _is(name: Name) -> sa.ColumnElement[bool]:
    return sa.and_(
        _HEADS.kind == name.kind,
        _HEADS.slug == name.slug,
        _HEADS.channel == name.channel,
        _HEADS.locale.is_not_distinct_from(name.locale),
    )


def _conditions(wanted: HeadFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.kind is not None:
        conditions.append(_HEADS.kind == wanted.kind)
    if wanted.channel is not None:
        conditions.append(_HEADS.channel == wanted.channel)
    if wanted.slug is not None:
        conditions.append(_HEADS.slug == wanted.slug)
    if wanted.search:
        words = sa.or_(
            _HEADS.slug.icontains(wanted.search, autoescape=True),
            _HEADS.name.icontains(wanted.search, autoescape=True),
        )
        conditions.append(words)
    return conditions


def _latest() -> sa.Label[int]:
    latest = sa.select(sa.func.max(_VERSIONS.version)).where(_VERSIONS.template_id == _HEADS.id)
    return latest.scalar_subquery().label("latest_version")
