"""Templates as rows: one head a template, one row for each saved version."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.db.tables import message_template_versions, message_templates
from app.domain.rendering import Variable
from app.domain.vocabulary import Channel
from app.errors import NotFound

_HEADS, _VERSIONS = message_templates.c, message_template_versions.c


class Name(NamedTuple):
    """What names a template."""

    slug: str
    channel: Channel
    locale: str | None

    def __str__(self) -> str:
        """Spell it for logs: template:email/welcome/de."""
        return "/".join(filter(None, (f"template:{self.channel}", self.slug, self.locale)))


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateDraft:
    """What a version of a template says.

    Where `variables` is None, they are derived from the parts: each one used is required, of any type.
    """

    name: str
    description: str = ""
    subject: str | None = None
    body_html: str | None = None
    body_text: str | None = None
    variables: tuple[Variable, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionView:
    """One saved version, which never changes."""

    version: int
    subject: str | None
    body_html: str | None
    body_text: str | None
    variables: tuple[Variable, ...]
    created_by: str
    created_at: datetime
    is_active: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateView:
    """A template with its active version, which is None before the first activation."""

    slug: str
    channel: Channel
    locale: str | None
    name: str
    description: str
    is_active: bool
    active_version: int | None
    latest_version: int
    active: VersionView | None
    created_at: datetime
    updated_at: datetime


def head_of(conn: sa.Connection, name: Name) -> sa.Row[Any]:
    """Read a template's head; raises NotFound."""
    row = conn.execute(sa.select(message_templates).where(_is(name))).one_or_none()
    if row is None:
        raise NotFound(f"there is no template {name.slug!r} for {name.channel} in this locale")
    return row


def head_for_writing(conn: sa.Connection, name: Name, draft: TemplateDraft) -> int:
    """Make or change a template's head and lock it, so that versions are numbered one by one."""
    statement = (
        postgresql.insert(message_templates)
        .values(
            slug=name.slug,
            channel=name.channel,
            locale=name.locale,
            name=draft.name,
            description=draft.description,
        )
        .on_conflict_do_update(
            constraint="message_templates_slug_key",
            set_={"name": draft.name, "description": draft.description, "updated_at": sa.func.now()},
        )
        .returning(_HEADS.id)
    )
    return int(conn.execute(statement).scalar_one())


def add_version(
    conn: sa.Connection, head: int, draft: TemplateDraft, variables: tuple[Variable, ...], author: str
) -> int:
    """Save the next version of a locked template; gives its number."""
    latest = sa.select(sa.func.coalesce(sa.func.max(_VERSIONS.version), 0)).where(
        _VERSIONS.template_id == head
    )
    statement = (
        sa.insert(message_template_versions)
        .values(
            template_id=head,
            version=latest.scalar_subquery() + 1,
            subject=draft.subject,
            body_html=draft.body_html,
            body_text=draft.body_text,
            variables=[asdict(variable) for variable in variables],
            created_by=author,
        )
        .returning(_VERSIONS.version)
    )
    return int(conn.execute(statement).scalar_one())


def activate(conn: sa.Connection, head: int, version: int) -> None:
    """Let new messages use this version."""
    conn.execute(
        sa.update(message_templates)
        .where(_HEADS.id == head)
        .values(active_version=version, is_active=True, updated_at=sa.func.now())
    )


def retire(conn: sa.Connection, head: int) -> None:
    """Let no new message use the template."""
    conn.execute(
        sa.update(message_templates)
        .where(_HEADS.id == head)
        .values(is_active=False, updated_at=sa.func.now())
    )


def version_of(conn: sa.Connection, head: sa.Row[Any], version: int) -> VersionView:
    """Read one version; raises NotFound."""
    query = sa.select(message_template_versions).where(
        _VERSIONS.template_id == head.id, _VERSIONS.version == version
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"template {head.slug!r} has no version {version}")
    return version_view(row, head.active_version)


def versions_of(conn: sa.Connection, head: sa.Row[Any], before: int | None, limit: int) -> list[VersionView]:
    """Read versions, newest first, those before a number."""
    query = sa.select(message_template_versions).where(_VERSIONS.template_id == head.id)
    if before is not None:
        query = query.where(_VERSIONS.version < before)
    rows = conn.execute(query.order_by(_VERSIONS.version.desc()).limit(limit))
    return [version_view(row, head.active_version) for row in rows]


def heads(
    conn: sa.Connection, channel: Channel | None, after: tuple[str, str, str] | None, limit: int
) -> list[TemplateView]:
    """Read templates by slug, channel and locale, those after a position, without their bodies."""
    position = (_HEADS.slug, _HEADS.channel, sa.func.coalesce(_HEADS.locale, ""))
    query = sa.select(message_templates, _latest()).order_by(*position).limit(limit)
    if channel is not None:
        query = query.where(_HEADS.channel == channel)
    if after is not None:
        query = query.where(sa.tuple_(*position) > sa.tuple_(*after))
    return [template_view(row, None) for row in conn.execute(query)]


def full_view(conn: sa.Connection, name: Name) -> TemplateView:
    """Read a template with its active version; raises NotFound."""
    row = conn.execute(sa.select(message_templates, _latest()).where(_is(name))).one_or_none()
    if row is None:
        raise NotFound(f"there is no template {name.slug!r} for {name.channel} in this locale")
    active = None if row.active_version is None else version_of(conn, row, row.active_version)
    return template_view(row, active)


def template_view(row: sa.Row[Any], active: VersionView | None) -> TemplateView:
    """Show a head."""
    return TemplateView(
        slug=row.slug,
        channel=Channel(row.channel),
        locale=row.locale,
        name=row.name,
        description=row.description,
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
        variables=tuple(Variable(**variable) for variable in row.variables),
        created_by=row.created_by,
        created_at=row.created_at,
        is_active=row.version == active_version,
    )


def _is(name: Name) -> sa.ColumnElement[bool]:
    return sa.and_(
        _HEADS.slug == name.slug,
        _HEADS.channel == name.channel,
        _HEADS.locale.is_not_distinct_from(name.locale),
    )


def _latest() -> sa.Label[int]:
    latest = sa.select(sa.func.max(_VERSIONS.version)).where(_VERSIONS.template_id == _HEADS.id)
    return latest.scalar_subquery().label("latest_version")
