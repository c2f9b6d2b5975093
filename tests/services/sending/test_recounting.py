"""Counting anew what limits had counted: no more is read than has to be, by one process, in bounded steps."""

import contextlib
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from app.db.tables import delivery_events, rate_limits, rate_windows
from app.domain.vocabulary import Priority
from app.errors import Unavailable
from app.limits.tokens import Ask, Limit
from app.services import limit_counts
from app.services.audit import Who
from app.services.limit_rows import LimitType
from app.services.sending import lane
from tests.services.sending.test_limits_together import ROOT
from tests.world import wait_for

ANN = Who(actor="ann", origin="192.0.2.1")
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
BY_HOUR = Limit(key="domain:example.com", per_hour=1_000)
BY_DAY = Limit(key="domain:example.com", per_day=1_000)
# What whoever counts holds meanwhile.
LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('recount limits', 0))")
WAITING = sa.text(
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def bare(world):
    """A world without the limits that every system begins with."""
    world.execute(sa.delete(rate_limits))
    world.tools.catalog.forget()
    return world


@pytest.fixture
def reads(world):
    """The stretches of time of which tries were read, by statement."""
    found = []

    def note(_conn, _cursor, statement, parameters, *_):
        if "FROM delivery_events" in statement and "until" in parameters:
            found.append((statement, parameters["since"], parameters["until"]))

    sa.event.listen(world.tools.engine, "before_cursor_execute", note)
    yield found
    sa.event.remove(world.tools.engine, "before_cursor_execute", note)


def tries(reads):
    return [(since, until) for statement, since, until in reads if "AS reached" in statement]


def sent(world, ago, count=1):
    """Let messages have been sent so long ago, as far as PostgreSQL knows."""
    messages = world.add("P3", count, status="sent", sent_at=datetime.now(UTC) - ago)
    rows = [
        {
            "message_id": message.id,
            "priority": "P3",
            "event_type": "sent",
            "gateway": "postal",
            "source": "worker",
            "recorded_at": datetime.now(UTC) - ago,
        }
        for message in messages
    ]
    world.execute(sa.insert(delivery_events), rows)


def held(world, limit):
    usage = world.tools.tokens.usage([limit])[0]
    return usage.per_hour if limit.per_hour else usage.per_day


# No more than has to be


def test_without_limits_no_tries_are_read(bare, reads):
    limit_counts.recount(bare.tools)
    assert reads == []


def test_no_further_back_is_read_than_a_window_reaches(bare, reads):
    bare.limit("domain", "example.com", max_per_minute=100)
    begun_at = datetime.now(UTC)
    limit_counts.recount(bare.tools)
    assert begun_at - 62 * SECOND < min(since for since, _ in tries(reads)) < begun_at - 59 * SECOND


def test_what_was_kept_is_not_read_again(bare, reads):
    bare.limit("domain", "example.com", max_per_day=1_000)
    limit_counts.recount(bare.tools)
    limit_counts.save(bare.tools)
    reads.clear()
    bare.app.redis.flushdb()
    limit_counts.recount(bare.tools)
    assert min(since for since, _ in tries(reads)) == bare.all(sa.select(rate_windows.c.saved_at))[0][0]


def test_what_was_kept_too_long_ago_is_of_no_use(bare, reads):
    bare.limit("domain", "example.com", max_per_minute=100)
    limit_counts.recount(bare.tools)
    limit_counts.save(bare.tools)
    bare.execute(sa.update(rate_windows).values(saved_at=sa.func.now() - HOUR))
    reads.clear()
    bare.app.redis.flushdb()
    begun_at = datetime.now(UTC)
    limit_counts.recount(bare.tools)
    assert min(since for since, _ in tries(reads)) > begun_at - 62 * SECOND


def test_a_limit_that_is_new_since_others_were_kept_looks_back_an_hour(bare, reads):
    bare.limit("domain", "gmail.com", max_per_day=1_000)
    limit_counts.recount(bare.tools)
    limit_counts.save(bare.tools)
    bare.limit("domain", "example.com", max_per_day=1_000)
    sent(bare, 30 * MINUTE, 3)
    reads.clear()
    bare.app.redis.flushdb()
    begun_at = datetime.now(UTC)
    limit_counts.recount(bare.tools)
    assert min(since for since, _ in tries(reads)) > begun_at - HOUR - 10 * SECOND
    assert held(bare, BY_DAY) == 3


def test_a_stretch_is_short_and_grows_while_that_is_quick(bare, reads):
    bare.limit("domain", "example.com", max_per_hour=1_000)
    for ago in (SECOND, 7 * SECOND, 10 * MINUTE, 50 * MINUTE, 2 * HOUR):
        sent(bare, ago)
    limit_counts.recount(bare.tools)
    # The newest comes first; what went while this was read comes last.
    *stretches, _meanwhile = tries(reads)
    first = stretches[0][1] - stretches[0][0]
    assert first == 5 * SECOND
    assert 5 < len(stretches) < 20
    assert [since for since, _ in stretches[:-1]] == [until for _, until in stretches[1:]]
    assert held(bare, BY_HOUR) == 4


def test_counts_that_somebody_reset_do_not_come_back(bare):
    bare.limit("domain", "example.com", max_per_day=1_000)
    limit_counts.recount(bare.tools)
    sent(bare, 10 * MINUTE, 5)
    bare.app.limits.reset(ANN, LimitType.DOMAIN, "example.com", why="counted wrong")
    bare.app.redis.flushdb()
    limit_counts.recount(bare.tools)
    assert held(bare, BY_DAY) == 0


def test_no_reset_of_all_is_undone_either(bare):
    bare.limit("domain", "example.com", max_per_day=1_000)
    limit_counts.recount(bare.tools)
    sent(bare, 10 * MINUTE, 5)
    bare.app.limits.reset_all(ANN, why="counted wrong")
    bare.app.redis.flushdb()
    limit_counts.recount(bare.tools)
    assert held(bare, BY_DAY) == 0


def test_what_goes_while_it_is_counted_is_counted_too(bare, monkeypatch):
    bare.limit("domain", "example.com", max_per_hour=1_000)
    read_on = limit_counts.Tally.read_on

    def slowly(tally, conn, until):
        found = read_on(tally, conn, until)
        if not counted:
            counted.append(found)
            sent(bare, timedelta(0), 2)
        return found

    counted = []
    monkeypatch.setattr(limit_counts.Tally, "read_on", slowly)
    limit_counts.recount(bare.tools)
    assert held(bare, BY_HOUR) == 2


def test_a_day_s_tries_are_few_figures_for_each_window(bare, monkeypatch):
    limit = Limit(key="domain:example.com", per_minute=100, per_day=100_000)
    now = datetime.now(UTC)
    asked = []
    monkeypatch.setattr(bare.tools.tokens, "_count", lambda *arguments: asked.append(arguments[1][0]))
    bare.tools.tokens.recount(
        {limit: [(now - n * SECOND, 1) for n in range(86_400)]},
        {},
        snapshot=now,
        settling=timedelta(0),
    )
    assert max(map(len, asked)) < 10_000


def test_an_empty_system_is_not_warned_of(world):
    with capture_logs() as logs:
        limit_counts.recount(world.tools)
    assert [entry["log_level"] for entry in logs] == ["info"]


def test_a_system_that_has_lost_something_is(bare):
    bare.limit("domain", "example.com", max_per_hour=1_000)
    sent(bare, MINUTE)
    with capture_logs() as logs:
        limit_counts.recount(bare.tools)
    assert [entry["log_level"] for entry in logs] == ["warning"]


# By one process at a time


@contextlib.contextmanager
def another_counts(world):
    with world.tools.engine.begin() as conn:
        conn.execute(LOCK)
        yield


def test_only_one_process_counts_anew(world):
    with another_counts(world):
        assert not limit_counts.recount(world.tools)
    assert limit_counts.recount(world.tools)


def test_who_comes_when_it_is_done_does_not_count_again(bare, reads):
    bare.limit("domain", "example.com", max_per_hour=1_000)
    limit_counts.recount(bare.tools)
    reads.clear()
    assert limit_counts.recount(bare.tools)
    assert reads == []


def test_while_another_counts_campaigns_wait_and_emergencies_go(world):
    campaign, emergency = world.one("P3"), world.one("P0")
    sending = threading.Thread(target=lane.work, args=(world.tools, Priority.P3), kwargs={"sweep": True})
    with another_counts(world):
        sending.start()
        wait_for(lambda: world.row(campaign).status == "processing")
        lane.work(world.tools, Priority.P0, sweep=True)
        assert world.row(emergency).status == "sent"
        assert world.gateways.taken(campaign.uuid) == []
    sending.join()
    assert world.row(campaign).status == "sent"


COUNT = """
from app import settings
from app.bootstrap import build
from app.services.limit_counts import recount

recount(build(settings.load(_env_file=None, database_url={!r}, redis_url={!r}), "counting").tools)
"""


def test_a_process_that_dies_while_it_counts_leaves_it_to_others_at_once(world, settings):
    code = COUNT.format(settings.database_url, settings.redis_url)
    with world.tools.engine.begin() as conn:
        # So that the other process waits for a statement, which does not show that nobody waits for it.
        conn.execute(sa.text("LOCK TABLE rate_windows IN ACCESS EXCLUSIVE MODE"))
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as other:
            try:
                wait_for(lambda: world.all(WAITING))
                assert not begins(world)
            finally:
                other.kill()
        killed_at = time.monotonic()
        wait_for(lambda: begins(world))
        assert time.monotonic() - killed_at < 5


def begins(world):
    with world.tools.engine.begin() as conn:
        return limit_counts._begins(conn)


def test_a_statement_that_takes_too_long_is_given_up_and_others_may_try(world, monkeypatch):
    monkeypatch.setattr(limit_counts, "_PATIENCE", timedelta(milliseconds=200))
    with world.tools.engine.begin() as conn:
        conn.execute(sa.text("LOCK TABLE rate_windows IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(Unavailable):
            limit_counts.recount(world.tools)
    assert limit_counts.recount(world.tools)


def test_an_outage_of_postgresql_in_the_middle_leaves_the_counts_lost(bare, monkeypatch):
    bare.limit("domain", "example.com", max_per_hour=1_000)
    ask = Ask(limits=(BY_HOUR,), count=1)
    monkeypatch.setattr(limit_counts, "_others_send", _fails)
    with pytest.raises(Unavailable):
        limit_counts.recount(bare.tools)
    with pytest.raises(Unavailable):
        bare.tools.tokens.take([ask], Priority.P3)
    monkeypatch.undo()
    limit_counts.recount(bare.tools)
    assert bare.tools.tokens.take([ask], Priority.P3)[0].taken == 1


def _fails(*_):
    raise Unavailable("PostgreSQL is gone")
