"""PostgreSQL or Valkey gone in the middle: what is known is kept, what is not known does not leave."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest
import redis

from app.bootstrap import build
from app.domain.vocabulary import Channel, Priority
from app.errors import Unavailable
from app.services.sending import ending, lane, release
from tests.world import meanwhile, wait_for

HANGS = timedelta(seconds=5)


def answers(client):
    try:
        return client.ping()
    except redis.RedisError:
        return False


def work(world, priority, *, sweep=False):
    return lane.work(world.tools, Priority(priority), sweep=sweep)


@pytest.fixture
def patience(monkeypatch):
    """Have workers wait for PostgreSQL for so many seconds only."""

    def patience(seconds):
        monkeypatch.setattr(ending, "PATIENCE", timedelta(seconds=seconds))
        monkeypatch.setattr(ending, "PAUSE", timedelta(milliseconds=50))

    return patience


# PostgreSQL


@pytest.mark.parametrize("priority", ["P0", "P3"])
def test_results_survive_in_the_ledger_while_postgres_is_gone(world, outages, patience, priority):
    patience(0.2)
    world.gateways.slow_down(200)
    messages = world.add(priority, 16)
    with meanwhile(lambda: world.gateways.accepted() >= 16, outages.cut_postgres):
        work(world, priority)
    outages.restore_postgres()
    assert world.statuses(messages) == {"processing": 16}
    world.lapse()
    release.release(world.tools, Priority(priority))
    assert world.statuses(messages) == {"sent": 16}
    taken = {entry["tag"].split("_")[0]: str(entry["serial"]) for entry in world.gateways.entries()}
    for message in messages:
        assert world.row(message).external_id == taken[str(message.uuid)]
        assert world.events(message)[-1].source == "ledger"


def test_what_was_not_started_when_postgres_went_is_sent_later_and_once(world, outages, patience):
    patience(0.2)
    world.gateways.slow_down(200)
    messages = world.add("P0", 40)
    with meanwhile(lambda: world.gateways.accepted() >= 16, outages.cut_postgres):
        work(world, "P0")
    outages.restore_postgres()
    world.lapse()
    release.release(world.tools, Priority.P0)
    work(world, "P0")
    assert world.statuses(messages) == {"sent": 40}
    assert world.gateways.accepted() == 40


def test_results_are_settled_first_hand_when_postgres_is_back_soon(world, outages, patience):
    patience(10)
    world.gateways.slow_down(200)
    messages = world.add("P3", 16)

    def cut_for_a_moment():
        outages.cut_postgres()
        # The gateway has answered all by then.
        wait_for(lambda: not world.app.engine.pool.checkedout())
        outages.restore_postgres()

    with meanwhile(lambda: world.gateways.accepted() >= 16, cut_for_a_moment):
        work(world, "P3")
    assert world.statuses(messages) == {"sent": 16}
    assert {event.source for message in messages for event in world.events(message)} == {"api", "worker"}


def test_without_postgres_a_lane_rests(world, outages):
    with outages.without_postgres():
        assert work(world, "P3") == 0


def test_without_postgres_the_gate_does_not_break_a_lane(world, outages):
    work(world, "P3")
    world.tools.memory._known.clear()
    with outages.without_postgres():
        assert work(world, "P2") == 0


def test_reference_data_is_used_on_while_postgres_is_gone(world, outages, monkeypatch):
    routes = world.tools.catalog.routes()
    monkeypatch.setattr("app.services.catalog.KEPT", 0.0)
    with outages.without_postgres():
        assert world.tools.catalog.routes() == routes
        world.tools.catalog.expire()
        assert world.tools.catalog.routes() == routes


def test_reference_data_that_was_never_read_is_unavailable_without_postgres(world, outages):
    world.tools.catalog.forget()
    with outages.without_postgres(), pytest.raises(Unavailable):
        world.tools.catalog.routes()


def test_a_refusal_during_an_outage_of_postgres_loses_nothing_on_the_wire(
    world, outages, patience, monkeypatch
):
    """A gateway's refusal asks for the chain of gateways, which is reference data."""
    monkeypatch.setattr("app.services.catalog.KEPT", 0.0)
    patience(0.2)
    world.gateways.slow_down(200)
    refused = world.add("P3", 4, gateway="ses", recipient_address="rejected@example.com")
    taken = world.add("P3", 12, gateway="ses")
    with meanwhile(lambda: world.gateways.accepted() >= 12, outages.cut_postgres):
        work(world, "P3")
    outages.restore_postgres()
    world.lapse()
    release.release(world.tools, Priority.P3)
    assert (world.statuses(refused), world.statuses(taken)) == ({"failed": 4}, {"sent": 12})


# Valkey


@pytest.mark.parametrize("priority", ["P1", "P2", "P3", "P4"])
def test_without_redis_nothing_but_emergencies_is_claimed(world, outages, priority):
    message = world.one(priority)
    with outages.without_valkey():
        assert work(world, priority) == 0
    assert world.row(message).status == "pending"
    assert world.gateways.accepted() == 0


