"""Figures of gateways against what the simulated gateways counted themselves, and less for the slow."""

from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import channel_health, gateway_minutes, health_changes
from app.domain.routing import lot
from app.domain.vitals import BUCKETS, Vitals
from app.domain.vocabulary import BreakerState, Channel, Priority
from app.services.sending import lane
from app.services.upkeep.breakers import restore_breakers
from app.services.upkeep.gateways import forget_health, shift_weights, write_health
from tests.world import gateways, only, settings, world

__all__ = ["gateways", "settings", "world"]

POSTAL, SES = (Channel.EMAIL, "postal"), (Channel.EMAIL, "ses")


def work(world, priority="P3"):
    lane.work(world.tools, Priority(priority), sweep=True)


def figures(world, gateway="postal"):
    write_health(world.tools)
    return only(world.health(gateway))


def keep_minutes(world, ago, *, accepted=0, failed=0, latency=90, count=1, gateway="postal"):
    """Put `count` minutes into the history, the latest of them `ago`."""
    latencies = [0] * BUCKETS
    latencies[5] = accepted + failed
    rows = [
        {
            "channel": "email",
            "gateway": gateway,
            "minute": (world.clock() - ago - timedelta(minutes=number)).replace(second=0, microsecond=0),
            "accepted": accepted,
            "failed": failed,
            "requests": accepted + failed,
            "latency_ms": latency * (accepted + failed),
            "peak_per_sec": accepted / 10,
            "latencies": latencies,
        }
        for number in range(count)
    ]
    world.execute(sa.insert(gateway_minutes), rows)


def answer_slowly(world, milliseconds=2000, count=50, place=POSTAL):
    """Let a worker tell of answers that took so long."""
    vitals = Vitals(accepted=count)
    for _ in range(count):
        vitals.time(timedelta(milliseconds=milliseconds))
    world.tools.breakers.record(*place, good=count, faults=0, vitals=vitals)


def share(world, gateway="postal"):
    return only(world.health(gateway)).share


@pytest.fixture
def usual(world):
    """Postal has answered within 100 ms for hours."""
    keep_minutes(world, timedelta(minutes=30), accepted=60, count=120)
    write_health(world.tools)
    return only(world.health("postal")).usual_p95_ms


def let_pass(world, length):
    """Let a gateway have had its share for longer."""
    since = channel_health.c.share_changed_at
    world.execute(sa.update(channel_health).values(share_changed_at=since - length))


def test_figures_are_what_the_gateway_counted(world):
    world.gateways.break_("postal", "error", share=0.05)
    world.add("P3", 80)
    work(world)
    counts = world.gateways.control("GET", "counts")["gateways"]["postal"]
    taken, refused = sum(counts["accepted"].values()), sum(counts["refused"].values())
    row = figures(world)
    assert taken
    assert refused
    assert row.success_rate_1h == pytest.approx(taken / (taken + refused))
    kept = world.all(sa.select(sa.func.sum(gateway_minutes.c.accepted), sa.func.sum(gateway_minutes.c.failed),
                               sa.func.sum(gateway_minutes.c.requests))
                     .where(gateway_minutes.c.gateway == "postal"))  # fmt: skip
    assert [int(count) for count in only(kept)] == [taken, refused, taken + refused]
    assert row.last_failure_at is not None


def test_messages_of_one_request_count_each_and_the_request_once(world):
    world.add("P3", 12, gateway="ses", gateway_pinned=True)
    work(world)
    figures(world)
    row = only(world.all(sa.select(gateway_minutes).where(gateway_minutes.c.gateway == "ses")))
    assert row.accepted == 12
    assert row.requests == sum(row.latencies) == world.gateways.requests("ses") or row.requests < 12


def test_latencies_are_those_of_the_answers(world):
    world.gateways.slow_down(120)
    world.add("P3", 30)
    work(world)
    row = figures(world)
    assert row.avg_latency_ms >= 120
    assert 100 <= row.p50_latency_ms <= row.p95_latency_ms <= row.p99_latency_ms < 1500


def test_the_rate_is_that_of_the_last_minute_and_the_peak_that_of_ten_seconds(world):
    answer_slowly(world, 10, count=120)
    row = figures(world)
    assert (row.current_rate_per_sec, row.max_rate_per_sec) == (2.0, 12.0)


def test_the_hour_and_the_day_are_told_apart(world):
    keep_minutes(world, timedelta(hours=3), accepted=100, failed=100)
    keep_minutes(world, timedelta(hours=25), failed=1000)
    keep_minutes(world, timedelta(minutes=20), accepted=100)
    row = figures(world)
    assert row.success_rate_1h == 1.0
    assert row.success_rate_24h == pytest.approx(2 / 3)


def test_an_empty_redis_takes_nothing_from_the_day(world):
    world.add("P3", 20)
    work(world)
    figures(world)
    world.app.redis.flushall()
    world.add("P3", 5)
    work(world)
    figures(world)
    kept = world.all(sa.select(sa.func.sum(gateway_minutes.c.accepted)))
    # What Redis counts in the minute that was kept already is less than that: it is no second minute.
    assert 20 <= int(only(kept)[0]) <= 25
    assert only(world.health("postal")).success_rate_24h == 1.0


