"""Settling on real rows: who may write what, and what the database itself refuses."""

from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.db.tables import message_queue
from app.domain.decisions import Decision, Event
from app.domain.lanes import LANES
from app.domain.vocabulary import EventType, OutcomeClass, Priority, Status
from app.queue import claims
from app.queue.positions import Positions
from app.queue.settling import Settlement, settle

LANE = LANES[Priority.P3]


@pytest.fixture
def claim(world):
    """A function that claims everything due in P3; gives the claim's id."""

    def claim():
        own = uuid4()
        with world.tools.once.connect() as conn:
            claims.claim(conn, LANE, own, channels=["email"], worker="test", positions=Positions())
        return own

    return claim


def sent(external_id="m-1", **fields):
    event = Event(
        event_type=EventType.SENT, gateway="postal", outcome=OutcomeClass.ACCEPTED, external_id=external_id
    )
    return Decision(status=Status.SENT, gateway="postal", external_id=external_id, events=(event,), **fields)


def write(world, claim, message, decision, *, try_number=1, finished=False, worker="test"):
    with world.tools.engine.begin() as conn:
        return settle(
            conn,
            LANE,
            claim,
            [Settlement(message.id, try_number, decision)],
            worker=worker,
            finished=finished,
            source="worker",
        )


def test_a_decision_is_written_with_its_events(world, claim):
    message = world.one("P3")
    assert write(world, claim(), message, sent()) == {message.id}
    row = world.row(message)
    assert (row.status, row.external_id, row.locked_by, row.locked_at) == ("sent", "m-1", None, None)
    assert world.history(message) == ["queued", "sent"]


def test_settling_twice_changes_nothing_more(world, claim):
    message = world.one("P3")
    own = claim()
    write(world, own, message, sent())
    assert write(world, own, message, sent("m-2")) == set()
    assert world.row(message).external_id == "m-1"
    assert world.history(message) == ["queued", "sent"]


def test_a_claim_that_lost_a_message_changes_nothing(world, claim):
    message = world.one("P3")
    old = claim()
    world.change(message, status="pending", locked_by=None, locked_at=None)
    new = claim()
    failed = Decision(status=Status.FAILED, events=(Event(event_type=EventType.FAILED),))
    assert write(world, old, message, failed) == set()
    row = world.row(message)
    assert (row.status, row.locked_by) == ("processing", new)
    assert world.history(message) == ["queued"]


def test_a_late_acceptance_of_an_earlier_try_changes_nothing_of_the_next(world, claim):
    message = world.one("P3")
    old = claim()
    world.change(message, status="pending", locked_by=None, locked_at=None)
    claim()
    assert write(world, old, message, sent(), try_number=1) == set()
    assert world.row(message).status == "processing"


def test_an_acceptance_of_an_earlier_try_proves_nothing_of_a_later_one(world, claim):
    message = world.one("P3")
    old = claim()
    world.change(message, status="held", tries=2, locked_by=None, locked_at=None)
    assert write(world, old, message, sent(), try_number=1) == set()
    assert world.row(message).status == "held"


@pytest.mark.parametrize("status", ["delivered", "bounced", "failed"])
@pytest.mark.parametrize("known", [None, "m-1"])
def test_where_the_webhook_was_faster_settling_only_adds_the_id(world, claim, status, known):
    message = world.one("P3")
    own = claim()
    now = world.clock()
    times = {"sent_at": now, "delivered_at": now, "locked_by": None, "locked_at": None}
    world.change(message, status=status, external_id=known, **times)
    write(world, own, message, sent())
    row = world.row(message)
    assert (row.status, row.external_id, row.sent_at) == (status, "m-1", now)
    assert world.history(message) == ["queued", "sent"]


def test_a_faster_webhooks_other_id_is_not_overwritten(world, claim):
    message = world.one("P3")
    own = claim()
    now = world.clock()
    times = {"sent_at": now, "delivered_at": now, "locked_by": None, "locked_at": None}
    world.change(message, status="delivered", external_id="other", **times)
    assert write(world, own, message, sent()) == set()
    assert world.row(message).external_id == "other"


def test_the_late_acceptance_of_a_held_try_is_the_proof(world, claim):
    message = world.one("P3")
    own = claim()
    world.change(message, status="held", locked_by=None, locked_at=None)
    write(world, own, message, sent())
    assert (world.row(message).status, world.row(message).external_id) == ("sent", "m-1")


def test_the_late_acceptance_of_an_unknown_try_spares_the_next(world, claim):
    message = world.one("P3")
    own = claim()
    world.change(message, status="pending", locked_by=None, locked_at=None)
    write(world, own, message, sent())
    assert world.row(message).status == "sent"


