"""Claims on real rows: fair, exclusive, in order, and only what is due."""

import threading
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from app.db.tables import claims as claims_table
from app.db.tables import lane_flows, message_queue
from app.domain.lanes import LANES
from app.domain.vocabulary import Priority
from app.queue import claims
from app.queue.positions import Positions

LANE = LANES[Priority.P3]
MANY = sa.text("""
    INSERT INTO message_queue (
        priority, message_type, client_id, channel, recipient_address, gateway, scheduled_for, expires_at,
        max_attempts, status)
    SELECT 'P3', 'campaign', :client, 'email', 'r' || n || '@example.com', 'postal',
           now() - interval '1 hour' + n * interval '1 ms', now() + interval '1 hour', 3, 'pending'
    FROM generate_series(1, :count) AS n
""")


def pile(world, client, count):
    world.execute(MANY, {"client": client, "count": count})
    world.execute(sa.insert(lane_flows).values(priority="P3", channel="email", client_id=client))


def claim(world, *, lane=LANE, size=None, positions=None, own=None, **options):
    lane = lane if size is None else lane.changed(claim_size=size)
    with world.tools.once.connect() as conn:
        return claims.claim(
            conn,
            lane,
            own or uuid4(),
            channels=options.pop("channels", ["email"]),
            worker="test",
            positions=positions or Positions(),
            **options,
        )


def claimed(harvest):
    return [message for each in harvest.claims for message in each.messages]


def clients(harvest):
    return Counter(message.client_id for message in claimed(harvest))


# Fair turns


def test_a_callers_hundred_are_claimed_beside_anothers_twenty_thousand(world):
    pile(world, 1, 20_000)
    pile(world, 2, 100)
    assert clients(claim(world)) == {1: 250, 2: 100}


def test_many_callers_get_equal_shares(world):
    for client in range(1, 6):
        pile(world, client, 300)
    assert set(clients(claim(world)).values()) == {100}


def test_a_caller_without_due_work_takes_nobodys_share(world):
    pile(world, 1, 1000)
    world.execute(sa.insert(lane_flows).values(priority="P3", channel="email", client_id=2))
    assert clients(claim(world)) == {1: 500}


def test_more_callers_than_places_get_one_each(world):
    for client in range(1, 8):
        pile(world, client, 3)
    assert set(clients(claim(world, size=5)).values()) == {1}


def test_both_callers_are_read_on_while_both_are_full(world):
    pile(world, 1, 20_000)
    pile(world, 2, 1000)
    positions = Positions()
    seen = [message.id for _ in range(3) for message in claimed(claim(world, positions=positions))]
    assert len(seen) == len(set(seen)) == 1500


# Order, time, channel


def test_what_was_due_first_is_claimed_first(world):
    late = world.one("P3", scheduled_for=world.clock() - timedelta(seconds=5))
    early = world.one("P3", scheduled_for=world.clock() - timedelta(seconds=50))
    middle = world.one("P3", scheduled_for=world.clock() - timedelta(seconds=20))
    order = [claimed(claim(world, size=1))[0].id for _ in range(3)]
    assert order == [early.id, middle.id, late.id]


def test_nothing_that_is_scheduled_for_later_is_claimed(world):
    world.add("P3", 5, due_in=timedelta(minutes=1))
    assert claim(world).claims == ()


@pytest.mark.parametrize(
    "status", ["processing", "sent", "delivered", "bounced", "failed", "expired", "cancelled", "held"]
)
def test_only_what_is_pending_is_claimed(world, status):
    now = world.clock()
    times = {"locked_by": uuid4(), "locked_at": now} if status == "processing" else {}
    world.one("P3", status=status, sent_at=now, delivered_at=now, **times)
    assert claim(world).claims == ()


def test_a_channel_that_was_not_asked_for_stays(world):
    world.one("P3")
    assert claim(world, channels=["sms"]).claims == ()


def test_another_priority_stays(world):
    world.one("P1")
    assert claim(world).claims == ()


# What a claim writes


def test_a_claim_locks_its_messages_and_counts_the_try(world):
    message = world.one("P3")
    own = uuid4()
    claim(world, own=own)
    row = world.row(message)
    assert (row.status, row.locked_by, row.tries, row.attempts) == ("processing", own, 1, 0)
    assert row.locked_at is not None


def test_the_largest_set_is_the_workers_own_and_the_others_wait(world):
    world.add("P3", 2, gateway="ses")
    world.add("P3", 3)
    own = uuid4()
    harvest = claim(world, own=own)
    assert {(len(each.messages), each.own) for each in harvest.claims} == {(3, True), (2, False)}
    states = {row.uuid: (row.state, row.gateway, row.size) for row in world.claims()}
    assert states[own] == ("sending", "postal", 3)
    assert sorted(states.values()) == [("claimed", "ses", 2), ("sending", "postal", 3)]


def test_a_message_comes_with_all_that_sending_needs(world):
    message = world.one("P3", subject="Hello", options={"reply_to": "a@example.com"}, tried=["ses"])
    (row,) = claimed(claim(world))
    assert (row.id, row.uuid, row.subject, row.options) == (
        message.id,
        message.uuid,
        "Hello",
        {"reply_to": "a@example.com"},
    )
    assert (row.tried, row.priority, row.tries, row.max_attempts) == (["ses"], "P3", 1, 3)


def test_a_lease_is_as_long_as_the_lane_says(world):
    world.one("P3")
    claim(world)
    (row,) = world.claims()
    assert row.lease_until - row.created_at == LANE.lease


# Workers beside each other


