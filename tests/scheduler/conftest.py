"""Schedulers of one database, each with tools and connections of its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.bootstrap import build
from app.wake import NoWake
from scheduler.leadership import Leadership
from scheduler.runner import Runner
from tests.given import Given


class Time:
    """A clock that stands until a test moves it."""

    def __init__(self):
        self.now = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)

    def __call__(self):
        return self.now

    def pass_(self, **length):
        self.now += timedelta(**length)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def make_tools(database_url, redis_url, time):
    apps = []

    def make(*, now=time):
        configured = Given(database_url=database_url, redis_url=redis_url)
        apps.append(build(configured, "test", connections=6))
        return replace(apps[-1].tools, wake=NoWake(), now=now)

    yield make
    for app in apps:
        app.engine.dispose()


@pytest.fixture
def tools(make_tools):
    return make_tools()


@pytest.fixture
def leader(tools):
    leadership = Leadership(tools.engine, "leader", lease=timedelta(seconds=30))
    leadership.renew()
    return leadership


@pytest.fixture
def runner(tools, leader):
    return Runner(tools, leader)


@pytest.fixture
def runs(tools):
    """What is written down of runs: job, slot, holder, result; None while it runs."""

    def read():
        query = "SELECT job, slot, holder, result FROM job_runs ORDER BY slot, job"
        with tools.once.connect() as conn:
            return [tuple(row) for row in conn.execute(sa.text(query))]

    return read
