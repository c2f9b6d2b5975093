"""What templates, layouts and partials are named by, written as, and shown as."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from app.domain.rendering import Variable
from app.domain.templates.building import Kind, Markup, TakenIn, Written
from app.domain.vocabulary import Channel, MessageType


class Name(NamedTuple):
    """What names a template, a layout or a partial."""

    slug: str
    channel: Channel
    locale: str | None
    kind: Kind = Kind.TEMPLATE

    def __str__(self) -> str:
        """Spell it for logs: template:email/welcome/de."""
        return "/".join(filter(None, (f"{self.kind}:{self.channel}", self.slug, self.locale)))


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateDraft:
    """What a version of a template says, as its author writes it.

    Where `variables` is None, they are derived from the parts: each one used is required, of any type.
    `parts` are options of the channel, as a push's picture. `message_type` is what the template is for;
    None leaves that as it is. `foreign` tells that the HTML comes from elsewhere and is to be cleaned.
    `note` says what is new.
    """

    name: str
    description: str = ""
    subject: str | None = None
    body_html: str | None = None
    body_text: str | None = None
    markup: Markup = Markup.HTML
    layout: str | None = None
    parts: Mapping[str, Any] = field(default_factory=dict)
    variables: tuple[Variable, ...] | None = None
    message_type: MessageType | None = None
    foreign: bool = False
    note: str | None = None

    @property
    def written(self) -> Written:
        """Give it as it is built."""
        return _written(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionView:
    """One saved version, which never changes.

    `body_html` and `body_text` are what its author wrote, `compiled_html` and `compiled_text` what
    messages are rendered from: with the layout and the partials of `taken_in`, styles in the elements,
    and a text made of the HTML where none was written.
    """

    version: int
    subject: str | None
    body_html: str | None
    body_text: str | None
    markup: Markup
    layout: str | None
    parts: dict[str, Any]
    variables: tuple[Variable, ...]
    taken_in: tuple[TakenIn, ...]
    compiled_html: str | None
    compiled_text: str | None
    note: str | None
    created_by: str
    created_at: datetime
    is_active: bool

    @property
    def written(self) -> Written:
        """Give it as it is built."""
        return _written(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateView:
    """A template, layout or partial with its active version, which is None before the first activation.

    `second_person` tells that whoever saved a version may not activate it.
    """

    kind: Kind
    slug: str
    channel: Channel
    locale: str | None
    name: str
    description: str
    message_type: MessageType | None
    second_person: bool
    is_active: bool
    active_version: int | None
    latest_version: int
    active: VersionView | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadFilter:
    """What heads are listed by; `search` is looked for in slugs and names."""

    kind: Kind | None = Kind.TEMPLATE
    channel: Channel | None = None
    slug: str | None = None
    search: str | None = None


def _written(said: TemplateDraft | VersionView) -> Written:
    return Written(
        subject=said.subject,
        html=said.body_html,
        text=said.body_text,
        markup=said.markup,
        layout=said.layout,
        parts=said.parts,
        variables=said.variables,
    )
