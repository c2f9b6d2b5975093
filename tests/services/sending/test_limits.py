"""Limits by domain, gateway and pool: who waits, for how long, and at whose cost."""

import time
from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa
from prometheus_client.registry import REGISTRY

from app.db.tables import isp_domains, rate_limits
from app.domain.vocabulary import Channel, Priority
from app.limits.tokens import Limit
from app.services.sending import lane
from app.services.sending.memory import Memory
from app.services.upkeep.counting import restore_counts
from tests.world import meanwhile


def work(world, priority):
    return lane.work(world.tools, Priority(priority), sweep=False)


def crowd(world, priority, count, domain="slow.example"):
    return [world.one(priority, recipient_address=f"r{number}@{domain}") for number in range(count)]


def used(world, key="domain:slow.example", **figures):
    return world.tools.tokens.usage([Limit(key=key, **figures)])[0]


def test_what_gets_no_token_waits_and_keeps_its_attempts(world):
    world.limit("domain", "slow.example", max_per_hour=10)
    messages = crowd(world, "P3", 12)
    work(world, "P3")
    rows = [world.row(message) for message in messages]
    waiting = [row for row in rows if row.status == "pending"]
    # A fifth of each window is kept for the urgent.
    assert len(waiting) == 4
    assert {row.attempts for row in waiting} == {0}
    assert {row.last_error for row in waiting} == {"rate limit: domain slow.example"}


def test_each_of_those_who_wait_has_a_time_of_its_own(world):
    world.limit("domain", "slow.example", max_per_hour=10)
    messages = crowd(world, "P3", 12)
    work(world, "P3")
    times = [row.scheduled_for for row in map(world.row, messages) if row.status == "pending"]
    assert len(set(times)) == 4


def test_a_campaign_gets_back_the_time_that_a_limit_takes(world):
    world.limit("domain", "slow.example", max_per_hour=1)
    end = world.clock() + timedelta(hours=1)
    messages = [
        world.one("P3", recipient_address=f"r{number}@slow.example", expires_at=end) for number in range(3)
    ]
    work(world, "P3")
    for row in map(world.row, messages):
        if row.status == "pending":
            moved = row.expires_at - end
            assert abs(moved - (row.scheduled_for - row.updated_at)) < timedelta(seconds=1)


def test_an_alert_does_not(world):
    world.limit("domain", "slow.example", max_per_minute=2)
    end = world.clock() + timedelta(hours=1)
    messages = [
        world.one("P1", recipient_address=f"r{number}@slow.example", expires_at=end) for number in range(3)
    ]
    work(world, "P1")
    assert {world.row(message).expires_at for message in messages} == {end}


def test_an_alert_that_cannot_wait_so_long_expires_when_its_time_is_over(world):
    world.limit("domain", "slow.example", max_per_hour=1)
    end = world.clock() + timedelta(minutes=1)
    messages = [
        world.one("P1", recipient_address=f"r{number}@slow.example", expires_at=end) for number in range(2)
    ]
    work(world, "P1")
    assert world.statuses(messages) == {"sent": 1, "pending": 1}
    (row,) = [row for row in map(world.row, messages) if row.status == "pending"]
    assert timedelta(0) < end - row.scheduled_for < timedelta(seconds=2)
    world.change(row, scheduled_for=world.clock(), expires_at=world.clock() + timedelta(seconds=1))
    work(world, "P1")
    assert world.statuses(messages) == {"sent": 1, "expired": 1}


def test_an_emergency_is_counted_but_waits_for_no_domain(world):
    world.limit("domain", "slow.example", max_per_hour=1)
    restore_counts(world.tools)
    messages = crowd(world, "P0", 4)
    work(world, "P0")
    assert world.statuses(messages) == {"sent": 4}
    assert used(world, per_hour=1).per_hour == 4


def test_a_limit_a_second_is_used_evenly_and_nearly_whole(world):
    world.limit("domain", "slow.example", max_per_second=25)
    messages = crowd(world, "P3", 80)
    began = time.monotonic()
    work(world, "P3")
    took = time.monotonic() - began
    assert world.statuses(messages) == {"sent": 80}
    # Twenty of these tokens are a campaign's: the first at once, then one in 52 ms when the second is over.
    assert 3 < took < 6
    assert sum(world.row(message).tries for message in messages) < 2 * len(messages)


def test_other_domains_are_not_concerned(world):
    world.limit("domain", "slow.example", max_per_hour=1)
    slow, quick = crowd(world, "P3", 3), crowd(world, "P3", 3, domain="quick.example")
    work(world, "P3")
    assert (world.statuses(slow), world.statuses(quick)) == ({"sent": 1, "pending": 2}, {"sent": 3})


