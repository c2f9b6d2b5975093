"""soak: the whole system at half speed for half an hour; nothing in it may grow."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from statistics import median
from threading import Event, Thread

import psycopg

from bench import fill
from bench.accounts import account, open_messages
from bench.processes import memory
from bench.results import Result
from bench.singles import singles
from bench.sizes import Size
from bench.system import System, system
from bench.waiting import until

MINUTES = 30.0
# Half of what a machine with two cores does where a webhook comes back for each message.
CAMPAIGN = 500  # messages a second
SINGLES = 20.0  # a second
LOOKS = 60  # how often the system is looked at
# Caches and pools fill in the first part; what comes after it has to stay as it is.
SETTLED = 1 / 3
MIB = 1024 * 1024
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


def run(size: Size) -> Result:
    """Feed steadily; compare the middle of the run with its end, process by process."""
    seconds = MINUTES * 60 * size.share
    result = Result(bench="soak", what=f"{seconds / 60:g} minutes at half speed")
    with system() as whole, whole.connect() as database:
        client = fill.client(database, "campaigns")
        with singles(whole.port, whole.key, SINGLES) as sent, _feeding(whole, client):
            watch = _Watch(whole, database)
            watch.over(seconds)
        until(lambda: open_messages(database) == 0, "all has come to rest", within=600)
        until(lambda: whole.gateways.told()["pending"] == 0, "webhooks are told", within=600)
        account(database, whole.gateways, sent.uuids).report(result)
    watch.report(result)
    return result


@contextmanager
def _feeding(whole: System, client: int) -> Iterator[None]:
    """Queue a second's campaign each second beside the block."""
    stopped = Event()

    def feed() -> None:
        due = time.monotonic()
        for number in count():
            if stopped.wait(max(due - time.monotonic(), 0)):
                return
            # Nobody is written to twice: that would meet the limit of a recipient.
            fill.campaign(feeder, client, CAMPAIGN, domain=f"mail#.soak{number}.example.com", vacuum=False)
            due = max(due + 1.0, time.monotonic() - 1.0)

    with whole.connect() as feeder:
        thread = Thread(target=feed, name="feeding")
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()


@dataclass
class _Watch:
    """Looks again and again at the largest process of each part, and at the connections to the servers."""

    whole: System
    database: psycopg.Connection
    seen: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def over(self, seconds: float) -> None:
        """Look at even distances."""
        began = time.monotonic()
        for number in range(1, LOOKS + 1):
            time.sleep(max(began + number * seconds / LOOKS - time.monotonic(), 0))
            self._look()

    def report(self, result: Result) -> None:
        """Say how much larger everything was in the last part than in the part before."""
        for (part, measure), samples in self.seen.items():
            middle, last = _parts(samples)
            result.add(f"{part}: {measure}", "MiB" if measure == "memory" else "number", *last)
            result.add(f"{part}: {measure}, end against middle", "times", _growth(middle, last), at_most=1.1)

    def _look(self) -> None:
        for part, pids in self.whole.parts().items():
            self.seen[part, "memory"].append(max(memory(pid) for pid in pids) / MIB)
            if part != "postgres":
                self.seen[part, "file handles"].append(max(_handles(pid) for pid in pids))
        self.seen["postgres", "connections"].append(fill.one(self.database, _CONNECTIONS))
        with self.whole.redis() as client:
            self.seen["valkey", "connections"].append(client.info("clients")["connected_clients"])


def _growth(middle: list[float], last: list[float]) -> float:
    """Tell how many times the middle's median the last part's median is."""
    return median(last) / max(median(middle), 1.0)


def _parts(samples: list[float]) -> tuple[list[float], list[float]]:
    """Split what came after the first third into two halves."""
    settled = samples[int(len(samples) * SETTLED) :]
    return settled[: len(settled) // 2], settled[len(settled) // 2 :]


def _handles(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - Path would make an object of each.
    return 0
