"""The inbox: each proven request has its effect once, and a bad one keeps nobody else back."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
import sqlalchemy as sa

from app.db.tables import inbound_messages, webhook_inbox
from app.domain.facts import Fact, Inbound, InboundKind, Tag
from app.domain.vocabulary import Channel, EventType, OutcomeClass, Priority
from app.errors import Forged, NotFound, ProofUnavailable
from app.services.audit import Who
from app.services.recording import inbox


@dataclass
class Vendor:
    """Reads a request's body as "<uuid> <event> [<outcome>]", or breaks as told."""

    name: str = "postal"
    confirm: str | None = None
    breaks: dict[bytes, Exception] = field(default_factory=dict)
    read: list[bytes] = field(default_factory=list)
    letters: list[Inbound] = field(default_factory=list)

    def events(self, request):
        self.read.append(request.body)
        for words, error in self.breaks.items():
            if words in request.body:
                raise error
        uuid, event, *outcome = request.body.decode().split()
        tag = Tag(uuid=UUID(uuid), priority=Priority.P3, attempt=1)
        kind = OutcomeClass(outcome[0]) if outcome else None
        return [
            Fact(
                key=request.body.hex(),
                event_type=EventType(event),
                occurred_at=datetime.now(UTC),
                tag=tag,
                outcome=kind,
            )
        ]

    def confirmation_url(self, request):
        return self.confirm if b"confirm" in request.body else None

    def inbound(self, request):
        return [each for each in self.letters if each.key.encode() in request.body]


@pytest.fixture
def vendor():
    return Vendor()


@pytest.fixture
def telling(world, vendor):
    """The same process, hearing one vendor that a test controls."""
    return world.with_tools(webhooks={"postal": vendor})


def arrive(world, body, gateway="postal"):
    row = {"gateway": gateway, "url": "http://localhost/webhooks/postal", "headers": {}, "body": body}
    made = sa.insert(webhook_inbox).values(row).returning(webhook_inbox.c.id)
    return world.execute(made).scalar_one()


def sent(world):
    return world.one("P3", status="sent", sent_at=world.clock(), tries=1)


def told(message, event):
    return f"{message.uuid} {event}".encode()


def waiting(world):
    return world.all(
        sa.select(webhook_inbox).where(webhook_inbox.c.processed_at.is_(None)).order_by(webhook_inbox.c.id)
    )


def test_a_request_has_its_effect_and_leaves(telling):
    message = sent(telling)
    arrive(telling, told(message, "delivered"))
    assert inbox.process(telling.tools) == 1
    assert telling.row(message).status == "delivered"
    assert waiting(telling) == []


def test_an_app_that_reports_a_push_does_not_become_its_gateway(telling, vendor):
    apps = telling.with_tools(webhooks={"firebase": replace(vendor, name="firebase")})
    message = apps.one("P3", status="sent", sent_at=apps.clock(), tries=1, gateway="postal")
    arrive(apps, told(message, "delivered"), gateway="firebase")
    inbox.process(apps.tools)
    row = apps.row(message)
    assert (row.status, row.gateway) == ("delivered", "postal")


def test_a_webhook_of_several_gateways_says_which_one_it_tells_of(telling, monkeypatch, vendor):
    message = sent(telling)
    monkeypatch.setattr(vendor, "events", lambda _: [of_voice(message)])
    arrive(telling, b"any")
    inbox.process(telling.tools)
    assert telling.row(message).gateway == "postal_voice"


def of_voice(message):
    return Fact(
        key="k",
        event_type=EventType.DELIVERED,
        occurred_at=datetime.now(UTC),
        tag=Tag(uuid=message.uuid, priority=Priority.P3, attempt=1),
        gateway="postal_voice",
    )


def test_a_request_is_read_with_the_time_at_which_it_came(telling, monkeypatch, vendor):
    times = []
    monkeypatch.setattr(vendor, "events", lambda request: times.append(request.received_at) or [])
    arrive(telling, b"any")
    inbox.process(telling.tools)
    assert times == [row.received_at for row in telling.all(sa.select(webhook_inbox))]


def test_processing_again_does_nothing(telling, vendor):
    arrive(telling, told(sent(telling), "delivered"))
    inbox.process(telling.tools)
    assert inbox.process(telling.tools) == 0
    assert len(vendor.read) == 1


def test_more_than_fit_at_once_are_all_processed(telling, monkeypatch):
    monkeypatch.setattr(inbox, "AT_FIRST", 3)
    messages = [sent(telling) for _ in range(8)]
    for message in messages:
        arrive(telling, told(message, "delivered"))
    assert inbox.process(telling.tools) == 8
    assert telling.statuses(messages) == {"delivered": 8}