def test_a_limit_that_is_not_active_limits_nobody(world):
    world.limit("domain", "slow.example", max_per_hour=1)
    world.execute(
        sa.update(rate_limits).where(rate_limits.c.limit_key == "slow.example").values(is_active=False)
    )
    world.tools.catalog.forget()
    messages = crowd(world, "P3", 3)
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 3}


@pytest.mark.parametrize(("kind", "key"), [("gateway", "postal"), ("ip_pool", "campaigns")])
def test_gateways_and_pools_have_limits_too(world, kind, key):
    world.limit(kind, key, max_per_hour=1)
    messages = world.add("P3", 3, ip_pool="campaigns")
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 1, "pending": 2}


def test_tokens_of_what_was_put_back_are_returned(world):
    world.limit("domain", "slow.example", max_per_day=100)
    world.gateways.slow_down(200)
    crowd(world, "P3", 40)
    with meanwhile(lambda: world.gateways.accepted() >= 16, world.tools.stopping.set):
        work(world, "P3")
    assert used(world, per_day=100).per_day == world.gateways.accepted() < 40


def test_tokens_of_a_gateway_that_went_ill_are_returned(world):
    world.limit("gateway", "postal", max_per_day=100)
    world.gateways.break_("postal", "refuse")
    messages = world.add("P3", 40)
    work(world, "P3")
    tried = world.statuses(messages)["pending"]
    assert used(world, "gateway:postal", per_day=100).per_day == tried


def told(world, kind="domain", key="slow.example"):
    query = sa.select(rate_limits.c.exceeded_count, rate_limits.c.last_exceeded_window).where(
        rate_limits.c.limit_type == kind, rate_limits.c.limit_key == key
    )
    return tuple(world.all(query)[0])


def test_a_limit_that_is_used_up_is_told_once_and_not_for_each_message(world):
    world.limit("domain", "slow.example", max_per_hour=10)
    before = full_limits("domain", "slow.example", "hour")
    for _ in range(3):
        crowd(world, "P3", 20)
        work(world, "P3")
    assert told(world) == (1, "hour")
    assert full_limits("domain", "slow.example", "hour") - before == 1
    (event,) = world.app.limits.events().items
    assert (event.kind, event.limit_key, event.detail) == ("exceeded", "slow.example", "hour")


def full_limits(*labels):
    names = ("limit_type", "limit_key", "window")
    found = REGISTRY.get_sample_value(
        "tocsin_rate_limits_exceeded_total", dict(zip(names, labels, strict=True))
    )
    return found or 0


@pytest.mark.parametrize(("priority", "got"), [("P3", 8), ("P4", 9), ("P0", 12)])
def test_a_recipient_gets_so_many_messages_a_minute(world, priority, got):
    messages = world.add(priority, 12, recipient_address="jo@example.com")
    others = world.add(priority, 3, recipient_address="al@example.com")
    work(world, priority)
    waiting = {"pending": 12 - got} if got < 12 else {}
    assert world.statuses(messages) == {"sent": got, **waiting}
    assert world.statuses(others) == {"sent": 3}


def test_a_recipient_is_the_same_however_an_address_is_capitalized(world):
    world.add("P3", 8, recipient_address="Jo@example.com")
    work(world, "P3")
    more = world.add("P3", 1, recipient_address="jo@EXAMPLE.com")
    work(world, "P3")
    assert world.statuses(more) == {"pending": 1}


def test_a_recipient_may_have_a_limit_of_his_own(world):
    world.limit("recipient", "jo@example.com", max_per_minute=100)
    messages = world.add("P3", 20, recipient_address="Jo@example.com")
    work(world, "P3")
    assert world.statuses(messages) == {"sent": 20}


def test_redis_is_told_no_address(world):
    world.add("P3", 3, recipient_address="jo@example.com")
    work(world, "P3")
    assert not [key for key in world.app.redis.scan_iter() if "jo" in key and "rate" in key]


def test_custom_domains_count_for_who_runs_their_mail(world):
    world.limit("isp", "google", max_per_hour=10)
    row = {"isp": "google", "looked_up_at": sa.func.now(), "expires_at": sa.func.now() + timedelta(days=1)}
    for domain in ("shop.example", "firm.example"):
        world.execute(sa.insert(isp_domains).values(domain=domain, **row))
    world.tools.catalog.forget()
    theirs = [
        *crowd(world, "P3", 5, domain="shop.example"),
        *crowd(world, "P3", 5, domain="firm.example"),
        *crowd(world, "P3", 5, domain="gmail.com"),
    ]
    others = crowd(world, "P3", 5, domain="unknown.example")
    work(world, "P3")
    assert world.statuses(theirs) == {"sent": 8, "pending": 7}
    assert world.statuses(others) == {"sent": 5}


