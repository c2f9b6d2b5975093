"""Actors on a real broker: their names, their queues, and that twice is as good as once."""

import threading
import time
from datetime import timedelta
from uuid import UUID

import dramatiq
import pytest
import sqlalchemy as sa

from actors.declare import ACTORS, declare
from actors.emergency import answer_doorbell
from app.bootstrap import ACTOR_TIME_LIMIT, LEDGER_KEPT, make_broker
from app.db.redis import blocking_client, short_client
from app.db.tables import parked_events, webhook_inbox
from app.domain.lanes import LANES
from app.domain.vocabulary import Priority
from app.services.sending import ending, lane, run
from app.settings import Settings
from app.wake import BrokerWake, Doorbell, GatheringWake
from tests.world import wait_for

ALL = tuple(Priority)
PATIENT = tuple(priority for priority in Priority if priority is not Priority.P0)


@pytest.fixture
def broker(world, settings):
    """The real broker, with every actor over the world's tools."""
    broker = make_broker(settings)
    declare(broker, world.tools)
    yield broker
    broker.client.close()


@pytest.fixture
def doorbell(settings):
    return Doorbell(blocking_client(settings.redis_url, timedelta(seconds=5)))


@pytest.fixture
def wake(broker, settings, doorbell):
    return BrokerWake(broker, settings.lanes, doorbell)


@pytest.fixture
def gathering(broker, settings, doorbell):
    """What the web process tells of its work with."""
    return GatheringWake(broker, settings.lanes, doorbell)


@pytest.fixture
def at_work(broker):
    """A function that lets workers run until every queue is empty."""

    def at_work():
        worker = dramatiq.Worker(broker, worker_timeout=10, worker_threads=2)
        worker.start()
        try:
            wait_for(lambda: not any(broker.client.llen(f"dramatiq:{name}") for name in broker.queues))
            worker.join()
        finally:
            worker.stop()

    return at_work


def queued(broker):
    """List what waits: queue, actor, arguments."""
    found = []
    for name in sorted(broker.queues):
        for key in broker.client.lrange(f"dramatiq:{name}", 0, -1):
            message = dramatiq.Message.decode(broker.client.hget(f"dramatiq:{name}.msgs", key))
            found.append((message.queue_name, message.actor_name, message.args))
    return found


CLAIM = UUID("0192f0c0-0000-7000-8000-000000000001")


def test_every_wake_is_for_an_actor_that_there_is(broker, wake):
    for priority in ALL:
        wake.lane(priority)
        wake.claim(priority, CLAIM)
        wake.failover(priority, [1])
        wake.batch(priority, 1)
        wake.release(priority)
    wake.parked()
    wake.inbox()
    wake.topics()
    waiting = queued(broker)
    assert len(waiting) == 28
    assert {actor for _, actor, _ in waiting} == {actor.__name__ for actor in ACTORS} == set(broker.actors)


@pytest.mark.parametrize("priority", ALL)
def test_what_concerns_a_lane_waits_in_that_lanes_own_queue(broker, wake, priority):
    wake.lane(priority)
    wake.claim(priority, CLAIM)
    wake.failover(priority, [1])
    wake.batch(priority, 1)
    wake.release(priority)
    assert {queue for queue, _, _ in queued(broker)} == {f"messages-{priority.lower()}"}


def test_a_message_holds_ids_and_never_a_content(broker, wake):
    wake.lane(Priority.P3, sweep=True)
    wake.claim(Priority.P3, CLAIM)
    wake.failover(Priority.P3, [1, 2])
    arguments = {actor: tuple(args) for _, actor, args in queued(broker)}
    assert arguments == {
        "claim_batch": ("P3", 1),
        "send_via_gateway": ("P3", str(CLAIM)),
        "failover": ("P3", [1, 2]),
    }


@pytest.mark.parametrize("priority", ALL)
def test_never_more_wakes_wait_than_a_lane_has_senders(broker, wake, priority):
    for _ in range(50):
        wake.lane(priority)
    assert len(queued(broker)) == LANES[priority].max_threads


def test_one_wake_for_the_inbox_follows_another_and_no_more(broker, wake):
    for _ in range(5):
        wake.inbox()
    assert len(queued(broker)) == 2


def test_a_lost_wake_is_not_the_callers_trouble(wake, outages):
    with outages.without_valkey():
        wake.lane(Priority.P0)
        wake.failover(Priority.P0, [1])


def test_nothing_is_ever_tried_again_by_the_broker(broker):
    assert "Retries" not in {type(each).__name__ for each in broker.middleware}


# Twice


def test_sending_the_same_wakes_twice_sends_each_message_once(world, wake, at_work):
    messages = [world.one(priority) for priority in ALL for _ in range(3)]
    for priority in ALL:
        wake.lane(priority)
        wake.lane(priority, sweep=True)
    at_work()
    assert world.statuses(messages) == {"sent": 15}
    assert world.gateways.accepted() == 15


def test_a_waiting_claim_that_is_told_twice_is_sent_once(world, wake, at_work):
    world.add("P3", 2)
    waiting = world.one("P3", gateway="ses")
    lane.work(world.tools, Priority.P3, sweep=False)
    ((priority, claim),) = world.wake.claims
    wake.claim(priority, claim)
    wake.claim(priority, claim)
    at_work()
    assert world.gateways.taken(waiting.uuid) == ["ses"]


