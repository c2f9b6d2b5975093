"""Answers about templates, layouts and partials."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.api.models.answers import Answer
from app.domain.templates.building import Kind, Markup
from app.domain.templates.diffing import Op
from app.domain.templates.findings import Level
from app.domain.vocabulary import Channel, MessageType, Status


class SmsShape(Answer):
    """A text as SMS: what each segment holds, and what takes it out of the GSM alphabet."""

    encoding: str
    units: int
    segments: list[str]
    forced_by: list[str]


class PushCard(Answer):
    """What a phone shows, and about how many bytes go over the wire."""

    title: str | None
    body: str | None
    image: str | None
    size: int


class ReadOut(Answer):
    """What a call says, and about how many seconds it takes, once."""

    text: str
    language: str | None
    voice: str | None
    repeat: int
    seconds: float


class Rendered(Answer):
    """A template filled in; what it has no part for is null. `size` is the HTML's, in bytes."""

    subject: str | None
    html: str | None
    text: str | None
    parts: dict[str, Any]
    size: int
    sms: SmsShape | None
    push: PushCard | None
    voice: ReadOut | None
    made_up: list[str]


class DeclaredVariable(Answer):
    """What a template declares about one of its variables."""

    name: str
    type: str
    required: bool
    example: Any
    default: Any


class TakenInPart(Answer):
    """A version of a layout or a partial that a template's version was made with."""

    kind: Kind
    slug: str
    locale: str | None
    version: int
    id: int


class TemplateVersion(Answer):
    """One saved version, which never changes.

    `body_html` and `body_text` are as they were written, `compiled_html` and `compiled_text` what
    messages are rendered from.
    """

    version: int
    subject: str | None
    body_html: str | None
    body_text: str | None
    markup: Markup
    layout: str | None
    parts: dict[str, Any]
    variables: list[DeclaredVariable]
    taken_in: list[TakenInPart]
    compiled_html: str | None
    compiled_text: str | None
    note: str | None
    created_by: str
    created_at: datetime
    is_active: bool


class TemplateState(Answer):
    """A template, layout or partial with its active version, null before the first activation.

    With `second_person` whoever saved a version may not activate it.
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
    active: TemplateVersion | None
    created_at: datetime
    updated_at: datetime


class TemplatePage(Answer):
    items: list[TemplateState]
    next: str | None


class VersionPage(Answer):
    items: list[TemplateVersion]
    next: str | None


class Found(Answer):
    """One finding, with what to do about it; `fragment` names a layout or partial that the line is of."""

    level: Level
    code: str
    place: str
    message: str
    advice: str
    line: int | None
    fragment: str | None


class CheckReport(Answer):
    """All findings, the worst first. Only what `is_good` can be activated."""

    is_good: bool
    findings: list[Found]


class DiffLine(Answer):
    """One line; `old` and `new` are its numbers in the two versions."""

    op: Op
    old: int | None
    new: int | None
    text: str


class DiffPart(Answer):
    """How one part differs. `is_coarse` tells that it was too long to compare line by line."""

    part: str
    is_changed: bool
    is_coarse: bool
    lines: list[DiffLine]


class VersionDiff(Answer):
    parts: list[DiffPart]


class TemplateName(Answer):
    """What names a template."""

    slug: str
    channel: Channel
    locale: str | None


class Dependents(Answer):
    """Templates whose active version takes a layout or a partial in."""

    templates: list[TemplateName]


class RebuiltTemplate(Answer):
    """What became of one template: its new version, or why there is none."""

    slug: str
    locale: str | None
    version: int | None
    is_active: bool
    error: str | None


class RebuiltTemplates(Answer):
    templates: list[RebuiltTemplate]


class TestMessage(Answer):
    """What became of a test to one address: its message, or why it was not sent."""

    uuid: UUID
    status: Status
    reason: str | None


class TestMessages(Answer):
    messages: list[TestMessage]
