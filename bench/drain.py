"""drain: queued campaign emails until the gateway has them and we have written it down."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import psycopg
import redis

from app.domain.vocabulary import Priority
from bench import fill
from bench.ground import Ground, ground
from bench.processes import Measured, tocsin
from bench.results import Result
from bench.sizes import Size
from bench.waiting import until
from bench.wake import wake_of

if TYPE_CHECKING:
    from app.wake import Wake

PEER_SHARE = 20  # The peer way gets so much less to do, since it takes so much longer.
WARM_UP = 2_000
PEER_DATABASE = 5
_OPEN = "SELECT count(*) FROM message_queue_p3 WHERE status IN ('pending', 'processing')"
MISSING = "the peer way was left out: its packages are missing (uv sync --inexact --group peers)"


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to drain whose process runs: what prepares it for what is queued now, and what makes it begin."""

    process: Measured
    begin: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


def run(size: Size) -> Result:
    """Compare one worker process with the bare loop and with the peer way, in turn."""
    count = size.of(200_000, 600)
    result = Result(bench="drain", what=f"{count:,} rendered campaign emails through Postal, all features on")
    with ground() as stage, stage.connect() as database:
        drain = _Drain(stage, database, size)
        has_peer = find_spec("celery") is not None and find_spec("requests") is not None
        share = count // size.rounds
        for _ in range(size.rounds):
            drain.measure("bare", drain.bare, share)
            drain.measure("ours", drain.ours, share)
            if has_peer:
                drain.measure("peer", drain.peer, max(share // PEER_SHARE, 1))
        _report(result, drain)
        if not has_peer:
            result.note(MISSING)
    return result


def _report(result: Result, drain: "_Drain") -> None:
    ours, bare, peer = (drain.rates[way] for way in ("ours", "bare", "peer"))
    result.add("one worker process", "messages/s", *ours, at_least=4_500, where="on two quiet cores")
    result.add("bare loop", "messages/s", *bare)
    result.add(
        "against the bare loop", "times", *[a / b for a, b in zip(ours, bare, strict=True)], at_least=0.8
    )
    if peer:
        result.add("peer way", "messages/s", *peer)
        ratios = [a / b for a, b in zip(ours, peer, strict=True)]
        result.add("against the peer way", "times", *ratios, at_least=20)
    for way in ("ours", "bare", "peer"):
        if drain.cpus[way]:
            result.add(f"CPU, {way}", "µs/message", *drain.cpus[way])


class _Drain:
    """Measures ways to drain the campaign lane, each in processes that are warm."""

    def __init__(self, stage: Ground, database: psycopg.Connection, size: Size) -> None:
        self.rates: dict[str, list[float]] = {"ours": [], "bare": [], "peer": []}
        self.cpus: dict[str, list[float]] = {"ours": [], "bare": [], "peer": []}
        self._stage = stage
        self._database = database
        self._client = fill.prepare(database)
        self._wake: Wake = wake_of(stage.variables)
        self._count = 0
        self._warm_up = size.of(WARM_UP, 20)

    def measure(self, name: str, way: Callable[[], AbstractContextManager[Way]], count: int) -> None:
        """Let a way drain a little first, and then so many messages, which counts."""
        with way() as running:
            self._fill(max(self._warm_up // (PEER_SHARE if name == "peer" else 1), 1), running)
            self._drain(running)
            self._fill(count, running)
            used_before, began = running.process.cpu(), time.monotonic()
            self._drain(running)
            took, used = time.monotonic() - began, running.process.cpu() - used_before
        self.rates[name].append(count / took)
        self.cpus[name].append(used / count * 1e6)

    @contextmanager
    def bare(self) -> Iterator[Way]:
        """Run the same claim, template, bodies, server and settle, in one thread, and nothing else."""
        with self._stage.running(sys.executable, "-m", "bench.limits.drain") as process:
            until(lambda: "listening" in process.words(), "the bare loop listens")
            yield Way(process=process, begin=lambda: self._database.execute("NOTIFY drain"))

    @contextmanager
    def ours(self) -> Iterator[Way]:
        """Run one worker process of `tocsin workers`."""
        few = {"P3__MAX_THREADS": "5", "WORKER_CORES": "1"}
        with self._stage.running(*tocsin("workers", "--only", "campaigns"), **few) as process:
            yield Way(process=process, begin=lambda: self._wake.lane(Priority.P3))

    @contextmanager
    def peer(self) -> Iterator[Way]:
        """Run Celery's worker with as many processes as there are cores, which is its default."""
        command = (sys.executable, "-m", "celery", "-A", "bench.peers.drain", "worker", "--loglevel=warning")
        client = redis.Redis.from_url(self._stage.variables["REDIS_URL"], db=PEER_DATABASE)
        with client, self._stage.running(*command) as process:
            yield Way(
                process=process, prepare=self._stage_tasks, begin=lambda: client.rename("staged", "celery")
            )

    def _stage_tasks(self) -> None:
        with self._stage.running(sys.executable, "-m", "bench.peers.staging") as process:
            process.until_it_ends(120)

    def _fill(self, count: int, way: Way) -> None:
        self._count = count
        fill.clear(self._database)
        fill.campaign(self._database, self._client, count)
        self._stage.gateways.forget()
        way.prepare()

    def _drain(self, way: Way) -> None:
        way.begin()
        until(lambda: not self._open(), "all are drained", within=900)

    def _open(self) -> bool:
        """Ask the gateways first, which costs the least."""
        if self._stage.gateways.accepted() < self._count:
            return True
        return fill.one(self._database, _OPEN) > 0