def test_without_redis_an_emergency_still_leaves(world, outages):
    messages = world.add("P0", 20)
    with outages.without_valkey():
        work(world, "P0")
    assert world.statuses(messages) == {"sent": 20}


def test_where_redis_hangs_an_emergency_leaves_all_the_same(world, settings):
    message = world.one("P0")
    app = build(settings, "emergency", connections=4, impatient=True)
    world.app.redis.execute_command("CLIENT", "PAUSE", HANGS // timedelta(milliseconds=1), "ALL")
    began = time.monotonic()
    lane.work_these(replace(app.tools, wake=world.wake), Priority.P0, [message.id])
    took = time.monotonic() - began
    # What is read anew beside must not lose its connection.
    wait_for(lambda: not app.catalog._renewing)
    app.engine.dispose()
    app.redis.close()
    wait_for(lambda: answers(world.app.redis))
    assert world.row(message).status == "sent"
    assert took < HANGS.total_seconds()


def test_where_redis_hangs_an_emergency_waits_for_it_once_though_its_first_gateway_fails(
    world, settings, monkeypatch
):
    world.gateways.break_("postal")
    message = world.one("P0")
    app = build(settings, "emergency", connections=4, impatient=True)
    given_up = []
    monkeypatch.setattr(redis.UnixDomainSocketConnection, "read_response", noting_time_outs(given_up))
    world.app.redis.execute_command("CLIENT", "PAUSE", HANGS // timedelta(milliseconds=1), "ALL")
    # Twice, as who stands in for Redis does; the first one tells of the second in vain.
    lane.work_these(app.tools, Priority.P0, [message.id])
    lane.work(app.tools, Priority.P0, sweep=True)
    waited = len(given_up)
    wait_for(lambda: not app.catalog._renewing)
    app.engine.dispose()
    wait_for(lambda: answers(world.app.redis))
    assert world.gateways.taken(message.uuid) == ["ses"]
    # A slow machine may take longer for it all than a hang is remembered.
    assert 1 <= waited <= 2


def noting_time_outs(found, read=redis.UnixDomainSocketConnection.read_response):
    def reading(connection, *args, **options):
        try:
            return read(connection, *args, **options)
        except redis.TimeoutError:
            found.append(connection)
            raise

    return reading


def test_without_redis_an_emergency_goes_to_the_next_gateway(world, outages):
    world.gateways.break_("postal")
    message = world.one("P0")
    with outages.without_valkey():
        work(world, "P0")
        lane.work_these(world.tools, Priority.P0, [message.id])
    assert world.gateways.taken(message.uuid) == ["ses"]


def test_without_redis_starts_of_emergencies_are_marked_in_postgres(world, outages):
    messages = world.add("P0", 3)
    with outages.without_valkey():
        work(world, "P0")
    (claim,) = world.claims()
    assert sorted(claim.marked) == [message.id for message in messages]


@pytest.mark.parametrize("domain", ["gmail.com", "example.com"])
@pytest.mark.parametrize("priority", ["P1", "P3"])
def test_when_redis_goes_in_the_middle_the_rest_is_put_back(world, outages, priority, domain):
    world.gateways.slow_down(200)
    messages = [world.one(priority, recipient_address=f"r{number}@{domain}") for number in range(40)]
    with meanwhile(lambda: world.gateways.accepted() >= 16, outages.cut_valkey):
        work(world, priority)
    assert world.statuses(messages) == {"sent": 16, "pending": 24}
    assert {world.row(message).attempts for message in messages} == {0}
    outages.restore_valkey()
    assert world.gateways.accepted() == 16


def test_when_redis_goes_in_the_middle_emergencies_go_on(world, outages):
    world.gateways.slow_down(200)
    messages = world.add("P0", 40)
    with meanwhile(lambda: world.gateways.accepted() >= 16, outages.cut_valkey):
        work(world, "P0")
    assert world.statuses(messages) == {"sent": 40}
    assert world.gateways.accepted() == 40


def test_when_redis_is_emptied_in_the_middle_the_claim_goes_on(world):
    world.gateways.slow_down(200)
    messages = world.add("P3", 40)
    with meanwhile(lambda: world.gateways.accepted() >= 16, world.app.redis.flushall):
        work(world, "P3")
    assert world.statuses(messages) == {"sent": 40}
    assert world.gateways.accepted() == 40


# The claim itself gone


def test_a_worker_whose_claim_was_released_starts_nothing_more(world):
    world.gateways.slow_down(300)
    messages = world.add("P3", 40)

    def take_away():
        world.lapse()
        release.release(world.with_tools(worker="another").tools, Priority.P3)

    with meanwhile(lambda: world.gateways.accepted() >= 16, take_away):
        work(world, "P3")
    assert world.gateways.accepted() == 16
    # It still tells what it alone knows of those that were taken for unknown.
    assert world.statuses(messages) == {"sent": 16, "pending": 24}


def test_a_breaker_that_opens_while_postgres_is_gone_is_not_worth_a_crash(world, outages):
    world.gateways.break_("postal", "refuse")
    messages = world.add("P3", 5)
    with outages.without_postgres():
        world.tools.breakers.trip(Channel.EMAIL, "postal", "for the test")
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 5}