@pytest.mark.parametrize("priority", ["P0", "P1", "P4"])
def test_urgent_messages_go_past_a_gateway_whose_limit_is_used_up(world, priority):
    world.limit("gateway", "postal", max_per_minute=10)
    restore_counts(world.tools)
    messages = world.add(priority, 20)
    work(world, priority)
    first = {"P0": 10, "P1": 8, "P4": 9}[priority]
    assert world.statuses(messages) == {"sent": 20}
    assert world.gateways.requests("postal") == first
    assert world.gateways.requests("ses") == 20 - first


@pytest.mark.parametrize("priority", ["P2", "P3"])
def test_others_wait_for_it(world, priority):
    world.limit("gateway", "postal", max_per_minute=10)
    messages = world.add(priority, 20)
    work(world, priority)
    assert world.statuses(messages) == {"sent": 8, "pending": 12}
    assert world.gateways.requests("ses") == 0


def test_why_a_message_went_past_its_gateway_is_in_its_history(world):
    world.limit("gateway", "postal", max_per_minute=1)
    messages = world.add("P1", 2)
    work(world, "P1")
    (moved,) = [message for message in messages if "failed_over" in world.history(message)]
    event = next(event for event in world.events(moved) if event.event_type == "failed_over")
    assert event.data == {"from": "postal", "reason": "its own limit or pace is used up"}
    assert world.row(moved).attempts == 0


def test_where_all_gateways_are_used_up_urgent_messages_wait_for_the_first(world):
    world.limit("gateway", "postal", max_per_minute=10)
    world.limit("gateway", "ses", max_per_minute=10)
    messages = world.add("P4", 25)
    work(world, "P4")
    rows = [row for row in map(world.row, messages) if row.status == "pending"]
    assert world.statuses(messages) == {"sent": 18, "pending": 7}
    assert {(row.gateway, row.attempts) for row in rows} == {("postal", 0)}
    assert {row.last_error for row in rows} == {"rate limit: gateway postal"}
    assert len({row.scheduled_for for row in rows}) == 7


def test_what_a_pinned_gateway_has_no_tokens_for_waits(world):
    world.limit("gateway", "postal", max_per_minute=1)
    messages = world.add("P1", 2, gateway_pinned=True)
    work(world, "P1")
    assert world.statuses(messages) == {"sent": 1, "pending": 1}


def test_messages_do_not_go_on_to_a_gateway_that_is_ill(world):
    world.limit("gateway", "postal", max_per_minute=1)
    world.tools.breakers.trip(Channel.EMAIL, "ses", "broken", wait=timedelta(minutes=5))
    messages = world.add("P4", 3)
    work(world, "P4")
    assert world.statuses(messages) == {"sent": 1, "pending": 2}


def test_a_message_that_was_refused_uses_up_nothing_but_its_gateway_s_tokens(world):
    world.limit("domain", "slow.example", max_per_hour=100)
    world.limit("gateway", "postal", max_per_hour=100)
    world.gateways.break_("postal", "error")
    crowd(world, "P3", 3)
    work(world, "P3")
    assert used(world, per_hour=100).per_hour == 0
    assert used(world, "gateway:postal", per_hour=100).per_hour == 3


def with_the_gateway_mended(world):
    """The same world for a process that has not yet asked for paces."""
    world.gateways.mend()
    return world.with_tools(memory=Memory(seconds=1))


def too_fast(world):
    world.gateways.break_("ses", "throttle")
    world.add("P3", 20, gateway="ses")
    work(world, "P3")


def test_a_gateway_that_says_too_fast_is_sent_to_more_slowly(world, monkeypatch):
    monkeypatch.setattr(lane, "SOON", 0.0)
    too_fast(world)
    pace = world.tools.paces.all()["ses", "*"]
    assert (pace.factor < 0.6, pace.times) == (True, 1)
    (event,) = world.app.limits.events().items
    assert (event.kind, event.gateway, event.detail) == ("pace_lowered", "ses", pace.why)
    world = with_the_gateway_mended(world)
    more = world.add("P3", 200, gateway="ses")
    work(world, "P3")
    left = world.statuses(more)
    assert left["sent"] < 20
    assert left["pending"] > 180


def test_urgent_messages_take_another_way_than_a_gateway_that_is_slowed_down(world):
    too_fast(world)
    world = with_the_gateway_mended(world)
    messages = world.add("P1", 60, gateway="ses")
    work(world, "P1")
    assert world.statuses(messages) == {"sent": 60}
    assert world.gateways.requests("postal") > 40


