"""The jobs by which the system looks at itself."""

from datetime import timedelta

import pytest

from app.bootstrap import build
from app.settings import load
from scheduler.jobs import SELDOM, WATCHING, watching_jobs

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def app(database_url, redis_url):
    app = build(load(_env_file=None, database_url=database_url, redis_url=redis_url), "test", connections=5)
    yield app
    app.engine.dispose()
    app.redis.close()
    if "broker" in app.__dict__:
        app.broker.client.close()


@pytest.fixture
def jobs(app):
    return {job.name: job for job in watching_jobs(app.diagnostics)}


def test_every_job_is_there_at_its_pace(jobs):
    paces = {name: job.every for name, job in jobs.items()}
    assert (
        paces
        | {
            "diagnose": 10 * MINUTE,
            "diagnose outside": 60 * MINUTE,
            "count deliveries": MINUTE,
            "forget diagnostics": DAY,
            "forget deliveries": DAY,
            "forget processes": 60 * MINUTE,
        }
        == paces
    )


def test_those_that_run_often_are_forgotten_soon(jobs):
    assert {name for name, job in jobs.items() if job.every < SELDOM} == set(WATCHING)


def test_each_of_them_runs(app, jobs):
    for job in jobs.values():
        job.run(app.tools)
    assert [each.scope for each in app.diagnostics.history().items] == ["deep", "quick"]
    assert not app.diagnostics.standing().outdated


def test_old_runs_are_forgotten(app, jobs):
    app.diagnostics.run()
    with app.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE diagnostic_runs SET started_at = now() - interval '15 d'")
    app.diagnostics.run()
    assert jobs["forget diagnostics"].run(app.tools) == 1
    assert len(app.diagnostics.history().items) == 1
