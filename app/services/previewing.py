"""Seeing a message as it would be sent, and what it would cost, without sending it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.domain.callers import Caller
from app.domain.lengths import excess
from app.domain.prices import PriceTable, cost, spelled
from app.domain.rendering import Content
from app.domain.sms import Measure, measure
from app.domain.vocabulary import Channel
from app.errors import Invalid
from app.services.accepting import prepared
from app.services.catalog import Catalog
from app.services.planning import Plan
from app.services.requests import SendRequest
from app.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class CostView:
    """What a message would cost through one gateway; `amount` is a decimal number in text."""

    gateway: str
    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """A message as it would be sent. `gateways` are those that fit, in the order to try them.

    For SMS without media `encoding` is gsm7 or ucs2, and `forced_by` are the characters that make it
    ucs2, each once; else they are null, null and empty. `costs` are of the gateways with a price.
    """

    subject: str | None
    html: str | None
    text: str | None
    gateways: tuple[str, ...]
    encoding: str | None
    segments: int | None
    forced_by: tuple[str, ...]
    costs: tuple[CostView, ...]


def preview(catalog: Catalog, settings: Settings, caller: Caller, request: SendRequest) -> Preview:
    """Render a request and reckon its cost; raises what sending it would, and Invalid where it is too long.

    Nothing is written, and whether the address may be contacted is not asked.
    """
    the_plan, parameters = prepared(caller, request, catalog, settings)
    content = _content(request, the_plan)
    own = the_plan.options.get(request.channel.value) or {}
    words = excess(
        request.channel, content.subject, content.text, own, most_segments=settings.max_sms_segments
    )
    if words:
        raise Invalid.of("body_text", words)
    measured = _measure(request.channel, content, own)
    return Preview(
        subject=content.subject,
        html=content.html,
        text=content.text,
        gateways=the_plan.chain,
        encoding=measured.encoding.value if measured else None,
        segments=measured.segments if measured else None,
        forced_by=measured.forced_by if measured else (),
        costs=_costs(catalog.prices(), request.channel, the_plan, parameters["recipient_address"], measured),
    )


def _content(request: SendRequest, the_plan: Plan) -> Content:
    if the_plan.template is None:
        return Content(subject=request.subject, html=request.body_html, text=request.body_text)
    content = the_plan.template.compiled.render(dict(request.data))
    return Content(subject=request.subject or content.subject, html=content.html, text=content.text)


def _measure(channel: Channel, content: Content, own: Mapping[str, Any]) -> Measure | None:
    if channel is not Channel.SMS or own.get("media"):
        return None
    return measure(content.text or "")


def _costs(
    prices: PriceTable, channel: Channel, the_plan: Plan, address: str, measured: Measure | None
) -> tuple[CostView, ...]:
    now = datetime.now(UTC)
    segments = measured.segments if measured else 1
    found = ((name, prices.price(channel, name, address, now)) for name in the_plan.chain)
    costs = ((name, cost(price, segments)) for name, price in found if price)
    return tuple(
        CostView(gateway=name, amount=spelled(each.amount), currency=each.currency) for name, each in costs
    )
