"""Templates and their versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.domain.rendering import Content, Variable
from app.domain.vocabulary import Channel
from app.services.audit import Who
from app.services.catalog import Catalog
from app.services.views import Page


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateDraft:
    """What a version of a template says.

    Where `variables` is None, they are derived from the parts: each one used is a required string.
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


class TemplateService:
    """Reading and writing templates. A template is named by slug, channel and locale."""

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
        raise NotImplementedError

    def activate(
        self, who: Who, slug: str, channel: Channel, version: int, *, locale: str | None = None
    ) -> TemplateView:
        """Make a version the one that new messages get; raises NotFound."""
        raise NotImplementedError

    def retire(self, who: Who, slug: str, channel: Channel, *, locale: str | None = None) -> None:
        """Let no new message use the template; messages already accepted keep theirs. Raises NotFound."""
        raise NotImplementedError

    def get(self, slug: str, channel: Channel, *, locale: str | None = None) -> TemplateView:
        """Give one template; raises NotFound."""
        raise NotImplementedError

    def list(
        self, *, channel: Channel | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[TemplateView]:
        """List templates by slug, channel and locale; `active` holds no bodies here (it is None)."""
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    def preview_draft(self, draft: TemplateDraft, data: Mapping[str, Any]) -> Content:
        """Render parts that are not saved; raises Invalid."""
        raise NotImplementedError