@pytest.mark.parametrize(
    ("limit", "requests", "facts", "following"),
    [
        (8, 8, 8, 16),
        (16, 16, 16, 32),
        (150, 150, 150, 200),
        (8, 8, 8000, 2),
        (2, 2, 2000, 2),
        (2, 1, 1000, 2),
        (2, 2, 100_000, 1),
        (8, 8, 0, 16),
        (1, 1, 0, 2),
    ],
)
def test_so_many_requests_are_taken_that_their_facts_are_no_crowd(limit, requests, facts, following):
    assert inbox._next_limit(limit, requests, facts) == following


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("x"),
        TypeError("x"),
        AttributeError("x"),
        IndexError("x"),
        Forged("topic"),
        ProofUnavailable("key"),
        NotFound("x"),
    ],
)
def test_a_bad_request_does_not_keep_the_others_back(telling, vendor, error):
    vendor.breaks[b"evil"] = error
    first, second = sent(telling), sent(telling)
    arrive(telling, told(first, "delivered"))
    bad = arrive(telling, b"evil")
    arrive(telling, told(second, "delivered"))
    assert inbox.process(telling.tools) == 2
    assert telling.statuses([first, second]) == {"delivered": 2}
    assert [row.id for row in waiting(telling)] == [bad]


def test_a_bad_request_is_tried_once_each_time(telling, vendor):
    vendor.breaks[b"evil"] = ValueError("x")
    arrive(telling, b"evil")
    inbox.process(telling.tools)
    (row,) = waiting(telling)
    assert (row.tries, row.result) == (1, "failed: ValueError")


def test_a_bad_request_is_put_aside_in_the_end(telling, vendor):
    vendor.breaks[b"evil"] = ValueError("x")
    arrive(telling, b"evil")
    for _ in range(inbox.MOST_TRIES):
        inbox.process(telling.tools)
    assert waiting(telling) == []


def test_a_request_that_is_good_again_has_its_effect(telling, vendor):
    vendor.breaks[b"delivered"] = ValueError("x")
    message = sent(telling)
    arrive(telling, told(message, "delivered"))
    inbox.process(telling.tools)
    vendor.breaks.clear()
    inbox.process(telling.tools)
    assert telling.row(message).status == "delivered"


def test_a_subscription_that_cannot_be_confirmed_does_not_keep_the_others_back(telling, vendor):
    vendor.confirm = "http://127.0.0.1:9/nobody"
    message = sent(telling)
    subscription = arrive(telling, told(message, "confirmed"))
    arrive(telling, told(message, "delivered"))
    inbox.process(telling.tools)
    assert telling.row(message).status == "delivered"
    assert [row.id for row in waiting(telling)] == [subscription]


def test_a_request_of_a_vendor_that_is_no_longer_configured_is_put_aside(telling):
    arrive(telling, b"whatever", gateway="gone")
    inbox.process(telling.tools)
    assert waiting(telling) == []


def test_a_request_says_what_came_of_it(telling):
    arrive(telling, told(sent(telling), "delivered"))
    inbox.process(telling.tools)
    (row,) = telling.all(sa.select(webhook_inbox))
    assert (row.tries, row.result) == (1, "recorded 1, repeated 0, parked 0")


def test_an_emergency_that_is_given_back_wakes_its_failover(telling, vendor, monkeypatch):
    message = telling.one("P0", status="sent", sent_at=telling.clock(), tries=1)
    events = vendor.events
    monkeypatch.setattr(
        vendor,
        "events",
        lambda request: [
            Fact(
                key=each.key,
                event_type=each.event_type,
                occurred_at=each.occurred_at,
                tag=Tag(uuid=message.uuid, priority=Priority.P0, attempt=1),
                outcome=each.outcome,
            )
            for each in events(request)
        ],
    )
    arrive(telling, told(message, "failed throttle"))
    inbox.process(telling.tools)
    assert telling.wake.failed_over == [(Priority.P0, [message.id])]


def refusal(world, key):
    return Inbound(
        key=key,
        kind=InboundKind.MESSAGE,
        channel=Channel.SMS,
        sender="+15558675310",
        recipient="+15017122661",
        text="STOP",
        received_at=world.clock(),
    )


def test_what_a_request_brings_from_people_has_its_effect(telling, vendor):
    message = sent(telling)
    vendor.letters.append(refusal(telling, "delivered"))
    arrive(telling, told(message, "delivered"))
    inbox.process(telling.tools)
    assert [(row.reason, row.sender) for row in telling.suppressed()] == [("unsubscribe", "+15017122661")]
    assert telling.row(message).status == "delivered"


def test_what_people_send_is_kept_once_however_often_a_request_is_tried(telling, vendor):
    vendor.letters.append(refusal(telling, "delivered"))
    message = sent(telling)
    for _ in range(2):
        arrive(telling, told(message, "delivered"))
        inbox.process(telling.tools)
    assert len(telling.all(sa.select(inbound_messages))) == 1


def test_a_replayed_one_has_its_effect_once_it_can_be_read_and_only_once(telling, vendor):
    message = sent(telling)
    vendor.breaks[b"delivered"] = ValueError("a new format")
    webhook = arrive(telling, told(message, "delivered"))
    for _ in range(inbox.MOST_TRIES):
        inbox.process(telling.tools)
    vendor.breaks.clear()
    for result in ("recorded 1, repeated 0, parked 0", "recorded 0, repeated 1, parked 0"):
        telling.app.received_webhooks.replay(Who(actor="ann"), webhook, why="it can be read now")
        inbox.process(telling.tools)
        assert telling.all(sa.select(webhook_inbox.c.result)) == [(result,)]
    assert telling.row(message).status == "delivered"
