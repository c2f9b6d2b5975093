"""Sending a template to somebody to look at, the way that every message goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import audit_log
from app.domain.addresses import canonical, masked
from app.domain.callers import Caller
from app.domain.vocabulary import Channel, MessageType, Priority
from app.errors import Conflict, Invalid
from app.services import template_rows
from app.services.audit import Who, record
from app.services.clients import client_named, insert_client
from app.services.messages import MessageService
from app.services.requests import SendRequest
from app.services.template_desk import TemplateDesk
from app.services.template_previews import TemplatePreview
from app.services.template_views import Name
from app.services.views import Accepted

CLIENT = "template tests"
MOST_ADDRESSES = 5
MOST_AN_HOUR = 30  # tests of one template
WITHIN = timedelta(hours=1)

_ACTION = "template.test"
# A test goes by the lane of single messages, whatever the template is for.
_SCOPES = frozenset({"messages:send", "messages:priority"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What is to be tried: where it goes, and what it is filled in with; the active version by default.

    `message_type` chooses the sender and the rules of suppression.
    """

    to: tuple[str, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None
    message_type: MessageType = MessageType.TRANSACTIONAL
    sender: str | None = None
    platform: str | None = None


class TemplateTrials:
    """Sends tests of templates, few and audited."""

    def __init__(
        self, engine: sa.Engine, desk: TemplateDesk, messages: MessageService, *, region: str | None
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._messages = messages
        self._region = region

    def send(
        self, who: Who, name: Name, trial: Trial, *, caller: Caller | None = None
    ) -> tuple[Accepted, ...]:
        """Send a version to up to five addresses; one that may not be contacted is told as suppressed.

        Without a `caller` the messages belong to a client of our own.
        Raises NotFound, Invalid for addresses and data that cannot be, Conflict after 30 an hour, and
        what sending raises.
        """
        addresses = self._addresses(name.channel, trial)
        example = self._desk.preview(
            name.slug, name.channel, trial.data, locale=name.locale, version=trial.version
        )
        caller = caller or self._caller
        sender = replace(caller, scopes=caller.scopes | _SCOPES)
        requests = [_request(name, trial, example, address) for address in addresses]
        # What cannot be sent is refused before any of it goes out.
        for request in requests:
            self._messages.preview(sender, request)
        self._note(who, name, trial, addresses)
        return tuple(self._messages.send(sender, request) for request in requests)

    @cached_property
    def _caller(self) -> Caller:
        with unavailable_when_down(), self._engine.begin() as conn:
            insert_client(conn, CLIENT, "Tests of templates that people send from the console")
            client = client_named(conn, CLIENT)
        return Caller(client_id=client.id, name=CLIENT, scopes=_SCOPES)

    def _addresses(self, channel: Channel, trial: Trial) -> tuple[str, ...]:
        if not 1 <= len(trial.to) <= MOST_ADDRESSES:
            raise Invalid.of("to", f"must be 1 to {MOST_ADDRESSES} addresses")
        return tuple(
            dict.fromkeys(
                canonical(channel, each, region=self._region, platform=trial.platform) for each in trial.to
            )
        )

    def _note(self, who: Who, name: Name, trial: Trial, addresses: tuple[str, ...]) -> None:
        """Write down who tests what; raises Conflict where there were too many."""
        with unavailable_when_down(), self._engine.begin() as conn:
            template_rows.head_of(conn, name, lock=True)
            sent = _sent_lately(conn, str(name))
            if sent + len(addresses) > MOST_AN_HOUR:
                raise Conflict(
                    f"{sent} tests of this template went out within an hour, {MOST_AN_HOUR} are allowed"
                )
            told = {
                "version": trial.version,
                "to": [masked(name.channel, address) for address in addresses],
            }
            record(conn, who, _ACTION, str(name), after=told)


def _sent_lately(conn: sa.Connection, target: str) -> int:
    log = audit_log.c
    query = sa.select(sa.func.coalesce(sa.func.sum(sa.func.jsonb_array_length(log.after["to"])), 0)).where(
        log.target == target, log.action == _ACTION, log.at > sa.func.now() - WITHIN
    )
    return int(conn.execute(query).scalar_one())


def _request(name: Name, trial: Trial, example: TemplatePreview, address: str) -> SendRequest:
    subject = f"[Test] {example.subject}" if example.subject else None
    return SendRequest(
        channel=name.channel,
        message_type=trial.message_type,
        priority=Priority.P4,
        subject=subject,
        body_html=example.html,
        body_text=example.text,
        sections={name.channel: example.parts} if example.parts else {},
        sender=trial.sender,
        platform=trial.platform,
        metadata={"template_test": str(name), "version": trial.version or "active"},
        recipient_address=address,
    )
