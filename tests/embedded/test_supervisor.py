import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from app.embedded.guard import Guard
from app.embedded.process import Command
from app.embedded.supervisor import Child, Supervisor, wait_after
from app.errors import Unavailable

SLEEP = ("sleep", "60")


@pytest.fixture
def reports():
    return []


@pytest.fixture
def supervisor(reports):
    guard = Guard()
    supervisor = Supervisor(
        guard=guard,
        report=lambda name, line: reports.append((name, line)),
        follow=lambda process: process.lines.close(),
    )
    yield supervisor
    supervisor.stop()
    guard.close()


def child(name, *arguments, **options):
    return Child(of=Command(name=name, arguments=arguments, directory=Path("/"), environment={}, **options))


def ended(process):
    return lambda: process.ended() is not None


def running(supervisor):
    return [kept.process.pid for kept in supervisor._kept if kept.process]


def test_a_child_that_was_killed_runs_again_after_a_short_pause(supervisor, reports, eventually):
    process = supervisor.start(child("web", *SLEEP), now=100.0)
    process.popen.kill()
    eventually(ended(process))
    supervisor.tick(now=110.0)
    assert reports == [("web", "was killed by signal 9; starts again in 0.2 s")]
    supervisor.tick(now=110.1)
    assert running(supervisor) == []
    supervisor.tick(now=110.2)
    (pid,) = running(supervisor)
    assert reports[1:] == [("web", f"runs again as process {pid}")]
    assert pid != process.pid


def test_a_child_that_ends_by_itself_is_started_again_too(supervisor, reports, eventually):
    process = supervisor.start(child("web", "true"), now=0.0)
    eventually(ended(process))
    supervisor.tick(now=1.0)
    assert reports == [("web", "ended by itself with status 0; starts again in 0.2 s")]


def test_pauses_double_up_to_half_a_minute_and_it_never_gives_up():
    pauses = [wait_after(failures).total_seconds() for failures in range(12)]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 30, 30]
    assert wait_after(1_000_000) == timedelta(seconds=30)


def kill(supervisor, eventually):
    process = supervisor._kept[0].process
    process.popen.kill()
    eventually(ended(process))


def test_one_that_dies_again_soon_waits_longer(supervisor, reports, eventually):
    supervisor.start(child("web", *SLEEP), now=0.0)
    kill(supervisor, eventually)
    supervisor.tick(now=1.0)
    supervisor.tick(now=2.0)
    kill(supervisor, eventually)
    supervisor.tick(now=31.0)
    assert reports[-1] == ("web", "was killed by signal 9; starts again in 0.4 s")


def test_one_that_ran_well_for_half_a_minute_waits_as_after_a_first_failure(supervisor, reports, eventually):
    supervisor.start(child("web", *SLEEP), now=0.0)
    kill(supervisor, eventually)
    supervisor.tick(now=1.0)
    supervisor.tick(now=2.0)
    kill(supervisor, eventually)
    supervisor.tick(now=32.0)
    assert reports[-1] == ("web", "was killed by signal 9; starts again in 0.2 s")


def test_what_stands_in_the_way_of_a_start_postpones_it(supervisor, reports, eventually):
    blocked = Blocked(of=child("web", *SLEEP).of)
    process = supervisor.start(blocked, now=0.0)
    process.popen.kill()
    eventually(ended(process))
    blocked.reason = "the disk is full"
    supervisor.tick(now=1.0)
    supervisor.tick(now=2.0)
    assert reports[-1] == ("web", "the disk is full; starts again in 0.4 s")
    blocked.reason = None
    supervisor.tick(now=3.0)
    assert len(running(supervisor)) == 1


class Blocked:
    def __init__(self, of):
        self.of, self.name, self.reason = of, of.name, None

    def prepare(self):
        if self.reason:
            raise Unavailable(self.reason)

    def command(self):
        return self.of


def test_a_program_that_is_not_there_says_so_at_the_first_start(supervisor):
    with pytest.raises(FileNotFoundError, match="no such program"):
        supervisor.start(child("web", "/no such program"), now=0.0)


def test_parts_stop_in_the_opposite_order_of_their_start(supervisor, reports):
    for name in ("postgres", "web", "workers"):
        supervisor.start(child(name, *SLEEP), now=0.0)
    supervisor.stop()
    assert reports == [(name, "stopping") for name in ("workers", "web", "postgres")]


def test_the_first_is_gone_before_the_next_is_asked(supervisor, tmp_path):
    notes = tmp_path / "notes"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    open(sys.argv[1], 'a').write(sys.argv[2] + ' asked\\n')\n"
        "    time.sleep(0.2)\n"
        "    open(sys.argv[1], 'a').write(sys.argv[2] + ' gone\\n')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    supervisor.follow = lambda process: process.lines.readline()
    processes = [
        supervisor.start(child(name, sys.executable, "-c", code, str(notes), name), now=0.0)
        for name in ("first", "second")
    ]
    supervisor.stop()
    for process in processes:
        process.lines.close()
    assert notes.read_text().split("\n") == ["second asked", "second gone", "first asked", "first gone", ""]


def test_one_that_does_not_listen_is_made_to_stop(supervisor):
    deaf = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(flush=True)\n"
        "time.sleep(60)\n"
    )
    supervisor.follow = lambda process: process.lines.readline()
    process = supervisor.start(
        child("deaf", sys.executable, "-c", deaf, patience=timedelta(seconds=0.1)), now=0.0
    )
    supervisor.stop()
    process.lines.close()
    assert process.ended() == -signal.SIGKILL


def test_what_a_dead_child_leaves_behind_is_ended_with_it(supervisor, eventually):
    supervisor.follow = lambda _process: None
    process = supervisor.start(child("master", "sh", "-c", "sleep 60 & echo $!; wait"), now=0.0)
    orphan = int(process.lines.readline())
    process.popen.kill()
    eventually(ended(process))
    supervisor.tick(now=1.0)
    eventually(lambda: not _lives(orphan))
    process.lines.close()


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
