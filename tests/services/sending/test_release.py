"""Stuck-release: what becomes of messages whose worker was lost, by what the ledger knows."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from app.db.tables import claims as claims_table
from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass, Priority
from app.errors import ClaimClosed
from app.queue import claims
from app.services.sending import answers, lane, release
from app.services.sending.book import open_book
from app.simulator.environment import environment
from tests.world import only, wait_for

ALL = ("P0", "P1", "P2", "P3", "P4")
RESENT = ("P0", "P1", "P4")
HELD = ("P2", "P3")


def abandon(world, priority, *, started=(), answered=()):
    """Claim what is due as a worker does, mark starts and answers, and never come back."""
    the_lane = world.tools.lanes[Priority(priority)]
    book = open_book(world.tools, the_lane, uuid4())
    with world.tools.once.connect() as conn:
        harvest = claims.claim(
            conn,
            the_lane,
            book.claim,
            channels=["email"],
            worker=world.tools.worker,
            positions=world.tools.positions[Priority(priority)],
        )
    written = {
        message.id: answers.spell(
            "postal", Outcome(kind=OutcomeClass.ACCEPTED, external_id=f"id-{message.id}")
        )
        for message in answered
    }
    book.advance({}, [message.id for message in (*started, *answered)])
    book.advance(written, [])
    return book, harvest


def released(world, priority):
    world.lapse()
    return release.release(world.tools, Priority(priority))


@pytest.mark.parametrize("priority", ALL)
def test_what_was_never_started_goes_back_as_if_nothing_had_been(world, priority):
    messages = world.add(priority, 3)
    abandon(world, priority)
    assert released(world, priority) == 3
    rows = [world.row(message) for message in messages]
    assert {(row.status, row.attempts, row.possible_duplicate) for row in rows} == {("pending", 0, False)}
    assert world.history(messages[0]) == ["queued"]


@pytest.mark.parametrize("priority", ALL)
def test_what_was_released_unsent_is_sent_then(world, priority):
    message = world.one(priority)
    abandon(world, priority)
    released(world, priority)
    assert (Priority(priority), False) in world.wake.lanes
    lane.work(world.tools, Priority(priority), sweep=False)
    assert world.gateways.taken(message.uuid) == ["postal"]


@pytest.mark.parametrize("priority", RESENT)
def test_an_urgent_message_that_was_started_is_sent_again_and_marked(world, priority):
    message = world.one(priority)
    abandon(world, priority, started=[message])
    released(world, priority)
    row = world.row(message)
    assert (row.status, row.possible_duplicate, row.gateway) == ("pending", True, "ses")
    assert only(world.wake.failed_over) == (Priority(priority), [message.id])
    event = next(event for event in world.events(message) if event.event_type == "attempt_failed")
    assert (event.source, event.outcome, event.data) == ("ledger", "unknown", {"possible_duplicate": True})


@pytest.mark.parametrize("priority", HELD)
def test_bulk_that_was_started_is_held(world, priority):
    message = world.one(priority)
    abandon(world, priority, started=[message])
    released(world, priority)
    row = world.row(message)
    assert (row.status, row.last_error_class, row.attempts) == ("held", "unknown", 0)


@pytest.mark.parametrize("priority", ALL)
def test_what_the_gateway_accepted_is_sent_with_the_right_id(world, priority):
    messages = world.add(priority, 3)
    abandon(world, priority, answered=messages)
    released(world, priority)
    for message in messages:
        row = world.row(message)
        assert (row.status, row.external_id) == ("sent", f"id-{message.id}")
        assert world.history(message) == ["queued", "sent"]


def test_each_message_of_a_claim_is_decided_by_what_is_known_of_it(world):
    fresh, unknown, accepted = world.add("P3", 3)
    abandon(world, "P3", started=[unknown], answered=[accepted])
    released(world, "P3")
    assert [world.row(message).status for message in (fresh, unknown, accepted)] == [
        "pending",
        "held",
        "sent",
    ]


@pytest.mark.parametrize(("priority", "status"), [("P0", "pending"), ("P3", "held")])
def test_a_lost_ledger_makes_all_of_its_claim_unknown(world, priority, status):
    fresh, accepted = world.add(priority, 2)
    abandon(world, priority, answered=[accepted])
    world.app.redis.flushall()
    released(world, priority)
    rows = [world.row(message) for message in (fresh, accepted)]
    assert [row.status for row in rows] == [status, status]
    assert {row.last_error_class for row in rows} == {"unknown"}


def test_a_claim_that_nobody_took_over_was_not_started_whatever_the_ledger_says(world):
    world.add("P3", 2)
    waiting = world.one("P3", gateway="ses")
    lane.work(world.tools, Priority.P3, sweep=False)
    world.app.redis.flushall()
    released(world, "P3")
    row = world.row(waiting)
    assert (row.status, row.possible_duplicate) == ("pending", False)


def test_a_claim_that_is_being_released_is_not_taken_over(world):
    """A wake for it may come as late as this."""
    world.add("P3", 2)
    waiting = world.one("P3", gateway="ses")
    lane.work(world.tools, Priority.P3, sweep=False)
    priority, claim = only(world.wake.claims)
    world.lapse()
    with world.tools.once.connect() as conn:
        taken = claims.take_lapsed(conn, world.tools.lanes[priority], worker="releaser", limit=10)
    assert [each.uuid for each in taken] == [claim]
    lane.work_claim(world.tools, priority, claim)
    assert world.gateways.taken(waiting.uuid) == []


def test_emergencies_that_were_started_without_redis_are_known_from_postgres(world, outages):
    fresh, started = world.add("P0", 2)
    book, _ = abandon(world, "P0")
    with outages.without_valkey():
        book.advance({}, [started.id])
    released(world, "P0")
    rows = [world.row(message) for message in (fresh, started)]
    assert [(row.status, row.possible_duplicate) for row in rows] == [("pending", False), ("pending", True)]


def test_emergencies_are_released_without_redis_too(world, outages):
    message = world.one("P0")
    abandon(world, "P0", started=[message])
    world.lapse()
    with outages.without_valkey():
        release.release(world.tools, Priority.P0)
    assert world.row(message).possible_duplicate


def test_other_claims_wait_until_the_ledger_can_be_read(world, outages):
    message = world.one("P3")
    abandon(world, "P3", answered=[message])
    world.lapse()
    with outages.without_valkey():
        assert release.release(world.tools, Priority.P3) == 0
    assert world.row(message).status == "processing"
    released(world, "P3")
    assert world.row(message).status == "sent"


def test_a_claim_whose_lease_holds_is_left_alone(world):
    message = world.one("P3")
    abandon(world, "P3")
    assert release.release(world.tools, Priority.P3) == 0
    assert world.row(message).status == "processing"


def test_releasing_twice_changes_nothing_more(world):
    message = world.one("P0")
    abandon(world, "P0", started=[message])
    released(world, "P0")
    before = (world.row(message), world.history(message))
    assert released(world, "P0") == 0
    assert (world.row(message), world.history(message)) == before


def test_a_releaser_that_dies_is_followed_by_another(world):
    message = world.one("P3")
    abandon(world, "P3", answered=[message])
    world.lapse()
    with world.tools.once.connect() as conn:
        claims.take_lapsed(conn, world.tools.lanes[Priority.P3], worker="dead releaser", limit=10)
    assert release.release(world.tools, Priority.P3) == 0
    released(world, "P3")
    assert world.row(message).status == "sent"


def test_a_worker_that_slept_starts_nothing_of_a_released_claim(world):
    fresh = world.one("P3")
    book, _ = abandon(world, "P3")
    released(world, "P3")
    with pytest.raises(ClaimClosed):
        book.advance({}, [fresh.id])


def test_a_worker_that_slept_starts_nothing_though_the_ledger_was_lost(world):
    fresh = world.one("P3")
    book, _ = abandon(world, "P3")
    released(world, "P3")
    world.app.redis.flushall()
    with pytest.raises(ClaimClosed):
        book.advance({}, [fresh.id])


def test_a_message_out_of_time_expires_instead_of_going_back(world):
    message = world.one("P1", expires_at=world.clock() - timedelta(seconds=1))
    abandon(world, "P1")
    released(world, "P1")
    assert world.row(message).status == "expired"


# A real process, really killed

WORKER = """
from app.bootstrap import build
from app.domain.vocabulary import Priority
from app.services.sending import lane
from app.settings import load
import sys
lane.work(build(load(_env_file=None), "victim", connections=4).tools, Priority(sys.argv[1]), sweep=False)
"""


@pytest.mark.parametrize("priority", ["P0", "P3"])
def test_a_worker_that_is_killed_loses_and_doubles_nothing_unmarked(world, settings, gateways, priority):
    gateways.slow_down(60_000)
    messages = world.add(priority, 40)
    variables = {
        **environment(gateways.base),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "GATEWAY_CONCURRENCY": "16",
        "GATEWAY_TIMEOUT_SECONDS": "20",
    }
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, priority], env={**os.environ, **variables}, stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: gateways.accepted() >= 16, within=60)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    gateways.slow_down(0)
    released(world, priority)
    while world.wake.failed_over:
        lane.work_these(world.tools, *world.wake.failed_over.pop())
    lane.work(world.tools, Priority(priority), sweep=False)
    taken = {message.id: len(gateways.taken(message.uuid)) for message in messages}
    marked = {message.id for message in messages if world.row(message).possible_duplicate}
    if priority == "P0":
        assert world.statuses(messages) == {"sent": 40}
        assert {message for message, times in taken.items() if times > 1} == marked
        assert len(marked) == 16
    else:
        assert world.statuses(messages) == {"held": 16, "sent": 24}
        assert set(taken.values()) == {1}


def test_claims_are_closed_behind_a_release(world):
    world.add("P3", 3)
    abandon(world, "P3")
    released(world, "P3")
    assert [row.state for row in world.all(sa.select(claims_table.c.state))] == ["closed"]
