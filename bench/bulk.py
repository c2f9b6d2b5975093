"""bulk: a file of recipients over HTTP, until the last of them is a row of the queue."""

import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from bench import fill
from bench.accounts import open_messages
from bench.calling import Caller, received_at, upload
from bench.limits import bulk as limit
from bench.processes import forget_peak, peak_memory
from bench.results import Result
from bench.sizes import Size
from bench.system import System, system
from bench.waiting import until

SMALL = 10_000
# Sending begins while the rest is expanded; with this it takes little of the machine.
LATENCY = timedelta(milliseconds=500)
_MIB = 1024 * 1024
_SUPPRESS = """
INSERT INTO suppression_list (channel, address, reason, source)
SELECT 'email', 'reader' || i || '@mail' || i %% 50 || '.example.com', 'manual', 'bench'
FROM generate_series(0, %s - 1, 100) AS i
ON CONFLICT DO NOTHING
"""
_STATE = "SELECT count(*) FROM message_batches WHERE uuid = %s AND state IN ('expanded', 'finished')"
_COUNTS = "SELECT queued, suppressed, invalid FROM message_batches WHERE uuid = %s"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """How long one upload took, in seconds from its first byte, and the peak memory of each part."""

    answered: float
    queued: float
    first_sent_after: float
    memory: dict[str, int]


def run(size: Size) -> Result:
    """Upload a small and a large file, between two runs of the limit."""
    count = size.of(1_000_000, 1000)
    small = size.of(SMALL, 100)
    result = Result(bench="bulk", what=f"{count:,} recipients as NDJSON, 1 % suppressed, 0.1 % invalid")
    with system("--latency", str(LATENCY // timedelta(milliseconds=1))) as whole, whole.connect() as database:
        copied = whole.root / "copied"
        limit.write_rows(copied, count)
        database.execute(_SUPPRESS, (count,))
        limits = [count / limit.copy(database, copied)]
        few = _upload(whole, database, small)
        many = _upload(whole, database, count)
        limits.append(count / limit.copy(database, copied))
    _report(result, count, limits, few, many)
    return result


def _report(result: Result, count: int, limits: list[float], few: Taken, many: Taken) -> None:
    rate = count / many.queued
    result.add("first byte to last queue row", "rows/s", rate)
    result.add("first byte to 202", "rows/s", count / many.answered)
    result.add("COPY, same indexes", "rows/s", *limits)
    result.add("against COPY", "times", *[rate / each for each in limits], at_least=0.5)
    result.add("202 to first message at the gateway", "s", many.first_sent_after, at_most=2)
    for part, peak in many.memory.items():
        result.add(f"peak memory, {part}", "MiB", peak / _MIB)
        # PostgreSQL's counts what it has touched of the shared buffers, which all its processes share.
        bound = None if part == "postgres" else 1.5
        before = few.memory[part]
        result.add(f"peak memory, {part}, large against small", "times", peak / before, at_most=bound)
    result.note(
        f"the gateways take {LATENCY.total_seconds():g} s for an answer; events are written, COPY writes none"
    )
    result.note("peak memory is that of a part's largest process")


def _upload(whole: System, database: psycopg.Connection, count: int) -> Taken:
    file = whole.root / "upload"
    _write(file, count)
    _at_rest(whole)
    for pids in whole.parts().values():
        for pid in pids:
            forget_peak(pid)
    caller = Caller(whole.port, whole.key)
    began, began_at = time.monotonic(), time.time()
    batch = caller.bulk(limit.chunks(file), file.stat().st_size)["batch"]
    answered = time.monotonic() - began
    until(lambda: fill.one(database, _STATE, batch), "all are expanded", within=600, pause=0.05)
    queued = time.monotonic() - began
    until(whole.gateways.accepted, "something is sent")
    first = received_at(next(whole.gateways.entries())) - began_at - answered
    memory = {part: max(map(peak_memory, pids)) for part, pids in whole.parts().items()}
    row = database.execute(_COUNTS, (batch,)).fetchone()
    assert row is not None
    assert row == _expected(count), f"queued, suppressed, invalid: {row}"
    caller.close()
    return Taken(answered=answered, queued=queued, first_sent_after=first, memory=memory)


def _at_rest(whole: System) -> None:
    """Nothing is sent any more, and the gateways count from nothing."""
    with whole.connect() as database:
        until(lambda: open_messages(database) == 0, "what was sent before is done", within=300, pause=0.2)
    whole.gateways.forget()


def _write(file: Path, count: int) -> None:
    addresses = (
        f"nobody {number}" if number % 1000 == 1 else f"reader{number}@mail{number % 50}.example.com"
        for number in range(count)
    )
    file.write_bytes(upload("P3", addresses))


def _expected(count: int) -> tuple[int, int, int]:
    invalid = len(range(1, count, 1000))
    suppressed = len(range(0, count, 100))
    return count - invalid - suppressed, suppressed, invalid
