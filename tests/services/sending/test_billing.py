"""Segments and costs of what was sent, in its events and in what is summed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import sqlalchemy as sa

from app.db.tables import prices, spending_deltas
from app.domain.decisions import Decision, Event
from app.domain.facts import Tag
from app.domain.prices import Price, PriceTable, Unit
from app.domain.vocabulary import Channel, EventType, Priority, Status
from app.gateways.base import Envelope
from app.services.sending import lane
from app.services.sending.billing import bill_of, billed

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SEGMENT = Price(
    channel=Channel.SMS,
    gateway="twilio",
    amount=Decimal("0.00790000"),
    currency="USD",
    valid_from=NOW,
    unit=Unit.SEGMENT,
)


def sms(text, **options):
    return Envelope(
        tag=Tag(uuid=uuid4(), priority=Priority.P4, attempt=1),
        channel=Channel.SMS,
        address="+41791234567",
        sender="+41791234568",
        text=text,
        options=options,
    )


def bill(text, *, prices=(SEGMENT,), **options):
    return bill_of(PriceTable(prices), "twilio", sms(text, **options), NOW)


def test_an_sms_is_billed_by_its_segments():
    assert bill("a" * 161) == {"segments": 2, "encoding": "gsm7", "cost": "0.0158", "currency": "USD"}


def test_without_a_price_the_segments_are_told_all_the_same():
    assert bill("я" * 71, prices=()) == {"segments": 2, "encoding": "ucs2"}


def test_with_media_it_is_no_sms_any_more_and_has_no_segments():
    media = {"media": ["https://example.com/a.png"]}
    assert bill("a" * 161, sms=media) == {"cost": "0.0079", "currency": "USD"}


def test_only_the_event_of_sending_gets_the_bill():
    decision = Decision(
        status=Status.SENT,
        events=(
            Event(event_type=EventType.FAILED_OVER, data={"from": "twilio"}),
            Event(event_type=EventType.SENT, data={"possible_duplicate": True}),
        ),
    )
    moved, sent = billed(decision, {"segments": 2}).events
    assert moved.data == {"from": "twilio"}
    assert sent.data == {"possible_duplicate": True, "segments": 2}


def price_emails(world, amount="0.0001"):
    world.execute(
        sa.insert(prices).values(
            channel="email", gateway="postal", unit="message", amount=Decimal(amount), currency="EUR",
            valid_from=NOW - timedelta(days=1),
        )
    )  # fmt: skip
    world.tools.catalog.forget()


def spent(world):
    return [
        (row.channel, row.gateway, row.currency, row.messages, row.segments, row.amount)
        for row in world.all(sa.select(spending_deltas))
    ]


def work(world, priority="P4"):
    lane.work(world.tools, Priority(priority), sweep=False)


def test_what_was_sent_is_counted_together_with_its_settling(world):
    price_emails(world)
    messages = world.add("P4", 3)
    work(world)
    assert world.statuses(messages) == {"sent": 3}
    assert sum(row[3] for row in spent(world)) == 3
    assert sum(row[5] for row in spent(world)) == Decimal("0.0003")
    assert {row[:3] for row in spent(world)} == {("email", "postal", "EUR")}
    (event,) = [each for each in world.events(messages[0]) if each.event_type == "sent"]
    assert event.data == {"cost": "0.0001", "currency": "EUR"}


def test_what_a_gateway_refused_costs_nothing(world):
    price_emails(world)
    world.gateways.break_("postal")
    (message,) = world.add("P3")
    work(world, "P3")
    assert world.row(message).status == "pending"
    assert spent(world) == []


def test_what_has_neither_price_nor_segments_is_not_counted(world):
    world.add("P4")
    work(world)
    assert spent(world) == []
