"""What an accepted message comes to: its segments and its cost, for the event that tells of it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from app.domain.decisions import Decision
from app.domain.outcomes import Outcome
from app.domain.prices import PriceTable, cost, spelled
from app.domain.sms import measure
from app.domain.vocabulary import Channel, EventType, OutcomeClass
from app.errors import Unavailable
from app.gateways.base import Envelope
from app.queue.rows import Claimed
from app.services.catalog import Catalog

Bill = Mapping[str, str | int]

_NO_PRICES = PriceTable(())


def bills(
    catalog: Catalog,
    gateway: str,
    messages: Sequence[Claimed],
    envelopes: Sequence[Envelope],
    outcomes: Sequence[Outcome],
    *,
    now: datetime,
) -> dict[int, Bill]:
    """Make the bills of those messages that the gateway accepted and that there is something to say of."""
    prices = _prices(catalog)
    made = {
        message.id: bill_of(prices, gateway, envelope, now)
        for message, envelope, outcome in zip(messages, envelopes, outcomes, strict=True)
        if outcome.kind is OutcomeClass.ACCEPTED
    }
    return {message: bill for message, bill in made.items() if bill}


def bill_of(prices: PriceTable, gateway: str, envelope: Envelope, now: datetime) -> Bill:
    """Say a message's `segments` and `encoding` (SMS without media), `cost` and `currency` (if priced)."""
    bill: dict[str, str | int] = {}
    segments = 1
    if envelope.channel is Channel.SMS and not (envelope.options.get("sms") or {}).get("media"):
        found = measure(envelope.text or "")
        segments = found.segments
        bill |= {"segments": segments, "encoding": found.encoding.value}
    price = prices.price(envelope.channel, gateway, envelope.address, now)
    if price is not None:
        due = cost(price, segments)
        bill |= {"cost": spelled(due.amount), "currency": due.currency}
    return bill


def billed(decision: Decision, bill: Bill | None) -> Decision:
    """Put a bill into the event that says that the message was sent."""
    if not bill:
        return decision
    events = (
        replace(event, data={**event.data, **bill}) if event.event_type is EventType.SENT else event
        for event in decision.events
    )
    return replace(decision, events=tuple(events))


def bill_again(catalog: Catalog, gateway: str, envelope: Envelope | Outcome, now: datetime) -> Bill:
    """Make the bill of a message that was sent by a worker that is lost; none where it cannot be rendered."""
    return {} if isinstance(envelope, Outcome) else bill_of(_prices(catalog), gateway, envelope, now)


def _prices(catalog: Catalog) -> PriceTable:
    """Do without prices rather than lose what was accepted: its event says what is known."""
    with suppress(Unavailable):
        return catalog.prices()
    return _NO_PRICES
