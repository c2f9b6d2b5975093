from datetime import UTC, datetime, timedelta

from structlog.testing import capture_logs

from app.errors import Unavailable
from scheduler.jobs import Job
from scheduler.leadership import Leadership
from scheduler.runner import Runner

EIGHT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)


def counting(name="count", every=10):
    ran = []
    return Job(name=name, every=timedelta(seconds=every), run=lambda _: ran.append(name)), ran


def raising(error, name="raise", every=10):
    def run(_):
        raise error

    return Job(name=name, every=timedelta(seconds=every), run=run)


def test_a_job_runs_once_in_a_slot(runner, runs, time):
    job, ran = counting()
    runner.tick(job)
    time.pass_(seconds=9)
    runner.tick(job)
    assert len(ran) == 1
    assert runs() == [("count", EIGHT, "leader", "")]


def test_it_runs_again_in_the_next_slot(runner, time):
    job, ran = counting()
    runner.tick(job)
    time.pass_(seconds=10)
    runner.tick(job)
    assert len(ran) == 2


def test_a_standby_runs_nothing(make_tools, leader, runs):
    tools = make_tools()
    standby = Leadership(tools.engine, "standby")
    standby.renew()
    job, ran = counting()
    Runner(tools, standby).tick(job)
    assert (ran, runs()) == ([], [])


def test_a_slot_that_another_leader_took_is_not_run_again(tools, leader, runner):
    job, ran = counting()
    runner.tick(job)
    leader.resign()
    successor = Leadership(tools.engine, "successor")
    successor.renew()
    Runner(tools, successor).tick(job)
    assert len(ran) == 1


def test_one_that_only_believes_to_lead_gets_no_slot(tools, leader):
    deposed = Leadership(tools.engine, "deposed")
    deposed._until = float("inf")
    job, ran = counting()
    Runner(tools, deposed).tick(job)
    assert ran == []


def test_nothing_begins_once_the_process_stops(tools, runner):
    tools.stopping.set()
    job, ran = counting()
    runner.tick(job)
    assert ran == []


def test_a_job_that_raises_is_told_and_the_others_go_on(runner, runs):
    job, ran = counting("other")
    with capture_logs() as logs:
        runner.tick(raising(ZeroDivisionError("oh")))
        runner.tick(job)
    assert ran == ["other"]
    assert [log["event"] for log in logs] == ["job failed"]
    assert isinstance(logs[0]["exc_info"], ZeroDivisionError)
    assert runs() == [("other", EIGHT, "leader", ""), ("raise", EIGHT, "leader", "failed")]


def test_a_job_that_raised_is_tried_again_in_the_next_slot(runner, runs, time):
    job = raising(ZeroDivisionError())
    runner.tick(job)
    time.pass_(seconds=10)
    runner.tick(job)
    assert len(runs()) == 2


def test_an_outage_is_told_once_however_many_jobs_it_hits_and_so_is_its_end(runner, time):
    jobs = [raising(Unavailable("Redis: away"), name) for name in ("a", "b")]
    with capture_logs() as logs:
        for _ in range(3):
            for job in jobs:
                runner.tick(job)
            time.pass_(seconds=10)
        for name in ("a", "b"):
            runner.tick(counting(name)[0])
    assert [log["event"] for log in logs] == ["jobs wait", "jobs go on"]


def test_a_late_tick_is_an_alarm(runner, time):
    job, _ = counting(every=1)
    runner.tick(job)
    time.pass_(seconds=4)
    with capture_logs() as logs:
        runner.tick(job)
    assert logs == [{"event": "job late", "job": "count", "seconds": 3.0, "log_level": "warning"}]


def test_a_tick_in_time_is_none(runner, time):
    job, _ = counting(every=1)
    with capture_logs() as logs:
        for _ in range(3):
            runner.tick(job)
            time.pass_(seconds=1)
    assert logs == []


def test_time_as_a_standby_makes_no_tick_late(runner, leader, time):
    job, _ = counting(every=1)
    runner.tick(job)
    leader.resign()
    time.pass_(minutes=5)
    runner.tick(job)
    leader.renew()
    with capture_logs() as logs:
        runner.tick(job)
    assert logs == []


def test_what_a_seldom_job_came_to_is_told(runner):
    job = Job(name="clean", every=timedelta(days=1), run=lambda _: "messages 7")
    with capture_logs() as logs:
        runner.tick(job)
    assert logs == [{"event": "job done", "job": "clean", "result": "messages 7", "log_level": "info"}]


def test_one_whose_own_count_of_the_lease_is_over_begins_nothing(leader, runner):
    leader._until = float("-inf")
    job, ran = counting()
    runner.tick(job)
    assert ran == []
