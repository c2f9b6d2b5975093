"""Figures of all processes that share a directory add up, and those of the dead about the present go."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from prometheus_client import Histogram
from prometheus_client.parser import text_string_to_metric_families

from app.domain.lanes import LANES
from app.domain.vocabulary import Channel, Priority
from app.services import message_metrics
from app.services.gauges import TABLE, Gauges
from app.services.metrics import exposition

COUNT = "from app.services.metrics import count_request; count_request('/v1/messages', 202)"
SHOW = "from app.services.metrics import exposition; print(exposition().decode())"
STAFF = (
    "from app.services.metrics import tell_staffing; from app.domain.vocabulary import Priority;"
    "tell_staffing(Priority.P1, 5, 5, 5, 1)"
)
CLAIM = (
    "from app.services.message_metrics import count_claimed; from app.domain.vocabulary import Priority;"
    "count_claimed(Priority.P1, 7)"
)


def run(code, directory):
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    return done.stdout.decode()


def test_what_two_processes_counted_adds_up_in_a_third(tmp_path):
    run(COUNT, tmp_path)
    run(f"{COUNT}; {CLAIM}", tmp_path)
    shown = run(SHOW, tmp_path)
    assert 'tocsin_requests_total{route="/v1/messages",status="2xx"} 2.0' in shown
    assert 'tocsin_messages_claimed_total{priority="P1"} 7.0' in shown


def test_what_a_process_said_of_the_present_goes_with_it_and_what_it_counted_stays(tmp_path):
    said = run(f"{STAFF}; {CLAIM}; {SHOW}", tmp_path)
    assert 'tocsin_workers_running{priority="P1"} 5.0' in said
    later = run(SHOW, tmp_path)
    assert "tocsin_workers_running{" not in later
    assert 'tocsin_messages_claimed_total{priority="P1"} 7.0' in later


def test_many_values_at_once_come_to_what_one_after_the_other_do():
    seconds = [0.0, 0.004, 0.005, 0.2, 31.0, -1.0]
    one = Histogram("one_by_one", "Here", buckets=(0.005, 1.0, 30.0), registry=None)
    many = Histogram("at_once", "Here", buckets=(0.005, 1.0, 30.0), registry=None)
    for value in seconds:
        one.observe(max(value, 0.0))
    message_metrics._observe(many, seconds)

    def told(histogram):
        return [
            (s.name.split("_")[-1], s.labels, s.value)
            for m in histogram.collect()
            for s in m.samples
            if not s.name.endswith("_created")
        ]

    assert told(many) == told(one)


MADE = datetime(2026, 5, 1, 12, tzinfo=UTC)


def message(**changes):
    milliseconds = int(MADE.timestamp() * 1000)
    fields = {
        "uuid": UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62),
        "scheduled_for": MADE,
        "expires_at": MADE + timedelta(hours=24),
    }
    return SimpleNamespace(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({}, MADE),
        # Scheduled for tomorrow: nobody waits for it today.
        (
            {"scheduled_for": MADE + timedelta(days=1), "expires_at": MADE + timedelta(days=2)},
            MADE + timedelta(days=1),
        ),
        # Tried again in an hour: it has been waited for from the beginning.
        ({"scheduled_for": MADE + timedelta(hours=1)}, MADE),
        # The caller wanted it within an hour.
        ({"expires_at": MADE + timedelta(hours=1)}, MADE),
    ],
)
def test_a_message_is_waited_for_from_when_its_limit_counts(changes, due):
    assert message_metrics.due_at(message(**changes), LANES[Priority.P3]) == due.timestamp()


def test_a_messages_time_is_in_its_uuid(world):
    row = world.one()
    lag = datetime.now(UTC) - message_metrics.accepted_at(world.row(row))
    assert timedelta(0) <= lag + timedelta(milliseconds=2) < timedelta(seconds=10)


def figures(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_figure_that_is_looked_up_is_there_and_tells_the_truth(world):
    world.add("P1", 3)
    world.app.breakers.trip(Channel.EMAIL, "postal", "ill")
    found = figures(exposition(Gauges(world.app.scene)).decode())
    assert found["tocsin_queue_due_messages", (("priority", "P1"),)] == 3
    assert found["tocsin_queue_oldest_age_seconds", (("priority", "P1"),)] >= 1
    assert found["tocsin_queue_limit_seconds", (("priority", "P0"),)] == 300
    assert found["tocsin_breaker_state", (("channel", "email"), ("gateway", "postal"))] == 2
    assert found["tocsin_scheduler_leads", ()] == 0
    missing = [
        labels for (name, labels), value in found.items() if name == "tocsin_figures_missing" and value
    ]
    assert missing == []


def test_they_are_not_looked_up_again_within_ten_seconds(world):
    clock = iter([0.0, 0.0, 9.0, 11.0, 11.0])
    gauges = Gauges(world.app.scene, clock=lambda: next(clock))

    def due():
        (family,) = [each for each in gauges.collect() if each.name == "tocsin_queue_due_messages"]
        return {sample.labels["priority"]: sample.value for sample in family.samples}["P4"]

    assert due() == 0
    world.add("P4", 2)
    assert due() == 0
    assert due() == 2


def test_without_redis_the_other_figures_are_there(world, outages):
    gauges = Gauges(world.app.scene)
    with outages.without_valkey():
        found = figures(exposition(gauges).decode())
    assert found["tocsin_figures_missing", (("part", "breakers"),)] == 1
    assert found["tocsin_figures_missing", (("part", "queue"),)] == 0


def test_names_are_as_prometheus_wants_them():
    for name in TABLE:
        assert re.fullmatch(r"tocsin_[a-z_]+", name)
        assert not name.endswith("_total")
