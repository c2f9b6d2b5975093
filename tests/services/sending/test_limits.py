"""Limits by domain, gateway and pool: who waits, for how long, and at whose cost."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import rate_limits
from app.domain.vocabulary import Priority
from app.limits.tokens import Limit
from app.services.sending import lane
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
    assert {row.last_error for row in waiting} == {"rate limit"}


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


def test_an_alert_that_cannot_wait_so_long_expires(world):
    world.limit("domain", "slow.example", max_per_hour=1)
    end = world.clock() + timedelta(minutes=1)
    messages = [
        world.one("P1", recipient_address=f"r{number}@slow.example", expires_at=end) for number in range(2)
    ]
    work(world, "P1")
    assert world.statuses(messages) == {"sent": 1, "expired": 1}


def test_an_emergency_is_counted_but_waits_for_no_domain(world):
    world.limit("domain", "slow.example", max_per_hour=1)
    restore_counts(world.tools)
    messages = crowd(world, "P0", 4)
    work(world, "P0")
    assert world.statuses(messages) == {"sent": 4}
    assert used(world, per_hour=1).per_hour == 4


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
    assert used(world, per_day=100).per_day == 16


def test_tokens_of_a_gateway_that_went_ill_are_returned(world):
    world.limit("gateway", "postal", max_per_day=100)
    world.gateways.break_("postal", "refuse")
    messages = world.add("P3", 40)
    work(world, "P3")
    tried = world.statuses(messages)["pending"]
    assert used(world, "gateway:postal", per_day=100).per_day == tried
