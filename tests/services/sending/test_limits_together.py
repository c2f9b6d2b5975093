"""Limits that several processes share, also when Redis loses everything."""

import contextlib
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import redis
import sqlalchemy as sa

from app.db.tables import message_queue
from app.domain.vocabulary import Priority
from app.limits.tokens import Ask, Limit
from app.services import limit_counts
from app.services.sending import lane
from app.simulator.environment import environment
from tests.world import FURTHER_GATEWAYS, meanwhile, wait_for

ROOT = Path(__file__).parents[3]
SENT = sa.select(message_queue.c.priority).where(message_queue.c.status == "sent")
SLOW = Limit(key="domain:slow.example", per_minute=600)


def crowd(world, count, priority="P3"):
    return [
        row
        for first in range(0, count, 500)
        for row in world.add(priority, min(500, count - first), recipient_address="x")
    ]


def spread(world, domain="slow.example"):
    """Give each message a recipient of its own."""
    address = sa.func.concat("r", message_queue.c.id, f"@{domain}")
    fresh = message_queue.c.recipient_address == "x"
    world.execute(sa.update(message_queue).where(fresh).values(recipient_address=address))


@contextlib.contextmanager
def racers(settings, gateways, count):
    simulator = {
        name: value
        for name, value in environment(gateways.base).items()
        if not name.startswith(FURTHER_GATEWAYS)
    }
    env = {**os.environ, **simulator, "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    env |= {"GATEWAY_CONCURRENCY": "16", "LOG_LEVEL": "error"}
    command = [sys.executable, "-m", "tests.services.sending.racer", "P3"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT, "env": env}
    started = [subprocess.Popen([*command, str(number)], **pipes) for number in range(count)]
    try:
        for racer in started:
            assert racer.stdout.readline() == "ready\n"
        yield started
    finally:
        for racer in started:
            racer.stdin.close()
            racer.wait(timeout=20)
            racer.stdout.close()


def run(started, seconds):
    for racer in started:
        print(seconds, file=racer.stdin, flush=True)


def ended(started):
    for racer in started:
        assert racer.stdout.readline() == "done\n"


def tries(world):
    return world.all(sa.select(sa.func.sum(message_queue.c.tries)))[0][0]


def test_four_processes_keep_a_limit_and_use_it_though_redis_is_flushed(world, settings, gateways):
    # An hour's window: no token comes back however slow the machine is.
    world.limit("domain", "slow.example", max_per_hour=600)
    crowd(world, 1_500)
    spread(world)
    gateways.slow_down(100)
    with racers(settings, gateways, 4) as started:
        run(started, 2)
        wait_for(lambda: gateways.accepted() > 100)
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushdb()
        ended(started)
        # Those who were told to wait come later than this test.
        crowd(world, 600)
        spread(world)
        ends_at = time.monotonic() + 100
        while gateways.accepted() < 432 and time.monotonic() < ends_at:
            run(started, 1)
            ended(started)
        run(started, 1)
        ended(started)
    # Four fifths of 600 are what a campaign may use.
    assert 432 <= gateways.accepted() <= 480
    assert tries(world) - gateways.accepted() < 2 * 2_100


def flush(world):
    world.app.redis.flushdb()


def use(world, limit, count):
    world.tools.tokens.take([Ask(limits=(limit,), count=count)], Priority.P0)


def held(world, limit=SLOW):
    usage = world.tools.tokens.usage([limit])[0]
    return usage.per_minute if limit.per_minute else usage.per_day


def test_counts_that_were_kept_are_restored(world):
    day = Limit(key="domain:slow.example", per_day=1_000)
    world.limit("domain", "slow.example", max_per_day=1_000)
    limit_counts.recount(world.tools)
    use(world, day, 300)
    limit_counts.save(world.tools)
    flush(world)
    limit_counts.recount(world.tools)
    assert held(world, day) == 300


def test_what_was_sent_since_they_were_kept_is_added(world):
    world.limit("domain", "slow.example", max_per_day=1_000)
    limit_counts.recount(world.tools)
    limit_counts.save(world.tools)
    crowd(world, 7)
    spread(world)
    lane.work(world.tools, Priority.P3, sweep=False)
    flush(world)
    limit_counts.recount(world.tools)
    assert held(world, Limit(key="domain:slow.example", per_day=1_000)) == 7


def test_tokens_in_hand_are_counted_again(world):
    world.limit("domain", "slow.example", max_per_minute=600)
    limit_counts.recount(world.tools)
    use(world, SLOW, 5)
    ask = Ask(limits=(SLOW,), count=1)
    world.tools.tokens.holdings.hold([1, 2, 3], ask, world.clock())
    flush(world)
    limit_counts.recount(world.tools)
    use(world, SLOW, 1)
    assert held(world) == 4


def test_what_is_settled_is_not_counted_twice(world):
    world.limit("domain", "slow.example", max_per_minute=600)
    crowd(world, 7)
    spread(world)
    lane.work(world.tools, Priority.P3, sweep=False)
    settled = world.tools.tokens.holdings._settled
    # Clocks differ a little, so what was settled in the last second is counted to be sure.
    earlier = [(at - timedelta(seconds=5), held) for at, held in settled]
    settled.clear()
    settled.extend(earlier)
    flush(world)
    limit_counts.recount(world.tools)
    use(world, SLOW, 0)
    assert held(world) == 7


def test_recipients_are_counted_again(world):
    messages = world.add("P3", 9, recipient_address="jo@example.com")
    lane.work(world.tools, Priority.P3, sweep=False)
    assert world.statuses(messages) == {"sent": 8, "pending": 1}
    flush(world)
    more = world.add("P3", 2, recipient_address="Jo@example.com")
    lane.work(world.tools, Priority.P3, sweep=False)
    assert world.statuses(more) == {"pending": 2}


def test_lost_counts_are_not_kept_as_if_nothing_had_been_sent(world):
    day = Limit(key="domain:slow.example", per_day=1_000)
    world.limit("domain", "slow.example", max_per_day=1_000)
    limit_counts.recount(world.tools)
    use(world, day, 300)
    limit_counts.save(world.tools)
    flush(world)
    limit_counts.save(world.tools)
    limit_counts.save(world.tools)
    assert held(world, day) == 300


def test_while_others_add_theirs_only_emergencies_go(world):
    world.execute(
        sa.text(
            "INSERT INTO claims (uuid, priority, worker, state, size, lease_until)"
            " VALUES (new_uuid(), 'P2', 'another', 'sending', 1, now() + interval '1 minute')"
        )
    )
    world.limit("domain", "slow.example", max_per_minute=600)
    messages = world.add("P3", 3)
    with meanwhile(lambda: world.claims()[1:], lambda: urgent(world)):
        lane.work(world.tools, Priority.P3, sweep=False)
    assert world.statuses(messages) == {"sent": 3}
    assert {world.row(message).tries for message in messages} == {1}


def urgent(world):
    messages = world.add("P0", 3)
    lane.work(world.tools, Priority.P0, sweep=False)
    assert world.statuses(messages) == {"sent": 3}
    assert [row.priority for row in world.all(SENT)] == ["P0"] * 3
