"""What a message says: its own words, its batch's, or a template's, put into an envelope."""

import base64
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import message_batches
from app.domain.facts import Tag
from app.domain.lengths import excess
from app.domain.outcomes import Outcome
from app.domain.provider_templates import filled
from app.domain.rendering import Content
from app.domain.vocabulary import Channel, ConfigScope, MessageType, OutcomeClass, Priority
from app.errors import Invalid, NotFound
from app.gateways.base import Attachment, Envelope
from app.queue.rows import Claimed
from app.services.catalog import Catalog, Sender


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What all messages of a batch share; it never changes once the batch is accepted."""

    subject: str | None
    template: str | None
    template_version: int | None
    locale: str | None
    body_text: str | None
    body_html: str | None
    data: Mapping[str, Any]
    options: Mapping[str, Any]


NOTHING_SHARED = Shared(
    subject=None,
    template=None,
    template_version=None,
    locale=None,
    body_text=None,
    body_html=None,
    data={},
    options={},
)


class _Recent(threading.local):
    """The files that a thread has read last, and what it has read them from."""

    given: object = None
    attachments: tuple[Attachment, ...] = ()


class Contents:
    """Makes envelopes; shared contents and compiled templates are kept in memory."""

    def __init__(self, engine: sa.Engine, catalog: Catalog, *, most_segments: int = 10) -> None:
        self._engine = engine
        self._catalog = catalog
        self._most_segments = most_segments
        self._shared = lru_cache(maxsize=256)(self._load)
        self._recent = _Recent()

    def sender(self, message: Claimed) -> Sender | None:
        """Find the identity that a message is sent as."""
        return self._sender(message, self.options(message))

    def senders(self, messages: Sequence[Claimed]) -> list[Sender | None]:
        """Find the identity of each message; those of a batch, or without options, are found together."""
        known: dict[tuple[str, str, int | None], Sender | None] = {}
        found = []
        for message in messages:
            if message.options:
                found.append(self.sender(message))
                continue
            kind = (message.channel, message.message_type, message.batch_id)
            if kind not in known:
                known[kind] = self.sender(message)
            found.append(known[kind])
        return found

    def options(self, message: Claimed) -> Mapping[str, Any]:
        """Give a message's options; its own win over its batch's."""
        shared = self._of_batch(message).options
        return {**shared, **message.options} if message.options else shared

    def template(self, message: Claimed) -> str | None:
        """Name the template that a message is made of, its own or its batch's."""
        return message.template or self._of_batch(message).template

    def envelope(self, message: Claimed) -> Envelope | Outcome:
        """Render a message; where that cannot be done, say so as the outcome it comes to."""
        options = self.options(message)
        if options.get(message.channel):
            options = filled(Channel(message.channel), options, self._data(message))
        sender = self._sender(message, options)
        if sender is None and message.channel != Channel.PUSH:
            return Outcome(
                kind=OutcomeClass.CONFIG,
                scope=ConfigScope.SENDER,
                code="no_sender",
                detail=f"no sender is configured for {message.message_type} by {message.channel}",
            )
        try:
            content = self._content(message, options)
        except Invalid as exc:
            return Outcome(kind=OutcomeClass.CONTENT, code="template", detail=str(exc))
        except NotFound as exc:
            return Outcome(kind=OutcomeClass.CONTENT, code="no_template", detail=str(exc))
        return self._envelope(message, options, sender, content)

    def _sender(self, message: Claimed, options: Mapping[str, Any]) -> Sender | None:
        channel, message_type = Channel(message.channel), MessageType(message.message_type)
        return self._catalog.sender(channel, message_type, options.get("sender"))

    def _envelope(
        self, message: Claimed, options: Mapping[str, Any], sender: Sender | None, content: Content
    ) -> Envelope:
        if content.own:
            own = {**content.own, **(options.get(message.channel) or {})}
            options = {**options, message.channel: own}
        return Envelope(
            tag=Tag(uuid=message.uuid, priority=Priority(message.priority), attempt=message.tries),
            channel=Channel(message.channel),
            address=message.recipient_address,
            sender=sender.written if sender else "",
            subject=content.subject,
            text=content.text,
            html=content.html,
            reply_to=options.get("reply_to"),
            headers=options.get("headers") or {},
            attachments=self._attachments(options),
            ip_pool=message.ip_pool,
            category=message.category,
            options=options,
            expires_at=message.expires_at,
        )

    def _attachments(self, options: Mapping[str, Any]) -> tuple[Attachment, ...]:
        """Read files once for all messages of a batch: a thousand of them may be in memory together."""
        given, recent = options.get("attachments"), self._recent
        if not given:
            return ()
        if recent.given is not given:
            recent.given, recent.attachments = given, tuple(map(_attachment, given))
        return recent.attachments

    def _content(self, message: Claimed, options: Mapping[str, Any]) -> Content:
        shared = self._of_batch(message)
        slug = message.template or shared.template
        if slug is None:
            return Content(
                subject=message.subject or shared.subject,
                html=message.body_html or shared.body_html,
                text=message.body_text or shared.body_text,
            )
        template = self._catalog.template(
            slug,
            Channel(message.channel),
            message.locale or shared.locale,
            message.template_version or shared.template_version,
        )
        content = template.compiled.render(self._data(message))
        subject = message.subject or shared.subject or content.subject
        self._require_room(message, options, subject, content)
        return Content(subject=subject, html=content.html, text=content.text, own=content.own)

    def _require_room(
        self, message: Claimed, options: Mapping[str, Any], subject: str | None, content: Content
    ) -> None:
        """Raise Invalid where a template came to more than its channel takes."""
        channel = Channel(message.channel)
        own = {**(content.own or {}), **(options.get(channel.value) or {})}
        words = excess(channel, subject, content.text, own, most_segments=self._most_segments)
        if words:
            raise Invalid.of("body_text", words)

    def _data(self, message: Claimed) -> Mapping[str, Any]:
        return {**self._of_batch(message).data, **(message.content_data or {})}

    def _of_batch(self, message: Claimed) -> Shared:
        return NOTHING_SHARED if message.batch_id is None else self._shared(message.batch_id)

    def _load(self, batch: int) -> Shared:
        table = message_batches
        with unavailable_when_down(), self._engine.connect() as conn:
            row = conn.execute(sa.select(table).where(table.c.id == batch)).one_or_none()
        if row is None:
            return NOTHING_SHARED
        return Shared(
            subject=row.subject,
            template=row.template,
            template_version=row.template_version,
            locale=row.locale,
            body_text=row.body_text,
            body_html=row.body_html,
            data=row.shared_data,
            options=row.options,
        )


def _attachment(given: Mapping[str, str]) -> Attachment:
    return Attachment(
        filename=given["filename"],
        content_type=given["content_type"],
        content=base64.b64decode(given["content"]),
        content_id=given.get("content_id"),
    )
