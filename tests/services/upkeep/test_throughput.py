"""Charts of what goes through: each event counted once, in its minute and its hour."""

from datetime import UTC, datetime, timedelta

import pytest

from app import settings as config
from app.bootstrap import build
from app.db.sql import run
from app.domain.vocabulary import Priority
from app.queue import PACKAGE
from app.services.deliveries import count_deliveries
from app.services.throughput import Span, forget_throughput, lane_rates, read_throughput

RATES = ("gateway_rates", "lane_rates")


@pytest.fixture
def app(database_url, redis_url):
    app = build(config.load(_env_file=None, database_url=database_url, redis_url=redis_url), "test")
    yield app
    app.engine.dispose()


@pytest.fixture
def told(app):
    """Writes events that happened so long ago."""

    def told(kind, *, ago, priority="P3", count=1, source="worker"):
        with app.engine.begin() as conn:
            conn.exec_driver_sql(
                "INSERT INTO delivery_events (message_id, priority, event_type, gateway, source, recorded_at)"
                " SELECT 1, %s, %s, 'postal', %s, now() - %s FROM generate_series(1, %s)",
                (priority, kind, source, ago, count),
            )

    return told


def now():
    return datetime.now(UTC)


def test_each_event_is_in_one_minute_and_one_hour(app, told):
    told("queued", ago=timedelta(minutes=10), count=5)
    told("sent", ago=timedelta(minutes=10), count=4)
    told("sent", ago=timedelta(minutes=10), priority="P1", count=2)
    for _ in range(2):
        count_deliveries(app.tools)
    for span in Span:
        found = read_throughput(app.engine, span, now=now())
        assert (found.total("queued"), found.total("sent")) == (5, 6), span
        assert sum(each.by_priority.get("P1", 0) for each in found.slices) == 2


def test_what_a_gateway_says_that_it_sends_is_not_counted_a_second_time(app, told):
    told("sent", ago=timedelta(minutes=4), count=3)
    told("sent", ago=timedelta(minutes=4), count=3, source="postal")
    told("sent", ago=timedelta(minutes=4), source="ledger")
    for _ in range(2):
        count_deliveries(app.tools)
    assert read_throughput(app.engine, Span.HOUR, now=now()).total("sent") == 4
    with app.engine.connect() as conn:
        parameters = {"window": timedelta(hours=1), "counted": 1_000}
        sent = {name: run(conn, PACKAGE, name, parameters).one().sent for name in RATES}
    assert sent == {"gateway_rates": 4, "lane_rates": 4}


def test_a_chart_has_a_slice_for_each_step_whether_something_was_sent_or_not(app):
    lengths = {span: len(read_throughput(app.engine, span, now=now()).slices) for span in Span}
    assert lengths == {Span.HOUR: 60, Span.DAY: 96, Span.MONTH: 30}


def test_what_happened_in_the_minute_before_last_is_in_its_own_slice(app, told):
    told("sent", ago=timedelta(minutes=20))
    count_deliveries(app.tools)
    slices = read_throughput(app.engine, Span.HOUR, now=now()).slices
    (filled,) = (each for each in slices if each.by_status.get("sent"))
    assert timedelta(minutes=19) < now() - filled.at < timedelta(minutes=22)


def test_minutes_go_after_a_day_and_hours_stay_for_a_month(app):
    with app.engine.begin() as conn:
        conn.exec_driver_sql(
            "INSERT INTO throughput SELECT grain, now() - age, 'P3', 0, 1, 0, 0, 0, 0 FROM (VALUES"
            " ('minute', interval '2 days'), ('hour', interval '2 days'),"
            " ('hour', interval '40 days')) AS a (grain, age)"
        )
    assert forget_throughput(app.tools) == 2
    assert read_throughput(app.engine, Span.MONTH, now=now()).total("sent") == 1


def test_a_lanes_rate_is_what_went_out_in_the_last_ten_seconds(app, told):
    told("sent", ago=timedelta(seconds=2), count=20)
    told("sent", ago=timedelta(seconds=30), count=500)
    told("sent", ago=timedelta(seconds=1), priority="P0", count=5)
    told("delivered", ago=timedelta(seconds=1), count=50)
    rates = lane_rates(app.engine)
    assert (rates[Priority.P3], rates[Priority.P0], rates[Priority.P1]) == (2.0, 0.5, 0.0)
