"""Expanding bulk requests: every row once, whatever dies."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.domain.vocabulary import Channel, MessageType, Priority, SuppressionReason
from app.errors import Unavailable
from app.services import expansion
from app.services.requests import Reject, Row
from app.services.suppressions import SuppressionDraft, SuppressionService
from tests.accepting import WHO, newsletter


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(expansion, "FIRST_SLICE", 10)
    monkeypatch.setattr(expansion, "SLICE", 20)


def taken_in(place, count: int, **head):
    rows = [Row(line, f"user{line}@example.com", line, "subscriber") for line in range(1, count + 1)]
    return place.service.send_bulk(place.caller, newsletter(**head), rows).batch


def addresses(place) -> list[str]:
    return [row[0] for row in place.all("SELECT recipient_address FROM message_queue ORDER BY id")]


def expected(count: int) -> list[str]:
    return [f"user{line}@example.com" for line in range(1, count + 1)]


def test_every_row_becomes_a_message_in_order(place):
    batch = taken_in(place, 95)
    place.expand(batch)
    assert addresses(place) == expected(95)


def test_messages_have_what_sending_needs(place):
    batch = taken_in(place, 1, source_type="newsletters", source_id=3, category="digest", community_id=9)
    place.expand(batch)
    row = place.one("SELECT m.*, expires_at - scheduled_for AS limit FROM message_queue m")
    assert (row.priority, row.message_type, row.channel, row.category) == (
        "P2",
        "newsletter",
        "email",
        "digest",
    )
    assert (row.status, row.gateway, row.ip_pool, row.max_attempts) == (
        "pending",
        "postal",
        "newsletters",
        3,
    )
    assert (row.source_type, row.source_id, row.community_id) == ("newsletters", 3, 9)
    assert (row.recipient_type, row.recipient_id, row.limit) == ("subscriber", 1, timedelta(hours=1))


def test_every_message_has_its_queued_event(place):
    place.expand(taken_in(place, 45))
    assert (
        place.value(
            "SELECT count(*) FROM message_queue m JOIN delivery_events e ON e.message_id = m.id"
            " AND e.priority = m.priority AND e.event_type = 'queued' AND e.source = 'api'"
        )
        == 45
    )


def test_workers_are_told_after_each_slice(place):
    batch = taken_in(place, 45)
    assert place.expand(batch) == 3
    assert place.wakes.lanes == [(Priority.P2, False)] * 3


def test_the_first_slice_is_being_sent_while_the_rest_is_expanded(place):
    seen = []
    place.wakes.lane = lambda *_, **__: seen.append(len(addresses(place)))
    place.expand(taken_in(place, 45))
    assert seen == [10, 30, 45]


def test_the_flow_is_known(place):
    place.expand(taken_in(place, 1))
    assert place.all("SELECT * FROM lane_flows") == [("P2", "email", place.caller.client_id)]


def test_suppressed_recipients_become_messages_that_nobody_sends(place):
    suppress = SuppressionService(place.engine).add
    suppress(WHO, SuppressionDraft(channel="email", address="USER2@example.com"))
    suppress(
        WHO,
        SuppressionDraft(channel="all", address="user3@example.com", reason=SuppressionReason.UNSUBSCRIBE),
    )
    batch = taken_in(place, 4)
    place.expand(batch)
    assert place.all(
        "SELECT m.recipient_address, e.event_type, e.data FROM message_queue m"
        " JOIN delivery_events e ON e.message_id = m.id WHERE status = 'suppressed' ORDER BY m.id"
    ) == [
        ("user2@example.com", "suppressed", {"reason": "manual"}),
        ("user3@example.com", "suppressed", {"reason": "unsubscribe"}),
    ]
    view = place.service.batch(place.caller, batch)
    assert (view.queued, view.pending, view.suppressed) == (2, 2, 2)


def test_someone_suppressed_for_another_sender_is_sent_to(place):
    SuppressionService(place.engine).add(
        WHO,
        SuppressionDraft(
            channel="email",
            address="user1@example.com",
            reason=SuppressionReason.UNSUBSCRIBE,
            sender="x@example.com",
        ),
    )
    place.expand(taken_in(place, 1))
    assert place.value("SELECT status FROM message_queue") == "pending"


def test_expanding_again_does_nothing(place):
    batch = taken_in(place, 25)
    place.expand(batch)
    assert place.expand(batch) == 0
    assert addresses(place) == expected(25)


def test_an_unknown_batch_is_left_alone(place):
    assert expansion.expand(place.engine, place.catalog, place.wakes, place.settings.lanes, 4711) == 0


class KilledError(Exception):
    pass


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_an_expander_killed_between_slices_is_carried_on(place, slices):
    batch = taken_in(place, 75)
    left = iter(range(slices - 1))

    def die(*_, **__):
        if next(left, None) is None:
            raise KilledError

    place.wakes.lane = die
    with pytest.raises(KilledError):
        place.expand(batch)
    place.wakes.lane = lambda *_, **__: None
    place.expand(batch)
    assert addresses(place) == expected(75)
    assert place.service.batch(place.caller, batch).pending == 75


def test_an_expander_whose_connection_dies_in_a_slice_is_carried_on(place, monkeypatch):
    batch = taken_in(place, 45)
    run = expansion.run

    def run_and_die(conn, package, name, parameters):
        result = run(conn, package, name, parameters)
        if parameters["at_line"] == 10:
            conn.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return result

    monkeypatch.setattr(expansion, "run", run_and_die)
    with pytest.raises(Unavailable):
        place.expand(batch)
    assert addresses(place) == expected(10)
    monkeypatch.setattr(expansion, "run", run)
    place.expand(batch)
    assert addresses(place) == expected(45)


def test_four_expanders_at_once_do_no_harm(place):
    batch = taken_in(place, 400)
    with ThreadPoolExecutor(4) as threads:
        done = sum(threads.map(lambda _: place.expand(batch), range(4)))
    assert done == 1 + 20
    assert addresses(place) == expected(400)
    assert place.value("SELECT count(*) FROM delivery_events") == 400
    assert place.service.batch(place.caller, batch).queued == 400


def test_nothing_staged_is_left_after(place):
    place.expand(taken_in(place, 45))
    assert place.value("SELECT count(*) FROM batch_staging") == 0


def test_gaps_and_a_rejected_end_do_not_hold_a_batch_up(place):
    rows = [Row(1, "a@example.com"), Row(500, "b@example.com"), Reject(900, "is no JSON")]
    batch = place.service.send_bulk(place.caller, newsletter(), rows).batch
    place.expand(batch)
    assert place.service.batch(place.caller, batch).state == "expanded"
    assert addresses(place) == ["a@example.com", "b@example.com"]


def test_a_batch_of_rejects_only_ends_too(place):
    batch = place.service.send_bulk(place.caller, newsletter(), [Reject(1, "x")]).batch
    place.expand(batch)
    assert place.service.batch(place.caller, batch).state == "expanded"


def test_a_batch_for_later_waits_and_expires_by_that_time(place):
    later = datetime.now(UTC) + timedelta(days=1)
    place.expand(taken_in(place, 1, scheduled_for=later))
    row = place.one("SELECT scheduled_for, expires_at FROM message_queue")
    assert tuple(row) == (later, later + timedelta(hours=1))


def test_an_emergencys_clock_runs_from_its_acceptance(place):
    batch = taken_in(place, 1, message_type=MessageType.EMERGENCY)
    place.do("UPDATE message_batches SET accepted_at = now() - interval '100 seconds'")
    place.expand(batch)
    left = place.value("SELECT expires_at - now() FROM message_queue")
    assert timedelta(seconds=190) < left <= timedelta(seconds=200)


def test_a_newsletters_clock_runs_from_its_expansion(place):
    batch = taken_in(place, 1)
    place.do("UPDATE message_batches SET accepted_at = now() - interval '100 minutes'")
    place.expand(batch)
    assert place.value("SELECT expires_at - now() FROM message_queue") > timedelta(minutes=59)


def test_a_pinned_gateway_is_kept(place):
    place.expand(taken_in(place, 30, gateway="ses"))
    assert place.all("SELECT DISTINCT gateway, gateway_pinned FROM message_queue") == [("ses", True)]


def test_gateways_are_chosen_anew_for_each_slice(place):
    place.do(
        "INSERT INTO gateways (channel, gateway, tier, weight) VALUES ('email', 'postal', 1, 1),"
        " ('email', 'ses', 1, 1)"
    )
    place.catalog.forget()
    place.expand(taken_in(place, 700))
    gateways = {row[0] for row in place.all("SELECT DISTINCT gateway FROM message_queue")}
    assert gateways == {"postal", "ses"}


def test_numbers_are_compared_as_they_are(place):
    place.do(
        "INSERT INTO message_batches (client_id, priority, message_type, channel, state, last_line,"
        " accepted_at, received) VALUES (:client, 'P3', 'campaign', 'sms', 'accepted', 2, now(), 2)",
        client=place.caller.client_id,
    )
    place.do(
        "INSERT INTO batch_staging (batch_id, line, address, address_hash)"
        " SELECT id, line, '+44770090012' || line, line FROM message_batches, generate_series(1, 2) AS line"
    )
    SuppressionService(place.engine).add(WHO, SuppressionDraft(channel="sms", address="+447700900122"))
    place.catalog._configured[Channel.SMS] = ("twilio",)
    place.catalog.forget()
    place.expand(place.value("SELECT uuid FROM message_batches"))
    assert place.all("SELECT recipient_address, status FROM message_queue ORDER BY id") == [
        ("+447700900121", "pending"),
        ("+447700900122", "suppressed"),
    ]
