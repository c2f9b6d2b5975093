from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.clock import Clock
from scheduler.jobs import Job
from scheduler.leadership import Leadership

OFTEN = timedelta(milliseconds=100)
LEASE = timedelta(seconds=1)


def now():
    return datetime.now(UTC)


@pytest.fixture
def make_clock(make_tools):
    clocks = []

    def make(holder, *jobs):
        tools = make_tools(now=now)
        clocks.append(Clock(tools, jobs, Leadership(tools.engine, holder, lease=LEASE)))
        clocks[-1].start()
        return clocks[-1]

    yield make
    for clock in clocks:
        if not clock._tools.stopping.is_set():
            clock.stop()


@pytest.fixture
def holders(runs):
    return lambda job="often": Counter(holder for name, _, holder, _ in runs() if name == job)


def job(ran, name="often", every=OFTEN):
    return Job(name=name, every=every, run=lambda _: ran.append(now()))


def test_two_schedulers_run_each_slot_once(make_clock, eventually, runs):
    ran = []
    for holder in ("a", "b"):
        make_clock(holder, job(ran))
    eventually(lambda: len(ran) >= 10)
    slots = [slot for _, slot, _, _ in runs()]
    assert len(slots) == len(set(slots))
    assert len({holder for _, _, holder, _ in runs()}) == 1


def test_when_the_leader_is_lost_the_standby_takes_over(make_clock, eventually, holders, monkeypatch):
    ran = []
    leader = make_clock("a", job(ran))
    eventually(lambda: holders()["a"] > 2)
    make_clock("b", job(ran))
    monkeypatch.setattr(leader._leadership, "renew", lambda: False)
    eventually(lambda: holders()["b"] > 2, within=5)


def test_a_leader_that_cannot_renew_begins_nothing_more(make_clock, eventually, monkeypatch):
    ran = []
    leader = make_clock("a", job(ran))
    eventually(lambda: len(ran) > 2)
    monkeypatch.setattr(leader._leadership, "renew", lambda: False)
    eventually(lambda: not leader._leadership.held, within=5)
    ended = now()
    eventually(lambda: now() > ended + 5 * OFTEN)
    assert max(ran) <= ended + OFTEN


def test_a_leader_that_stops_hands_over_at_once(make_clock, eventually, holders):
    ran = []
    leader = make_clock("a", job(ran))
    eventually(lambda: holders()["a"] > 0)
    leader.stop()
    make_clock("b", job(ran))
    eventually(lambda: holders()["b"] > 0, within=5)


def test_seldom_jobs_run_when_the_lead_is_taken_and_not_again_by_the_next(make_clock, eventually, holders):
    ran, often = [], []
    jobs = (job(ran, "daily", timedelta(days=1)), job(often))
    leader = make_clock("a", *jobs)
    eventually(lambda: ran)
    leader.stop()
    make_clock("b", *jobs)
    eventually(lambda: holders()["b"] > 2)
    assert len(ran) == 1


def test_a_slow_job_does_not_keep_others_from_running(make_clock, eventually):
    ran = []
    slow = Job(name="slow", every=OFTEN, run=lambda tools: tools.stopping.wait(30))
    make_clock("a", slow, job(ran))
    eventually(lambda: len(ran) > 5)


def test_urgent_jobs_have_threads_of_their_own(make_clock, eventually):
    ran = []
    slow = [Job(name=f"slow {n}", every=OFTEN, run=lambda tools: tools.stopping.wait(30)) for n in range(10)]
    urgent = Job(name="urgent", every=OFTEN, run=lambda _: ran.append(1), urgent=True)
    make_clock("a", *slow, urgent)
    eventually(lambda: len(ran) > 5)