def test_four_workers_at_once_claim_each_message_once(world):
    pile(world, 1, 3000)
    pile(world, 2, 1000)
    seen: list[int] = []
    barrier = threading.Barrier(4)

    def work():
        barrier.wait()
        positions = Positions()
        while messages := claimed(claim(world, size=100, positions=positions)):
            seen.extend(message.id for message in messages)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rest = [message.id for _ in range(50) for message in claimed(claim(world, from_beginning=True))]
    assert sorted(seen + rest) == sorted(set(seen + rest))
    assert len(seen + rest) == 4000


def test_rows_that_another_is_claiming_are_passed_over_not_waited_for(world):
    first, second = world.add("P3", 2)
    with world.tools.engine.begin() as conn:
        conn.execute(sa.select(message_queue.c.id).where(message_queue.c.id == first.id).with_for_update())
        with world.tools.engine.begin() as other:
            other.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
            harvest = claims.claim(
                other, LANE, uuid4(), channels=["email"], worker="test", positions=Positions()
            )
    assert [message.id for message in claimed(harvest)] == [second.id]


# Positions


def test_the_next_claim_goes_on_behind_the_last(world):
    pile(world, 1, 30)
    positions = Positions()
    first = claimed(claim(world, size=10, positions=positions))
    assert positions.known() == {("email", 1): max((m.scheduled_for, m.id) for m in first)}


def test_a_row_behind_the_position_is_found_by_a_look_from_the_beginning(world):
    pile(world, 1, 30)
    positions = Positions()
    claim(world, size=10, positions=positions)
    behind = world.one("P3", scheduled_for=world.clock() - timedelta(hours=2))
    assert behind.id not in [m.id for m in claimed(claim(world, size=10, positions=positions))]
    found = claimed(claim(world, size=10, positions=positions, from_beginning=True))
    assert behind.id in [message.id for message in found]


def test_a_flow_that_gave_less_than_its_share_is_read_from_the_beginning_again(world):
    pile(world, 1, 15)
    positions = Positions()
    assert claim(world, size=10, positions=positions).full
    assert not claim(world, size=10, positions=positions).full
    assert positions.known() == {}


# Named messages, waiting claims, leases


def test_named_messages_are_claimed_where_they_are_due_and_pending(world):
    due, sent = world.one("P0", gateway="ses"), world.one("P0", status="sent", sent_at=world.clock())
    later = world.one("P0", due_in=timedelta(minutes=1))
    own = uuid4()
    with world.tools.once.connect() as conn:
        taken = claims.claim_these(conn, LANES[Priority.P0], own, [due.id, sent.id, later.id], worker="test")
    assert [message.id for message in taken.messages] == [due.id]
    assert taken.own


def test_naming_messages_that_are_gone_opens_no_claim(world):
    with world.tools.once.connect() as conn:
        assert claims.claim_these(conn, LANES[Priority.P0], uuid4(), [12345], worker="test") is None
    assert world.claims() == []


def waiting_claim(world) -> UUID:
    world.add("P3", 2)
    world.one("P3", gateway="ses")
    return next(each.uuid for each in claim(world).claims if not each.own)


def take_over(world, uuid):
    with world.tools.once.connect() as conn:
        return claims.take_over(conn, LANE, uuid, worker="second")


def test_a_waiting_claim_is_taken_over_once(world):
    uuid = waiting_claim(world)
    assert len(take_over(world, uuid).messages) == 1
    assert take_over(world, uuid) is None


def test_a_claim_whose_lease_is_over_is_not_taken_over(world):
    uuid = waiting_claim(world)
    world.lapse()
    assert take_over(world, uuid) is None


def test_a_lease_is_renewed_by_its_worker_alone(world):
    world.one("P3")
    own = uuid4()
    claim(world, own=own)
    with world.tools.once.connect() as conn:
        assert claims.renew(conn, LANE, own, worker="test")
        assert not claims.renew(conn, LANE, own, worker="another")


def test_a_closed_claim_is_renewed_by_nobody(world):
    world.one("P3")
    own = uuid4()
    claim(world, own=own)
    world.execute(sa.update(claims_table).values(state="closed"))
    with world.tools.once.connect() as conn:
        assert not claims.renew(conn, LANE, own, worker="test")


def test_renewing_adds_marks_to_those_there_are(world):
    world.one("P3")
    own = uuid4()
    claim(world, own=own)
    with world.tools.once.connect() as conn:
        claims.renew(conn, LANE, own, worker="test", marks=[1, 2])
        claims.renew(conn, LANE, own, worker="test", marks=[3])
    assert world.claims()[0].marked == [1, 2, 3]


def lapsed(world, worker="releaser"):
    with world.tools.once.connect() as conn:
        return claims.take_lapsed(conn, LANE, worker=worker, limit=10)


def test_a_lapsed_claim_is_taken_by_one_releaser(world):
    world.one("P3")
    claim(world)
    world.lapse()
    assert len(lapsed(world)) == 1
    assert lapsed(world) == []


def test_a_lapsed_claim_cannot_be_renewed_by_its_worker_again(world):
    world.one("P3")
    own = uuid4()
    claim(world, own=own)
    world.lapse()
    lapsed(world)
    with world.tools.once.connect() as conn:
        assert not claims.renew(conn, LANE, own, worker="test")


def test_a_claim_still_holds_what_is_processing_under_it(world):
    first, second = world.add("P3", 2)
    own = uuid4()
    claim(world, own=own)
    world.change(first, status="sent", sent_at=world.clock(), locked_by=None, locked_at=None)
    with world.tools.once.connect() as conn:
        held = claims.still_processing(conn, LANE, own)
    assert [message.id for message in held] == [second.id]
