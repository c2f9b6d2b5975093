from datetime import UTC, datetime, timedelta

import pytest

from app import settings
from scheduler.jobs import Job, jobs_of

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)

PACES = {
    "dispatch urgent": SECOND,
    "advance sequences": SECOND,
    "release every 1 s": SECOND,
    "release every 15 s": 15 * SECOND,
    "release every 60 s": MINUTE,
    "dispatch": 10 * SECOND,
    "note holds": 10 * SECOND,
    "advance replays": 5 * SECOND,
    "ask gateways": 30 * SECOND,
    "expire": 10 * SECOND,
    "fold batch counts": SECOND,
    "fold spending": 10 * SECOND,
    "wake batches": 5 * SECOND,
    "wake inbox": 5 * SECOND,
    "wake parked": 10 * SECOND,
    "wake topics": MINUTE,
    "review held": MINUTE,
    "abandoned uploads": MINUTE,
    "go on clearing": SECOND,
    "call back": SECOND,
    "dispatch waiting": SECOND,
    "restore breakers": MINUTE,
    "restore limits": 10 * SECOND,
    "look up mail servers": MINUTE,
    "gateway weights": 10 * SECOND,
    "gateway health": MINUTE,
    "gateway probes": 5 * MINUTE,
    "canaries": MINUTE,
    "reputation": MINUTE,
    "forget health": DAY,
    "forget reputation": DAY,
    "rate counters": 5 * MINUTE,
    "missed suppressions": 15 * MINUTE,
    "forget runs": 10 * MINUTE,
    "drop parked": 60 * MINUTE,
    "event partitions": DAY,
    "old events": DAY,
    "forget sequences": DAY,
    "clean up": DAY,
}


@pytest.fixture
def jobs():
    return {job.name: job for job in jobs_of(settings.load())}


def test_every_job_is_there_at_its_pace(jobs):
    assert {name: job.every for name, job in jobs.items()} == PACES


def test_urgent_lanes_are_looked_after_by_threads_of_their_own(jobs):
    assert {name for name, job in jobs.items() if job.urgent} == {
        "dispatch urgent",
        "release every 1 s",
        "advance sequences",
    }


def test_lapsed_claims_are_looked_for_as_often_as_each_lane_wants(jobs):
    lanes = {name: job.run.keywords["priorities"] for name, job in jobs.items() if "release" in name}
    assert lanes == {
        "release every 1 s": ["P0", "P4"],
        "release every 15 s": ["P1"],
        "release every 60 s": ["P2", "P3"],
    }


def test_cleaning_up_is_due_at_four_in_the_morning(jobs):
    at = datetime(2027, 1, 15, 3, 59, 59, tzinfo=UTC)
    assert jobs["clean up"].slot(at) == datetime(2027, 1, 14, 4, 0, tzinfo=UTC)
    assert jobs["clean up"].slot(at + SECOND) == datetime(2027, 1, 15, 4, 0, tzinfo=UTC)


def test_a_slot_holds_for_its_whole_length():
    job = Job(name="j", every=timedelta(seconds=15), run=lambda _: None)
    begin = datetime(2027, 1, 15, 8, 0, 15, tzinfo=UTC)
    assert job.slot(begin) == begin
    assert job.slot(begin + timedelta(seconds=14.999)) == begin


@pytest.mark.parametrize("name", PACES)
def test_every_job_runs_on_an_empty_database(jobs, tools, name):
    jobs[name].run(tools)
