"""Old months of the event log: taken out and dropped, while everybody goes on."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from app.services.upkeep.partitions import drop_old_events

QUARTER = timedelta(days=93)
MONTHS = 'SELECT to_char(now() - make_interval(months => %s), \'"y"YYYY"m"MM\')'
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def owner(owner_url):
    with psycopg.connect(owner_url.replace("+psycopg", ""), autocommit=True) as owner:
        yield owner


@pytest.fixture
def month(table, owner):
    """Makes the log's partition of some months ago, with an event in it; gives its name."""

    def month(ago):
        name = "delivery_events_" + table.one(MONTHS, ago)
        first = f"date_trunc('month', now() AT TIME ZONE 'UTC') - interval '{ago} months'"
        start, end = owner.execute(f"SELECT {first}, {first} + interval '1 month'").fetchone()
        owner.execute(
            f"CREATE TABLE {name} PARTITION OF delivery_events FOR VALUES FROM ('{start}+00') TO ('{end}+00')"
        )
        table(
            "INSERT INTO delivery_events (message_id, priority, event_type, source, recorded_at)"
            f" VALUES ({ago}, 'P3', 'queued', 'api', '{start}+00'::timestamptz + interval '1 day')"
        )
        return name

    return month


def kept(table):
    return [row[0] for row in table("SELECT message_id FROM delivery_events ORDER BY 1")]


def test_months_that_ended_long_ago_go_and_others_stay(table, tools, month, owner_url):
    # Of the third month before this one, some days are younger than a quarter.
    names = [month(ago) for ago in (12, 5, 3, 1)]
    assert drop_old_events(tools, QUARTER, owner_url).split() == names[:2]
    assert kept(table) == [1, 3]
    assert table.one("SELECT count(*) FROM pg_class WHERE relname = ANY (%s)", names) == 2
    assert drop_old_events(tools, QUARTER, owner_url) == ""


def test_the_application_itself_may_not_and_says_what_it_takes(table, tools, month, database_url):
    month(12)
    assert "MIGRATION_DATABASE_URL" in drop_old_events(tools, QUARTER, database_url)
    assert kept(table) == [12]


def test_events_are_read_and_written_while_an_old_month_waits_for_a_reader(
    table, tools, month, owner_url, eventually
):
    name = month(12)
    reader, watcher = (psycopg.connect(owner_url.replace("+psycopg", "")) for _ in range(2))
    watcher.autocommit = True
    reader.execute("SELECT count(*) FROM delivery_events")
    with ThreadPoolExecutor(1) as pool:
        dropping = pool.submit(drop_old_events, tools, QUARTER, owner_url)
        eventually(lambda: watcher.execute(WAITING).fetchone()[0] == 1)
        table("SET statement_timeout = '2s'")
        table.event(7, "P3", "queued")
        assert 7 in kept(table)
        reader.rollback()
        assert dropping.result(timeout=20) == name
    reader.close()
    watcher.close()
    assert kept(table) == [7]


def test_what_was_broken_off_is_finished(tools, month, owner, owner_url):
    pending, detached = month(13), month(12)
    owner.execute(f"ALTER TABLE delivery_events DETACH PARTITION {detached} CONCURRENTLY")
    with psycopg.connect(owner_url.replace("+psycopg", "")) as reader:
        reader.execute("SELECT count(*) FROM delivery_events")
        owner.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            owner.execute(f"ALTER TABLE delivery_events DETACH PARTITION {pending} CONCURRENTLY")
    assert drop_old_events(tools, QUARTER, owner_url).split() == [pending, detached]
    assert owner.execute("SELECT count(*) FROM delivery_events").fetchone() == (0,)
