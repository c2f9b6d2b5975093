"""What follows from a request's shared fields: its lane, its words, whom it comes from, its way out."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from app.domain.addresses import canonical
from app.domain.callers import Caller
from app.domain.lanes import Lane
from app.domain.routing import Needs, needed
from app.domain.suppression import Question, question
from app.domain.variables import faults as data_faults
from app.domain.vocabulary import Channel, Priority
from app.errors import Fault, Forbidden, Invalid, NoGateway, NotFound
from app.services.catalog import Catalog, Sender, Template, needs_of
from app.services.channel_rules import channel_faults, own_options, speaks_for_itself
from app.services.field_rules import head_faults
from app.services.requests import File, Head
from app.settings import Settings

_TWILIO = "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN for Twilio"
_WAYS_TO_CONFIGURE = {
    Channel.EMAIL: (
        "set POSTAL_URL and POSTAL_API_KEY for Postal, "
        "or SES_CONFIGURATION_SET, AWS_REGION and AWS credentials for SES"
    ),
    Channel.SMS: f"{_TWILIO}, or what Bandwidth, MessageBird or Bird need",
    Channel.WHATSAPP: _TWILIO,
    Channel.VOICE: _TWILIO,
    Channel.PUSH: "set what APNs or FCM need",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What all messages of one request share, once its fields are known to be good.

    `chain` are the gateways that fit, in the order to try them.
    """

    lane: Lane
    needs: Needs
    template: Template | None
    sender: Sender | None
    ip_pool: str | None
    chain: tuple[str, ...]
    pinned: bool
    options: dict[str, Any]
    question: Question

    @property
    def gateway(self) -> str:
        """The gateway that is to be tried first."""
        return self.chain[0]


def plan(
    caller: Caller, head: Head, catalog: Catalog, settings: Settings, now: datetime, *, address: str = ""
) -> tuple[Plan, list[Fault]]:
    """Work out what follows from the shared fields, and all that is wrong with them.

    `address` is the only recipient's, in canonical form, where there is one. Where there are faults the
    plan is of no use. Raises Forbidden and NoGateway, where the channel has none at all, before looking at
    anything else.
    """
    priority = _allowed_priority(caller, head)
    _require_channel(head.channel, catalog)
    found = [*head_faults(head, now, wordless=speaks_for_itself(head)), *channel_faults(head, settings)]
    template = _template(head, catalog, found)
    sender = _sender(head, catalog, found)
    options = _options(head, sender, template)
    needs = needs_of(
        head.channel,
        head.message_type,
        sender=sender,
        ip_pool=head.ip_pool,
        capabilities=needed(head.channel, options, address),
        country=catalog.country(head.channel, address),
    )
    lane = settings.lanes[priority]
    chain = _chain(catalog, head, lane, needs, found)
    return Plan(
        lane=lane,
        needs=needs,
        template=template,
        sender=sender,
        ip_pool=needs.pool,
        chain=chain,
        pinned=head.gateway is not None and chain[:1] == (head.gateway,),
        options=options,
        question=question(priority, head.message_type),
    ), found


def require_gateway(plan: Plan, channel: Channel) -> None:
    """Raise NoGateway where none of the channel's gateways could send such a message."""
    if plan.chain:
        return
    needs = plan.needs
    wanted = [f"the pool {needs.pool!r}", "this sender", *sorted(needs.capabilities)]
    if needs.country:
        wanted.append(f"the country {needs.country}")
    raise NoGateway(f"no gateway for {channel} is enabled that takes {', '.join(wanted)}")


def address_of(head: Head, address: str, region: str | None) -> str:
    """Bring a recipient's address into its canonical form; raises Invalid."""
    return canonical(head.channel, address, region=region, platform=head.platform)


def variable_faults(plan: Plan, data: Mapping[str, Any]) -> list[Fault]:
    """Tell which of the template's variables are missing from the data or of the wrong type."""
    return data_faults(plan.template.variables, data) if plan.template else []


