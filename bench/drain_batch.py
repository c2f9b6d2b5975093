"""drain-batch: queued campaign emails through SendGrid, a thousand a request."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg

from app.domain.vocabulary import Priority
from bench import fill
from bench.drain import Way
from bench.ground import Ground, ground
from bench.limits.settle import SIZE
from bench.processes import tocsin
from bench.results import Result
from bench.sizes import Size
from bench.waiting import until
from bench.wake import wake_of

# Long enough for the lane to follow its load: it has as many workers then as it would have in a campaign.
WARM_UP = 40_000
# Counting what is left takes a while of its own, on the cores that are measured.
LOOK = 0.1  # seconds
_OPEN = "SELECT count(*) FROM message_queue_p3 WHERE status IN ('pending', 'processing')"
_REQUESTS = "SELECT count(DISTINCT split_part(external_id, '.', 1)) FROM message_queue_p3"


def run(size: Size) -> Result:
    """Compare the lane's workers with what the database alone can claim and settle, in turn."""
    count = size.of(200_000, 600)
    result = Result(bench="drain-batch", what=f"{count:,} rendered campaign emails through SendGrid")
    with ground() as stage, stage.connect() as database:
        drain = _Drain(stage, database, size)
        for _ in range(size.rounds):
            drain.measure("database", drain.database, count // size.rounds)
            drain.measure("ours", drain.ours, count // size.rounds)
    ours, alone = drain.rates["ours"], drain.rates["database"]
    result.add("the lane's workers", "messages/s", *ours)
    result.add("claim and settle alone", "messages/s", *alone)
    ratios = [a / b for a, b in zip(ours, alone, strict=True)]
    result.add("against claim and settle alone", "times", *ratios, at_least=0.7)
    result.add("CPU, ours", "µs/message", *drain.cpus["ours"])
    result.add("worker processes", "processes", *drain.processes)
    result.add("messages in a request", "messages", *drain.sizes)
    result.note("the simulated SendGrid reads every message of a request and shares the cores")
    return result


class _Drain:
    """Measures ways to empty the campaign lane, each in a process that is warm."""

    def __init__(self, stage: Ground, database: psycopg.Connection, size: Size) -> None:
        self.rates: dict[str, list[float]] = {"ours": [], "database": []}
        self.cpus: dict[str, list[float]] = {"ours": [], "database": []}
        self.sizes: list[float] = []
        self.processes: list[float] = []
        self._stage = stage
        self._connection = database
        self._client = fill.prepare(database)
        self._wake = wake_of(stage.variables)
        self._warm_up = size.of(WARM_UP, 20)

    def measure(self, name: str, way: Callable[[], AbstractContextManager[Way]], count: int) -> None:
        """Let a way drain a little first, and then so many messages, which counts."""
        with way() as running:
            self._fill(self._warm_up)
            self._drain(running)
            self._fill(count)
            used_before, began = running.process.cpu(), time.monotonic()
            self._drain(running)
            took, used = time.monotonic() - began, running.process.cpu() - used_before
            processes = len(running.process.family()) - 1
        self.rates[name].append(count / took)
        self.cpus[name].append(used / count * 1e6)
        if name == "ours":
            assert self._stage.gateways.accepted("sendgrid") == count
            self.processes.append(processes)
            self.sizes.append(count / fill.one(self._connection, _REQUESTS))

    @contextmanager
    def database(self) -> Iterator[Way]:
        """Run the same claim and settle over one connection, and nothing else."""
        with self._stage.running(sys.executable, "-m", "bench.limits.settle") as process:
            until(lambda: "listening" in process.words(), "the loop listens")
            yield Way(process=process, begin=lambda: self._connection.execute("NOTIFY drain"))

    @contextmanager
    def ours(self) -> Iterator[Way]:
        """Run the lane's workers, which claim as many as a request carries."""
        command = tocsin("workers", "--only", "campaigns")
        with self._stage.running(*command, P3__CLAIM_SIZE=str(SIZE)) as process:
            yield Way(process=process, begin=lambda: self._wake.lane(Priority.P3))

    def _fill(self, count: int) -> None:
        fill.clear(self._connection)
        fill.campaign(self._connection, self._client, count, gateway="sendgrid")
        self._stage.gateways.forget()

    def _drain(self, way: Way) -> None:
        way.begin()
        until(lambda: fill.one(self._connection, _OPEN) == 0, "all are drained", within=900, pause=LOOK)
