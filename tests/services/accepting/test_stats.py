"""Depths and rates, counted no further than is asked."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.vocabulary import BreakerState, Channel, MessageType
from app.services import stats
from app.services.stats import StatsService
from tests.accepting import email


@pytest.fixture
def figures(place):
    return StatsService(place.engine, place.catalog, place.settings.lanes)


def lane(figures, priority: str):
    return next(depth for depth in figures.queue() if depth.priority == priority)


def test_every_lane_is_told_most_urgent_first(figures):
    assert [(depth.priority, depth.due) for depth in figures.queue()] == [
        ("P0", 0),
        ("P1", 0),
        ("P2", 0),
        ("P3", 0),
        ("P4", 0),
    ]


def test_due_scheduled_and_processing_are_told_apart(place, figures):
    later = datetime.now(UTC) + timedelta(days=1)
    for request in (email(), email(), email(), email(scheduled_for=later)):
        place.service.send(place.caller, request)
    place.do(
        "UPDATE message_queue SET status = 'processing', locked_by = gen_random_uuid(), locked_at = now()"
        " WHERE id = (SELECT min(id) FROM message_queue)"
    )
    depth = lane(figures, "P4")
    assert (depth.due, depth.scheduled, depth.processing) == (2, 1, 1)


def test_all_clients_are_counted(place, figures):
    place.service.send(place.caller, email())
    place.service.send(place.client("other"), email())
    assert lane(figures, "P4").due == 2


def test_the_oldest_due_message_gives_the_age(place, figures):
    for _ in range(2):
        place.service.send(place.caller, email(message_type=MessageType.ALERT))
    assert lane(figures, "P4").oldest_age is None
    place.do(
        "UPDATE message_queue SET scheduled_for = now() - interval '90 seconds'"
        " WHERE id = (SELECT max(id) FROM message_queue)"
    )
    depth = lane(figures, "P1")
    assert timedelta(seconds=90) <= depth.oldest_age < timedelta(seconds=120)
    assert depth.max_age == timedelta(seconds=900)


def test_counting_stops(place, figures, monkeypatch):
    monkeypatch.setattr(stats, "COUNTED", 3)
    for _ in range(5):
        place.service.send(place.caller, email())
    depth = lane(figures, "P4")
    assert (depth.due, depth.at_least) == (3, {"due"})


def add_events(place, **events):
    for event_type, count in events.items():
        place.do(
            "INSERT INTO delivery_events (message_id, priority, event_type, source, gateway)"
            " SELECT 1, 'P4', :kind, 'worker', 'postal' FROM generate_series(1, :count)",
            kind=event_type,
            count=count,
        )


def test_gateways_are_told_by_what_they_did(place, figures):
    add_events(place, sent=6, attempt_failed=2, delivered=5, bounced=1, queued=9)
    postal, ses = figures.channels({(Channel.EMAIL, "ses"): BreakerState.OPEN})
    assert (postal.sent, postal.failed, postal.delivered, postal.bounced) == (6, 2, 5, 1)
    assert (postal.per_second, postal.success_rate, postal.counted_all) == (0.1, 0.75, True)
    assert (ses.sent, ses.success_rate, ses.breaker) == (0, None, "open")


def test_old_events_count_no_more(place, figures):
    place.do(
        "INSERT INTO delivery_events (message_id, priority, event_type, source, gateway, recorded_at)"
        " VALUES (1, 'P4', 'sent', 'worker', 'postal', now() - interval '61 seconds')"
    )
    assert figures.channels({})[0].sent == 0


def test_too_many_events_are_not_all_counted(place, figures, monkeypatch):
    monkeypatch.setattr(stats, "_EVENTS_COUNTED", 5)
    add_events(place, sent=9)
    postal = figures.channels({})[0]
    assert (postal.sent, postal.counted_all) == (5, False)