def test_a_lowered_pace_does_not_hold_emergencies_back(world):
    too_fast(world)
    world = with_the_gateway_mended(world)
    messages = world.add("P0", 60, gateway="ses")
    work(world, "P0")
    assert world.statuses(messages) == {"sent": 60}
    assert world.gateways.requests("postal") == 0


def test_a_new_pool_sends_what_its_day_allows(world):
    world.limit(
        "ip_pool",
        "campaigns",
        max_per_day=1_000,
        warmup_first=10,
        warmup_growth="double",
        warmup_started_at=sa.func.now() - timedelta(days=1, hours=1),
    )
    messages = world.add("P3", 30, ip_pool="campaigns")
    work(world, "P3")
    # Four fifths of the second day's twenty.
    assert world.statuses(messages) == {"sent": 16, "pending": 14}


def test_a_full_window_does_not_send_all_back_at_once(world):
    world.limit("domain", "slow.example", max_per_minute=60)
    messages = [message for _ in range(4) for message in crowd(world, "P3", 100)]
    work(world, "P3")
    now = world.clock()
    times = sorted(row.scheduled_for - now for row in map(world.row, messages) if row.status == "pending")
    assert len(times) == 352
    seconds = [int(time.total_seconds()) for time in times]
    # 48 a minute are let through, so the last of 352 waits for more than seven minutes.
    assert max(Counter(seconds).values()) <= 4
    assert times[-1] > timedelta(minutes=6)


def test_without_rate_limiting_nothing_is_limited(world):
    world.limit("domain", "slow.example", max_per_hour=1)
    free = world.with_tools(tokens=None, paces=None)
    messages = crowd(free, "P3", 20)
    lane.work(free.tools, Priority.P3, sweep=False)
    assert free.statuses(messages) == {"sent": 20}


def test_a_worker_that_lost_its_claim_gives_back_what_it_did_not_use(world):
    world.limit("domain", "slow.example", max_per_hour=1000)
    crowd(world, "P3", 40)
    world.gateways.slow_down(500)

    def take_away():
        [claim] = world.claims()
        world.tools.ledger.close(claim.uuid)

    with meanwhile(lambda: world.claims() and world.gateways.requests("postal"), take_away):
        work(world, "P3")
    assert 0 < used(world, per_hour=1000).per_hour == world.gateways.accepted() < 40


def full_postal_and_ill_ses(world):
    """Let Postal's own limit be used up for an hour, while SES is believed to be ill."""
    world.limit("gateway", "postal", max_per_hour=1)
    world.one("P3")
    work(world, "P3")
    world.tools.breakers.trip(Channel.EMAIL, "ses", "it refuses everything")


def test_an_emergency_tries_a_gateway_that_is_ill_rather_than_wait_for_tokens(world):
    full_postal_and_ill_ses(world)
    message = world.one("P0", expires_at=world.clock() + timedelta(minutes=5))
    work(world, "P0")
    assert world.row(message).status == "sent"
    assert world.gateways.taken(message.uuid) == ["ses"]


def test_an_emergency_that_no_gateway_may_take_looks_again_soon(world):
    for gateway in ("postal", "ses"):
        world.limit("gateway", gateway, max_per_hour=1)
        world.one("P3", gateway=gateway, gateway_pinned=True)
    lane.work(world.tools, Priority.P3, sweep=True)
    for priority, claim in world.wake.claims:
        lane.work_claim(world.tools, priority, claim)
    message = world.one("P0", expires_at=world.clock() + timedelta(minutes=5))
    work(world, "P0")
    row = world.row(message)
    assert row.status == "pending"
    assert row.scheduled_for < world.clock() + timedelta(seconds=31)


def test_an_alert_waits_for_an_ill_gateway_where_tokens_would_come_too_late(world):
    full_postal_and_ill_ses(world)
    message = world.one("P1", expires_at=world.clock() + timedelta(minutes=5))
    work(world, "P1")
    row = world.row(message)
    assert (row.status, row.attempts) == ("pending", 0)
    assert row.scheduled_for < world.clock() + timedelta(seconds=31)


def test_an_alert_waits_for_tokens_where_they_come_in_time(world):
    world.limit("gateway", "postal", max_per_minute=1)
    world.one("P3")
    work(world, "P3")
    world.tools.breakers.trip(Channel.EMAIL, "ses", "it refuses everything")
    message = world.one("P1", expires_at=world.clock() + timedelta(minutes=15))
    work(world, "P1")
    assert world.row(message).scheduled_for > world.clock() + timedelta(seconds=40)
