"""Looking at messages, cancelling them, adding to their history."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from app.domain.vocabulary import Channel, EventType, MessageType, Priority, Status
from app.errors import Conflict, InFlight, Invalid, KeyReused, NotFound
from app.services.requests import Filters, Row
from tests.accepting import email, newsletter


def sent(place, count: int, **changes):
    return [place.service.send(place.caller, email(**changes)).uuid for _ in range(count)]


def found(place, caller=None, **filters):
    page = place.service.search(caller or place.caller, Filters(**filters))
    return [message.uuid for message in page.items]


def test_a_message_is_given_with_its_events_in_order(place):
    (uuid,) = sent(place, 1, metadata={"order": 7}, category="codes")
    place.do(
        "INSERT INTO delivery_events (message_id, priority, event_type, source, gateway, attempt, data)"
        " SELECT id, priority, 'sent', 'worker', 'postal', 1, '{\"possible_duplicate\": true}'"
        " FROM message_queue"
    )
    view = place.service.get_status(place.caller, uuid)
    assert (view.uuid, view.status, view.metadata, view.category, view.sender) == (
        uuid,
        "pending",
        {"order": 7},
        "codes",
        "hello",
    )
    assert [(event.event_type, event.source, event.data) for event in view.events] == [
        ("queued", "api", {}),
        ("sent", "worker", {"gateway": "postal", "attempt": 1, "possible_duplicate": True}),
    ]


def test_a_batchs_message_shows_what_the_batch_shares(place, welcome):
    head = newsletter(template="welcome", subject=None, body_text=None, metadata={"issue": 3})
    batch = place.service.send_bulk(place.caller, head, [Row(1, "a@example.com", data={"name": "A"})]).batch
    place.expand(batch)
    uuid = place.value("SELECT uuid FROM message_queue")
    view = place.service.get_status(place.caller, uuid)
    assert (view.batch, view.template, view.template_version) == (batch, "welcome", 1)
    assert (view.metadata, view.sender, view.content_data) == ({"issue": 3}, "hello", {"name": "A"})


def test_an_unknown_message_is_not_found(place):
    with pytest.raises(NotFound):
        place.service.get_status(place.caller, uuid4())


def test_a_client_sees_its_own_messages_only(place):
    (uuid,) = sent(place, 1)
    other = place.client("other", {"messages:read", "messages:send"})
    with pytest.raises(NotFound):
        place.service.get_status(other, uuid)
    with pytest.raises(NotFound):
        place.service.cancel(other, uuid)
    with pytest.raises(NotFound):
        place.service.report_event(other, uuid, EventType.CONVERTED, {})
    assert found(place, other) == []


def test_an_admin_sees_everybodys_messages(place):
    (uuid,) = sent(place, 1)
    admin = place.client("boss")
    assert place.service.get_status(admin, uuid).uuid == uuid
    assert found(place, admin) == [uuid]


def test_messages_are_found_newest_first(place):
    uuids = sent(place, 3)
    assert found(place) == uuids[::-1]


def test_pages_follow_each_other_without_gap_or_overlap(place):
    uuids = sent(place, 7)
    seen, cursor = [], None
    while True:
        page = place.service.search(place.caller, Filters(), cursor=cursor, limit=3)
        seen += [message.uuid for message in page.items]
        sent(place, 1)
        if (cursor := page.next) is None:
            break
    assert seen == uuids[::-1]


@pytest.mark.parametrize("cursor", ["x", "eyJ9", "WyJhIl0", "W10", "////", "ü", "WzEuNV0", "W3RydWVd"])
def test_a_cursor_that_is_none_of_ours_is_refused(place, cursor):
    with pytest.raises(Invalid):
        place.service.search(place.caller, Filters(), cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_pages_have_their_bounds(place, limit):
    with pytest.raises(Invalid):
        place.service.search(place.caller, Filters(), limit=limit)


def test_messages_are_found_by_each_filter(place):
    (uuid,) = sent(place, 1, source_type="orders", source_id=7, recipient_address="Bob@example.com")
    sent(place, 1, source_type="orders", source_id=8)
    place.do("UPDATE message_queue SET external_id = 'abc' WHERE uuid = :uuid", uuid=uuid)
    place.service.cancel(place.caller, uuid)
    for filters in (
        {"source_type": "orders", "source_id": 7},
        {"recipient_address": " Bob@EXAMPLE.com"},
        {"external_id": "abc"},
        {"status": Status.CANCELLED},
        {"source_type": "orders", "source_id": 7, "priority": Priority.P4, "channel": Channel.EMAIL},
    ):
        assert found(place, **filters) == [uuid], filters
    assert found(place, status=Status.CANCELLED, source_id=8) == []
    assert found(place, priority=Priority.P0) == []


def test_messages_are_found_by_batch(place):
    sent(place, 2)
    rows = [Row(line, f"user{line}@example.com") for line in range(1, 4)]
    batch = place.service.send_bulk(place.caller, newsletter(), rows).batch
    place.expand(batch)
    sent(place, 2)
    page = place.service.search(place.caller, Filters(batch=batch))
    assert [(message.recipient_address, message.batch) for message in page.items] == [
        ("user3@example.com", batch),
        ("user2@example.com", batch),
        ("user1@example.com", batch),
    ]
    assert found(place, batch=uuid4()) == []


def test_messages_are_found_by_time(place):
    first, second, third = sent(place, 3)
    times = {uuid: place.service.get_status(place.caller, uuid).created_at for uuid in (first, second, third)}
    assert found(place, since=times[second]) == [third, second]
    assert found(place, until=times[second]) == [first]
    assert found(place, since=times[second], until=times[third]) == [second]
    now = datetime.now(UTC)
    assert found(place, since=now + timedelta(hours=1)) == []
    assert found(place, until=now - timedelta(hours=1)) == []
    assert len(found(place, since=datetime(1, 1, 1, tzinfo=UTC))) == 3


def test_a_pending_message_is_cancelled_with_its_event(place):
    (uuid,) = sent(place, 1)
    view = place.service.cancel(place.caller, uuid)
    assert view.status == "cancelled"
    assert [event.event_type for event in view.events] == ["queued", "cancelled"]


@pytest.mark.parametrize("status", ["processing", "sent", "delivered", "failed", "cancelled", "held"])
def test_only_pending_messages_can_be_cancelled(place, status):
    (uuid,) = sent(place, 1)
    place.do(
        "UPDATE message_queue SET status = :status, sent_at = now(), delivered_at = now(),"
        " locked_by = CASE WHEN :status = 'processing' THEN gen_random_uuid() END,"
        " locked_at = CASE WHEN :status = 'processing' THEN now() END",
        status=status,
    )
    with pytest.raises(Conflict, match=status):
        place.service.cancel(place.caller, uuid)
    assert place.value("SELECT status FROM message_queue") == status


def test_of_many_cancels_at_once_one_is_logged(place):
    (uuid,) = sent(place, 1)

    def cancel(_):
        try:
            return place.service.cancel(place.caller, uuid)
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as threads:
        done = [view for view in threads.map(cancel, range(8)) if view]
    assert len(done) == 1
    assert place.value("SELECT count(*) FROM delivery_events WHERE event_type = 'cancelled'") == 1


def test_a_caller_reports_a_conversion(place):
    (uuid,) = sent(place, 1)
    place.service.report_event(place.caller, uuid, EventType.CONVERTED, {"value": 12})
    event = place.service.get_status(place.caller, uuid).events[-1]
    assert (event.event_type, event.source, event.data) == ("converted", "api", {"value": 12})


def test_a_report_changes_no_state(place):
    (uuid,) = sent(place, 1)
    place.service.report_event(place.caller, uuid, EventType.CONVERTED, {})
    assert place.service.get_status(place.caller, uuid).status == "pending"


@pytest.mark.parametrize("event_type", ["delivered", "sent", "bounced", "complained", "unsubscribed"])
def test_what_gateways_tell_is_not_for_callers(place, event_type):
    (uuid,) = sent(place, 1)
    with pytest.raises(Invalid):
        place.service.report_event(place.caller, uuid, EventType(event_type), {})


def test_a_report_counts_once_for_its_key(place):
    (uuid,) = sent(place, 1)

    def report(_):
        try:
            return place.service.report_event(
                place.caller, uuid, EventType.CONVERTED, {}, idempotency_key="k", request_hash=b"1"
            )
        except InFlight:
            return None

    with ThreadPoolExecutor(8) as threads:
        done = [answer for answer in threads.map(report, range(8)) if answer]
    assert [answer.replayed for answer in done].count(False) == 1
    assert place.value("SELECT count(*) FROM delivery_events WHERE event_type = 'converted'") == 1


def test_another_report_with_the_key_is_refused(place):
    (uuid,) = sent(place, 1)
    report = {"idempotency_key": "k"}
    place.service.report_event(place.caller, uuid, EventType.CONVERTED, {}, request_hash=b"1", **report)
    with pytest.raises(KeyReused):
        place.service.report_event(place.caller, uuid, EventType.REPLIED, {}, request_hash=b"2", **report)


def test_a_report_about_nothing_takes_no_key(place):
    with pytest.raises(NotFound):
        place.service.report_event(place.caller, uuid4(), EventType.CONVERTED, {}, idempotency_key="k")
    assert place.value("SELECT count(*) FROM idempotency_keys") == 0


def test_an_emergency_is_found_in_its_lane(place):
    uuid = place.service.send(place.caller, email(message_type=MessageType.EMERGENCY)).uuid
    assert found(place, priority=Priority.P0) == [uuid]