def test_writing_twice_counts_nothing_twice(world):
    world.add("P3", 20)
    work(world)
    figures(world)
    figures(world)
    assert int(only(world.all(sa.select(sa.func.sum(gateway_minutes.c.accepted))))[0]) == 20


def test_a_gateway_that_was_not_used_has_no_figures(world):
    row = figures(world, "ses")
    assert (row.success_rate_1h, row.avg_latency_ms, row.p95_latency_ms) == (None, None, None)


def test_a_breaker_that_opens_has_its_figures_and_its_time_written_down_at_once(world):
    world.gateways.break_("postal", "refuse")
    world.add("P3", 5)
    work(world)
    row = only(world.health("postal"))
    assert row.success_rate_1h == 0.0
    standing = world.tools.breakers.states([POSTAL])[POSTAL]
    assert abs(row.breaker_until - standing.retry_at) < timedelta(milliseconds=5)


def test_after_redis_was_lost_a_breaker_is_open_until_the_time_it_had(world):
    world.gateways.break_("postal", "refuse")
    world.add("P3", 5)
    work(world)
    until = world.tools.breakers.states([POSTAL])[POSTAL].retry_at
    world.app.redis.flushall()
    restore_breakers(world.tools)
    restored = world.tools.breakers.states([POSTAL])[POSTAL]
    assert restored.state is BreakerState.OPEN
    assert abs(restored.retry_at - until) < timedelta(milliseconds=5)


def test_a_slow_gateway_gets_less_before_it_fails(world, usual):
    assert 75 <= usual <= 100
    answer_slowly(world)
    shift_weights(world.tools)
    assert share(world) == 0.5
    messages = world.add("P3", 60)
    work(world)
    taken = Counter(only(world.gateways.taken(message.uuid)) for message in messages)
    assert 15 <= taken["postal"] <= 45
    assert taken["ses"] == 60 - taken["postal"]
    assert world.tools.breakers.states([POSTAL])[POSTAL].state is BreakerState.CLOSED


@pytest.mark.usefixtures("usual")
def test_a_weight_is_given_time_to_show_before_the_next_step(world, monkeypatch):
    told = []
    monkeypatch.setattr(world.tools.catalog, "_tell", lambda: told.append(True))
    answer_slowly(world)
    assert shift_weights(world.tools) == "postal 50%"
    answer_slowly(world)
    assert shift_weights(world.tools) == ""
    assert len(told) == 1
    let_pass(world, timedelta(seconds=30))
    assert shift_weights(world.tools) == "postal 25%"


@pytest.mark.usefixtures("usual")
def test_weights_go_down_and_come_back_by_steps(world):
    def shifted(milliseconds):
        answer_slowly(world, milliseconds)
        shift_weights(world.tools)
        let_pass(world, timedelta(seconds=30))
        return share(world)

    assert [shifted(2000) for _ in range(4)] == [0.5, 0.25, 0.1, 0.1]
    world.app.redis.flushall()
    assert [shifted(60) for _ in range(7)] == [0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.0]


@pytest.mark.usefixtures("usual")
def test_each_shift_is_told_with_its_reason(world):
    answer_slowly(world)
    shift_weights(world.tools)
    change = only(world.app.gateway_control.changes(gateway="postal").items)
    assert (change.kind, change.before, change.after) == ("share", "100%", "50%")
    assert "usual" in change.reason


@pytest.mark.usefixtures("usual")
def test_a_message_stays_with_its_lot_when_it_is_tried_again(world):
    answer_slowly(world)
    shift_weights(world.tools)
    made = world.all(sa.text("SELECT new_uuid() FROM generate_series(1, 100)"))
    drawn = [uuid for (uuid,) in made if lot(uuid)("share of postal") < 0.5][:3]
    world.gateways.break_("postal", "error")
    messages = [world.one("P3", uuid=uuid) for uuid in drawn]
    work(world)
    assert world.statuses(messages) == {"pending": 3}
    world.gateways.mend()
    for message in messages:
        world.change(message, scheduled_for=world.clock() - timedelta(seconds=1))
    work(world)
    assert [world.gateways.taken(message.uuid) for message in messages] == [["postal"]] * 3


def test_what_is_old_is_forgotten(world):
    keep_minutes(world, timedelta(days=9), accepted=1, count=3)
    keep_minutes(world, timedelta(days=7), accepted=1)
    assert forget_health(world.tools) == 3


def test_what_became_of_gateways_is_remembered_for_a_year(world):
    for days in (300, 500):
        change = {"channel": "email", "gateway": "postal", "kind": "probe", "before": "a", "after": "b"}
        at = world.clock() - timedelta(days=days)
        world.execute(sa.insert(health_changes).values(**change, reason=f"{days} days ago", at=at))
    assert forget_health(world.tools) == 1
    assert only(world.all(sa.select(health_changes.c.reason))).reason == "300 days ago"