def test_a_message_that_was_taken_and_given_back_is_not_sent_by_an_old_acceptance(world, claim):
    """Its acceptance was settled before; the gateway thought again since."""
    message = world.one("P3")
    own = claim()
    times = {"sent_at": world.clock(), "locked_by": None, "locked_at": None}
    world.change(message, status="pending", external_id=None, **times)
    assert write(world, own, message, sent()) == set()
    assert world.row(message).status == "pending"


@pytest.mark.parametrize("status", [Status.FAILED, Status.HELD, Status.PENDING, Status.EXPIRED])
def test_bad_news_of_a_claim_that_lost_a_held_message_changes_nothing(world, claim, status):
    message = world.one("P3")
    own = claim()
    world.change(message, status="held", locked_by=None, locked_at=None)
    assert write(world, own, message, Decision(status=status)) == set()


def test_a_retry_moves_when_it_is_due_and_how_long_it_may_take(world, claim):
    message = world.one("P3")
    end = world.row(message).expires_at
    wait, more = timedelta(seconds=90.5), timedelta(seconds=30)
    decision = Decision(
        status=Status.PENDING, gateway="ses", delay=wait, extends=more, attempts=2, tried=("postal", "x")
    )
    write(world, claim(), message, decision)
    row = world.row(message)
    assert row.scheduled_for - row.updated_at == wait
    assert (row.next_retry_at, row.expires_at) == (row.scheduled_for, end + more)
    assert (row.gateway, row.attempts, row.tried) == ("ses", 2, ["postal", "x"])


def test_nobody_tried_is_an_empty_list(world, claim):
    message = world.one("P3", tried=["postal"])
    write(world, claim(), message, Decision(status=Status.PENDING))
    assert world.row(message).tried == []


@pytest.mark.parametrize("words", ['said "no"', "a\\b", "NULL", "{a,b}", "", "Ünïcödé, 'quoted'\n", "\x1f"])
def test_a_gateways_words_are_kept_as_they_are(world, claim, words):
    message = world.one("P3")
    event = Event(event_type=EventType.FAILED, code="x", detail=words, data={"said": words})
    write(world, claim(), message, Decision(status=Status.FAILED, error=words, events=(event,)))
    assert world.row(message).last_error == words
    assert world.events(message)[-1].detail == (words or None)
    assert world.events(message)[-1].data == {"said": words}


def test_the_last_message_closes_the_claim(world, claim):
    message = world.one("P3")
    own = claim()
    write(world, own, message, sent(), finished=True)
    assert [row.state for row in world.claims()] == ["closed"]


def test_settling_renews_the_lease_of_its_worker_alone(world, claim):
    first, second = world.add("P3", 2)
    own = claim()
    world.lapse()
    write(world, own, first, sent(), worker="another")
    assert world.claims()[0].lease_until < world.clock()
    write(world, own, second, sent())
    assert world.claims()[0].lease_until > world.clock()


# Batches are counted by the database itself


def test_every_change_of_a_batchs_messages_is_counted(world, claim):
    batch = world.batch()
    first, second, third = world.add("P3", 3, batch_id=batch)
    own = claim()
    assert world.counted(batch) == {"pending": -3, "processing": 3}
    write(world, own, first, sent())
    write(world, own, second, Decision(status=Status.FAILED))
    assert world.counted(batch) == {"pending": -3, "processing": 1, "sent": 1, "failed": 1}
    world.change(third, status="held", locked_by=None, locked_at=None)
    assert world.counted(batch) == {"pending": -3, "sent": 1, "failed": 1, "held": 1}


def test_messages_without_a_batch_are_counted_nowhere(world, claim):
    message = world.one("P3")
    write(world, claim(), message, sent())
    assert world.all(sa.text("SELECT * FROM batch_deltas")) == []


# What the database refuses


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "processing"},
        {"status": "processing", "locked_by": uuid4()},
        {"status": "pending", "locked_by": uuid4(), "locked_at": sa.func.now()},
        {"status": "sent"},
        {"status": "delivered"},
        {"status": "delivered", "delivered_at": sa.func.now()},
        {"status": "lost"},
        {"channel": "pigeon"},
        {"message_type": "spam"},
        {"attempts": -1},
        {"max_attempts": 0},
    ],
    ids="-".join,
)
def test_a_state_without_its_marks_is_refused(world, columns):
    message = world.one("P3")
    with pytest.raises(IntegrityError, match="violates check constraint"):
        world.change(message, **columns)


def test_a_priority_that_there_is_not_has_no_place(world):
    world.one("P3")
    with pytest.raises(IntegrityError, match="no partition"):
        world.execute(sa.update(message_queue).values(priority="P5"))
