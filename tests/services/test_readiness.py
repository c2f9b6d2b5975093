"""Readiness by age and progress: whether what was accepted gets on."""

import pytest

from app.db.engine import make_engine
from app.domain.lanes import LANES
from app.services.readiness import progress
from tests.services.upkeep.conftest import Table


@pytest.fixture
def engine(database_url):
    engine = make_engine(database_url, pool=2, name="test")
    yield engine
    engine.dispose()


@pytest.fixture
def table(database_url):
    table = Table(database_url)
    yield table
    table.conn.close()


@pytest.fixture
def failing(engine, table):
    """Names what does not get on, on a system whose jobs tick."""
    table("INSERT INTO job_runs (job, slot, holder) VALUES ('dispatch urgent', now(), 'me')")

    def failing():
        return {name: check.detail for name, check in progress(engine, LANES).items() if not check.ok}

    return failing


CLAIM = (
    "INSERT INTO claims (uuid, priority, size, worker, state, lease_until)"
    " VALUES (new_uuid(), 'P0', 1, 'w', 'sending', now() + interval '20 s')"
)


def test_where_nothing_waits_all_is_well(failing):
    assert failing() == {}


def test_an_emergency_that_nobody_claims_is_said_so_long_before_its_limit(failing, table):
    table.messages("P0", scheduled_for="now() - interval '10 s'")
    assert failing() == {}
    table.messages("P0", scheduled_for="now() - interval '40 s'")
    assert "no worker" in failing()["emergencies"]
    table(CLAIM)
    assert failing() == {}


def test_an_emergency_beyond_its_limit_is_too_late_whoever_works(failing, table):
    table(CLAIM)
    table.messages("P0", scheduled_for="now() - interval '301 s'")
    assert "longer than its limit" in failing()["emergencies"]


def test_other_lanes_may_wait(failing, table):
    table.messages("P3", scheduled_for="now() - interval '1 h'")
    assert failing() == {}


def test_webhooks_without_effect_are_said_so(failing, table):
    table.inbox(age="30 s")
    table.inbox(age="1 h", processed=True)
    assert failing() == {}
    table.inbox(age="90 s")
    table("DELETE FROM webhook_inbox WHERE received_at > now() - interval '60 s'")
    assert "90 s" in failing()["inbox"]


def test_jobs_that_do_not_tick_are_said_so(failing, table):
    table("UPDATE job_runs SET started_at = now() - interval '20 s'")
    assert failing().keys() == {"scheduler"}
    table("DELETE FROM job_runs")
    assert failing().keys() == {"scheduler"}


def test_a_database_that_is_away_is_the_only_thing_that_is_said():
    away = make_engine("postgresql://nobody@127.0.0.1:1/none", pool=1, name="test")
    assert [(name, check.ok) for name, check in progress(away, LANES).items()] == [("database", False)]
