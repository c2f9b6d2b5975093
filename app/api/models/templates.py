"""Bodies and queries about templates, layouts and partials."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.models.base import Address, Body, Locale, Plain, Query, Reason, Slug, Version, Word
from app.api.models.rules import Cursor, Limit
from app.domain.rendering import Variable
from app.domain.templates.building import Markup
from app.domain.vocabulary import Channel, MessageType
from app.services.template_trials import MOST_ADDRESSES, Trial
from app.services.templates import TemplateDraft

Why = Annotated[Reason | None, Field(description="Kept in the audit log.")]


class TemplateVariable(Body):
    """What a template declares about one of its variables."""

    name: Word
    type: Literal["any", "string", "number", "boolean", "list", "object", "url"] = "string"
    required: bool = True
    example: Any = None
    default: Any = None


class Fragment(Body):
    """What a version of a layout or a partial says, or what all of them have in common."""

    name: Word
    description: Annotated[str, Field(max_length=2000)] = ""
    body_html: str | None = None
    body_text: str | None = None
    markup: Literal["html", "mjml"] = "html"
    """What `body_html` is written in; MJML is compiled when a template is saved."""
    variables: list[TemplateVariable] | None = None
    """Where it is left out, each variable that the parts use is required, and of any type."""
    foreign: bool = False
    """Take out of `body_html` what no mail may have: for HTML that comes from elsewhere."""
    note: Annotated[str, Field(max_length=1000)] | None = None
    """What is new."""

    def draft(self) -> TemplateDraft:
        """Give this in the services' words."""
        return TemplateDraft(
            name=self.name,
            description=self.description,
            body_html=self.body_html,
            body_text=self.body_text,
            markup=Markup(self.markup),
            variables=self.declared(),
            foreign=self.foreign,
            note=self.note,
        )

    def declared(self) -> tuple[Variable, ...] | None:
        """Give the declared variables, None where none are."""
        variables = self.variables
        return None if variables is None else tuple(Variable(**vars(item)) for item in variables)


class Content(Fragment):
    """What a version of a template says.

    `{% include "slug" %}` takes a partial in. Where an email has no `body_text`, one is made of the HTML.
    """

    subject: str | None = None
    layout: Slug | None = None
    """The layout that `body_html` and `body_text` stand in, where it says {{ content }}."""
    parts: Annotated[Plain, Field(default_factory=dict)]
    """Options of the channel, as `image` of a push or `language` of a call; texts may have variables."""
    message_type: MessageType | None = None
    """What it is for: a newsletter or a campaign must have a link to unsubscribe."""

    def draft(self) -> TemplateDraft:
        """Give this in the services' words."""
        return TemplateDraft(
            name=self.name,
            description=self.description,
            subject=self.subject,
            body_html=self.body_html,
            body_text=self.body_text,
            markup=Markup(self.markup),
            layout=self.layout,
            parts=self.parts,
            variables=self.declared(),
            message_type=self.message_type,
            foreign=self.foreign,
            note=self.note,
        )


class Named(Body):
    """What names the thing that is saved, and why it is saved."""

    slug: Slug
    channel: Channel
    locale: Locale | None = None
    why: Why = None


class NewVersion(Named, Content):
    """A new template, or the next version of one that is there."""

    activate: bool = True
    """Whether new messages use this version from now on; where two people are needed, it waits."""


class NewFragment(Named, Fragment):
    """A new layout or partial, or the next version of one that is there."""

    activate: bool = True
    """Whether templates that are saved from now on take this version in."""


class Activation(Body):
    version: Version
    locale: Locale | None = None
    why: Why = None


class Protection(Body):
    second_person: bool
    """Whether whoever saved a version may not activate it."""
    locale: Locale | None = None
    why: Why = None


class Rebuilding(Body):
    locale: Locale | None = None
    activate: bool = False
    why: Why = None


class Restoring(Body):
    locale: Locale | None = None
    why: Why = None


class Preview(Body):
    """Examples stand in for what `data` leaves out."""

    data: Annotated[Plain, Field(default_factory=dict)]
    locale: Locale | None = None
    version: Version | None = None
    fill: bool = False
    """Make up what has neither data nor an example."""


class DraftPreview(Body):
    """A template that is not saved, and data to fill it in."""

    template: Content
    channel: Channel = Channel.EMAIL
    locale: Locale | None = None
    data: Annotated[Plain, Field(default_factory=dict)]
    fill: bool = False
    """Make up what has neither data nor an example."""


class DraftCheck(Body):
    """A template that is not saved."""

    template: Content
    channel: Channel = Channel.EMAIL
    locale: Locale | None = None


class TestSend(Body):
    """Where a test is to go. Examples stand in for what `data` leaves out."""

    to: Annotated[list[Address], Field(min_length=1, max_length=MOST_ADDRESSES)]
    data: Annotated[Plain, Field(default_factory=dict)]
    locale: Locale | None = None
    version: Version | None = None
    message_type: MessageType = MessageType.TRANSACTIONAL
    """Whose sender and rules apply; it always goes by P4."""
    sender: Slug | None = None
    platform: Word | None = None
    """For push: whose token it is."""

    def trial(self) -> Trial:
        """Give this in the services' words."""
        return Trial(
            to=tuple(self.to),
            data=self.data,
            version=self.version,
            message_type=self.message_type,
            sender=self.sender,
            platform=self.platform,
        )


class InLocale(Query):
    locale: Locale | None = None


class OfVersion(Query):
    locale: Locale | None = None
    version: Version | None = None


class Templates(Query):
    channel: Channel | None = None
    slug: Slug | None = None
    """With a channel these are one template's locales."""
    search: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Looked for in slugs and names."""
    cursor: Cursor | None = None
    limit: Limit = 50


class Versions(Query):
    locale: Locale | None = None
    cursor: Cursor | None = None
    limit: Limit = 50
