"""drain-latency: gateways that take their time, and how many requests wait for them at once."""

import time
from dataclasses import dataclass
from datetime import timedelta

import psycopg

from app.domain.vocabulary import Priority
from app.settings import Settings
from bench import fill
from bench.ground import Ground, ground
from bench.processes import Measured, tocsin
from bench.results import Result
from bench.sizes import Size
from bench.waiting import until
from bench.wake import wake_of

ERRORS = 0.01
MEASURED = 20.0  # seconds
# A thread begins with its connections, and a claim with all places free: neither is how it goes on.
WARM_UP = 3.0  # answers of the gateway
LOOK = 0.5  # seconds


@dataclass(frozen=True, kw_only=True)
class Case:
    """A gateway that answers after `latency`, and a fixed number of sending threads."""

    latency: timedelta
    threads: int

    def limit(self, concurrency: int) -> float:
        """Give the messages a second that so many places on the wire can carry."""
        return self.threads * concurrency / self.latency.total_seconds()

    def __str__(self) -> str:
        threads = "one thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.latency / timedelta(milliseconds=1):g} ms, {threads}"


_MILLISECOND = timedelta(milliseconds=1)
CASES = (
    Case(latency=50 * _MILLISECOND, threads=1),
    Case(latency=50 * _MILLISECOND, threads=2),
    Case(latency=500 * _MILLISECOND, threads=5),
    Case(latency=500 * _MILLISECOND, threads=12),
)
SLOW = 500 * _MILLISECOND


def run(size: Size) -> Result:
    """Hold steady rates against concurrency by latency; then let workers find their number themselves."""
    result = Result(
        bench="drain-latency", what=f"a gateway that is slow and fails {ERRORS:.0%} of requests, campaigns"
    )
    with ground() as stage, stage.connect() as database:
        bench = _Bench(stage=stage, database=database, seconds=max(MEASURED * size.share, 2.0))
        client = fill.prepare(database)
        for case in CASES:
            samples = [bench.measure(case, client) for _ in range(size.rounds)]
            limit = case.limit(bench.concurrency)
            result.add(f"{case}", "messages/s", *samples)
            result.add(
                f"{case}: of concurrency / latency", "times", *[s / limit for s in samples], at_least=0.9
            )
        _follow(bench, client, result)
    return result


@dataclass(kw_only=True)
class _Bench:
    stage: Ground
    database: psycopg.Connection
    seconds: float

    @property
    def concurrency(self) -> int:
        return Settings(_env_file=None).gateway_concurrency

    def measure(self, case: Case, client: int) -> float:
        """Give the messages a second that a fixed number of threads gets through, once they are at it."""
        warm = WARM_UP * case.latency.total_seconds() + 1.0
        count = int(case.limit(self.concurrency) * (self.seconds + 2 * warm)) + 2_000
        self.prepare(case.latency, client, count)
        threads = {
            "P3__MIN_THREADS": str(case.threads),
            "P3__MAX_THREADS": str(case.threads),
            "GATEWAY_CONNECTIONS": str(case.threads * self.concurrency),
        }
        with self.stage.running(*tocsin("workers", "--only", "campaigns"), **threads):
            self.flowing(case.threads * self.concurrency)
            return self.rate(warm)

    def prepare(self, latency: timedelta, client: int, count: int) -> None:
        """Queue messages for a gateway that is slow and not without faults."""
        fill.clear(self.database)
        fill.campaign(self.database, client, count)
        self.stage.gateways.forget()
        self.stage.gateways.slow_down(latency)
        self.stage.gateways.fail("postal", "error", share=ERRORS)

    def flowing(self, least: int) -> None:
        """Wake the lane, as the dispatcher does, until messages flow."""
        wake = wake_of(self.stage.variables)

        def flows() -> bool:
            wake.lane(Priority.P3, sweep=True)
            return self.stage.gateways.accepted() >= least

        until(flows, "messages flow", pause=LOOK)

    def rate(self, warm: float) -> float:
        """Count what the gateway takes from now on, after a while."""
        time.sleep(warm)
        before, began = self.stage.gateways.accepted(), time.monotonic()
        time.sleep(self.seconds)
        after, ended = self.stage.gateways.accepted(), time.monotonic()
        return (after - before) / (ended - began)


def _follow(bench: _Bench, client: int, result: Result) -> None:
    """Let a burst come to workers that are as few as they may be."""
    settings = Settings(_env_file=None)
    lane = settings.lanes[Priority.P3]
    limit = settings.gateway_connections / SLOW.total_seconds()
    bench.prepare(SLOW, client, int(limit * (bench.seconds + 45)))
    with bench.stage.running(*tocsin("workers", "--only", "campaigns"), LOG_LEVEL="info") as process:
        bench.flowing(1)
        began = time.monotonic()
        most = f"threads={lane.max_threads}"
        until(lambda: _says(process, most), "there are as many workers as may be", within=90)
        grown = time.monotonic() - began
        result.add(f"from {lane.min_threads} to {lane.max_threads} threads by themselves", "s", grown)
        reached = bench.rate(WARM_UP * SLOW.total_seconds() + 1.0)
    result.add(f"500 ms, {lane.max_threads} threads that came by themselves", "messages/s", reached)
    result.add("the same: of concurrency / latency", "times", reached / limit)


def _says(process: Measured, words: str) -> bool:
    return any("lane follows" in line and words in line for line in process.words().splitlines())