def test_a_failover_that_is_told_twice_is_carried_out_once(world, wake, at_work):
    message = world.one("P0", gateway="ses", tried=["postal"])
    wake.failover(Priority.P0, [message.id])
    wake.failover(Priority.P0, [message.id])
    at_work()
    assert world.gateways.taken(message.uuid) == ["ses"]


def test_a_release_that_is_told_twice_releases_once(world, wake, at_work):
    world.add("P3", 2)
    waiting = world.one("P3", gateway="ses")
    lane.work(world.tools, Priority.P3, sweep=False)
    world.lapse()
    wake.release(Priority.P3)
    wake.release(Priority.P3)
    at_work()
    assert (world.row(waiting).status, world.row(waiting).tries) == ("pending", 1)
    assert world.history(waiting) == ["queued"]


def test_the_inbox_and_the_parked_may_be_looked_at_twice(world, wake, at_work):
    row = {"gateway": "gone", "url": "http://localhost/", "headers": {}, "body": b"x"}
    world.execute(sa.insert(webhook_inbox).values(row))
    for _ in range(2):
        wake.inbox()
        wake.parked()
    at_work()
    (processed,) = world.all(sa.select(webhook_inbox))
    assert processed.tries == 1
    assert world.all(sa.select(parked_events)) == []


def test_a_batch_that_is_gone_is_no_trouble(wake, at_work, broker):
    wake.batch(Priority.P3, 987654)
    wake.batch(Priority.P3, 987654)
    at_work()
    assert queued(broker) == []


# Every wake lost


def test_with_every_wake_lost_a_lane_leaves_when_the_dispatcher_comes_by(world, wake, at_work):
    messages = {priority: world.add(priority, 50) for priority in ALL}
    began = time.monotonic()
    for priority in ALL:
        wake.lane(priority, sweep=True)
    at_work()
    assert time.monotonic() - began < 60
    for priority in ALL:
        assert world.statuses(messages[priority]) == {"sent": 50}


# Times that must fit into each other


@pytest.mark.parametrize("priority", ALL)
def test_a_stint_with_nothing_but_time_outs_ends_before_the_actor_is_stopped(priority):
    settings = Settings(_env_file=None)
    timeout = timedelta(seconds=settings.gateway_timeout_seconds)
    rounds = -(-LANES[priority].claim_size // settings.gateway_concurrency)
    longest = timedelta(seconds=lane.STINT) + rounds * timeout + ending.PATIENCE
    assert longest < ACTOR_TIME_LIMIT


def test_no_setting_makes_a_claim_outlast_its_actor():
    slowest = timedelta(seconds=60)  # the longest that a gateway's time-out may be set to
    longest = timedelta(seconds=lane.STINT + run.LONGEST_RUN) + slowest + ending.PATIENCE
    assert longest < ACTOR_TIME_LIMIT


@pytest.mark.parametrize("priority", ALL)
def test_a_lease_outlasts_a_request(priority):
    assert LANES[priority].lease > timedelta(seconds=Settings(_env_file=None).gateway_timeout_seconds)


def test_the_ledger_is_kept_longer_than_any_claim_and_outage():
    longest = max(each.lease for each in LANES.values()) + ACTOR_TIME_LIMIT
    assert 10 * longest < LEDGER_KEPT


def test_an_emergency_rings_before_its_caller_has_its_answer(gathering, doorbell):
    gathering.accepted(Priority.P0, 17)
    assert doorbell.wait(timedelta(milliseconds=10)) == 17


@pytest.mark.parametrize("priority", PATIENT)
def test_only_emergencies_ring(gathering, doorbell, priority):
    gathering.accepted(priority, 17)
    assert doorbell.wait(timedelta(milliseconds=10)) is None


def test_a_doorbell_that_nobody_hears_keeps_a_hundred_and_not_for_long(doorbell, settings):
    for message in range(150):
        doorbell.ring(message)
    client = short_client(settings.redis_url)
    assert client.llen("doorbell") == 100
    assert 0 < client.ttl("doorbell") <= 30
    assert doorbell.wait(timedelta(seconds=1)) == 50


def test_an_emergency_goes_out_before_a_batch_that_is_queued_before_it(world, doorbell):
    world.add("P0", 300)
    message = world.one("P0")
    listener = threading.Thread(target=answer_doorbell, args=(world.tools, doorbell))
    listener.start()
    try:
        doorbell.ring(message.id)
        wait_for(lambda: world.row(message).status == "sent")
    finally:
        world.tools.stopping.set()
        listener.join()
    assert world.gateways.accepted() == 1


def test_whoever_hears_the_doorbell_outlives_an_outage_of_redis(world, doorbell, outages):
    listener = threading.Thread(target=answer_doorbell, args=(world.tools, doorbell))
    listener.start()
    try:
        outages.cut_valkey()
        outages.restore_valkey()
        message = world.one("P0")
        doorbell.ring(message.id)
        wait_for(lambda: world.row(message).status == "sent")
    finally:
        world.tools.stopping.set()
        listener.join()


@pytest.mark.parametrize("priority", PATIENT)
def test_many_accepted_at_a_time_are_told_of_together(broker, gathering, priority):
    for _ in range(200):
        gathering.lane(priority)
    wait_for(lambda: queued(broker))
    # What came before the first word of it, and what came while it was told.
    assert len(queued(broker)) <= 3


def test_what_comes_while_others_are_told_of_is_not_forgotten(broker, gathering):
    for priority in PATIENT:
        gathering.lane(priority)
    wait_for(lambda: len(queued(broker)) == len(PATIENT))
    broker.flush_all()
    gathering.lane(Priority.P1)
    wait_for(lambda: queued(broker))