def shared_columns(caller: Caller, head: Head, the_plan: Plan) -> dict[str, Any]:
    """Give what message_queue and message_batches both have columns for."""
    template = the_plan.template
    return {
        "client_id": caller.client_id,
        "community_id": head.community_id,
        "priority": the_plan.lane.priority.value,
        "message_type": head.message_type.value,
        "category": head.category,
        "channel": head.channel.value,
        "source_type": head.source_type,
        "source_id": head.source_id,
        "subject": head.subject,
        "template": template.slug if template else None,
        "template_version": template.version if template else None,
        "locale": template.locale if template else head.locale,
        "body_text": head.body_text,
        "body_html": head.body_html,
        "options": as_json(the_plan.options),
        "ip_pool": the_plan.ip_pool,
        "gateway": the_plan.gateway,
        "gateway_pinned": the_plan.pinned,
        "scheduled_for": head.scheduled_for,
        "expires_at": head.expires_at,
    }


def as_json(value: Mapping[str, Any]) -> str | None:
    """Write what was judged already as JSON; nothing for nothing."""
    return orjson.dumps(value).decode() if value else None


def _allowed_priority(caller: Caller, head: Head) -> Priority:
    priority = head.priority or head.message_type.priority
    _require(caller, "messages:send")
    if priority is Priority.P0:
        _require(caller, "messages:p0")
    if priority is not head.message_type.priority:
        _require(caller, "messages:priority")
    if head.gateway is not None:
        _require(caller, "messages:gateway")
    return priority


def _require_channel(channel: Channel, catalog: Catalog) -> None:
    if not any(route.channel is channel for route in catalog.routes()):
        raise NoGateway(f"no gateway is configured for {channel}: {_WAYS_TO_CONFIGURE[channel]}")


def _require(caller: Caller, scope: str) -> None:
    if not caller.may(scope):
        raise Forbidden(f"this key lacks the scope {scope}")


def _template(head: Head, catalog: Catalog, found: list[Fault]) -> Template | None:
    if head.template is None:
        return None
    try:
        return catalog.template(head.template, head.channel, head.locale)
    except NotFound as exc:
        found.append(Fault("template", str(exc)))
    except Invalid as exc:
        found.append(Fault("template", f"cannot be used: {exc}"))
    return None


def _sender(head: Head, catalog: Catalog, found: list[Fault]) -> Sender | None:
    sender = catalog.sender(head.channel, head.message_type, head.sender)
    if sender is None and head.sender is not None:
        found.append(Fault("sender", f"there is no such sender for {head.channel}"))
    elif sender is None and head.channel is not Channel.PUSH:
        found.append(
            Fault("sender", f"is missing: {head.message_type} has no default sender for {head.channel}")
        )
    return sender


def _chain(catalog: Catalog, head: Head, lane: Lane, needs: Needs, found: list[Fault]) -> tuple[str, ...]:
    """Give the gateways that may take it: those that fit, or the named one alone, or first where more may."""
    if head.gateway is None:
        if head.gateway_only:
            found.append(Fault("gateway_only", "needs a gateway"))
        return catalog.chain(needs)
    named = catalog.named(needs, head.gateway)
    others = catalog.chain(needs) if lane.always_tries and not head.gateway_only else ()
    if not named and not (others and catalog.is_off(head.channel, head.gateway)):
        found.append(Fault("gateway", "is not configured, not enabled, or cannot send this"))
        return catalog.chain(needs)
    return named + tuple(name for name in others if name not in named)


def _options(head: Head, sender: Sender | None, template: Template | None) -> dict[str, Any]:
    given = {
        "sender": sender.slug if sender else None,
        "reply_to": head.reply_to,
        "headers": dict(head.headers),
        "attachments": [_kept(file) for file in head.attachments],
        "metadata": dict(head.metadata),
        "platform": head.platform,
        "gateway_only": head.gateway is not None and head.gateway_only,
        head.channel.value: {**(template.fixed if template else {}), **own_options(head)},
    }
    return {name: value for name, value in given.items() if value}


def _kept(file: File) -> dict[str, str]:
    kept = {
        "filename": file.filename,
        "content_type": file.content_type,
        "content": base64.b64encode(file.content).decode(),
    }
    return kept | ({"content_id": file.content_id} if file.content_id else {})
