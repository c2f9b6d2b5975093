"""drain: queued campaign emails until the gateway has them and we have written it down."""

import sys
import time

from app.domain.vocabulary import Priority
from bench import fill
from bench.ground import Ground, ground
from bench.results import Result

ROUNDS = 3
PEER_SHARE = 20  # The peer way gets so much less to do, since it takes so much longer.


def run(count: int = 200_000) -> Result:
    """Compare one worker process with the bare loop and with the peer way, in turn."""
    result = Result(bench="drain", what=f"{count:,} rendered campaign emails through Postal, all features on")
    share = count // ROUNDS
    ours, bare, cpu, bare_cpu = [], [], [], []
    with ground() as stage, stage.database as database:
        client = fill.prepare(database)
        for _ in range(ROUNDS):
            for rates, cpus, way in ((bare, bare_cpu, _bare), (ours, cpu, _ours)):
                fill.clear(database)
                fill.campaign(database, client, share)
                stage.simulator("messages", method="DELETE")
                rate, used = way(stage, database, share)
                rates.append(rate)
                cpus.append(used / share * 1e6)
        ratios = [one / other for one, other in zip(ours, bare, strict=True)]
        result.add("one worker process", "messages/s", *ours, bar="≥ 4,500 on two quiet cores")
        result.add("bare loop", "messages/s", *bare)
        ratio = result.add("against the bare loop", "×", *ratios, bar="≥ 0.8")
        ratio.passed = ratio.value >= 0.8
        result.add("CPU of the worker", "µs/message", *cpu)
        result.add("CPU of the bare loop", "µs/message", *bare_cpu)
    return result


def _bare(stage: Ground, database: object, count: int) -> tuple[float, float]:
    began = time.monotonic()
    with stage.running(sys.executable, "-m", "bench.limits.drain") as process:
        cpu = 0.0
        while process.process.poll() is None:
            cpu = process.cpu()
            time.sleep(0.05)
        assert process.process.returncode == 0, process.log.read_text()
    _check(database, count)
    return count / (time.monotonic() - began), cpu


def _ours(stage: Ground, database: object, count: int) -> tuple[float, float]:
    with stage.running(*stage.tocsin("workers", "--only", "campaigns")) as workers:
        time.sleep(3)  # Until it has imported everything and listens: starting is another bench.
        idle = workers.cpu()
        began = time.monotonic()
        _wake(stage)
        while stage.accepted() < count or _open(database):
            time.sleep(0.05)
        took, used = time.monotonic() - began, workers.cpu() - idle
    _check(database, count)
    return count / took, used


def _wake(stage: Ground) -> None:
    from bench.wake import wake  # noqa: PLC0415 - imports the whole application

    wake(stage, Priority.P3)


def _open(database: object) -> bool:
    query = "SELECT EXISTS (SELECT FROM message_queue_p3 WHERE status = 'processing')"
    return bool(database.execute(query).fetchone()[0])


def _check(database: object, count: int) -> None:
    sent = database.execute("SELECT count(*) FROM message_queue_p3 WHERE status = 'sent'").fetchone()[0]
    assert sent == count, f"{sent} of {count} were sent"
