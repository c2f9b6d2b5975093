"""accept: POST /v1/messages with 16 clients, until each has its 202."""

import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import orjson

from app.db.engine import make_engine
from app.services.machine import machine_key
from bench import fill
from bench.calling import message
from bench.ground import Ground, ground
from bench.load import Answers, closed_loop
from bench.ports import free_port, is_free
from bench.processes import tocsin
from bench.results import Result, percentile
from bench.sizes import Size
from bench.waiting import until

CLIENTS = 16
SECONDS = 6.0
WARM_UP = 1.0
# GOV.UK Notify's own code accepts 150 a second and process on such a machine.
SIX_NOTIFIES = 900


def run(size: Size) -> Result:
    """Compare our web process with the same server and an empty view, in turn."""
    seconds = max(SECONDS * size.share, 0.3)
    result = Result(bench="accept", what=f"POST /v1/messages, {CLIENTS} clients, idempotency keys on")
    result.note(
        "only the web process runs: nothing is sent meanwhile; clients, server and database share the cores"
    )
    with ground() as stage, stage.connect() as database:
        fill.prepare(database)
        request = _requests(_key(stage))
        ways = {"ours": tocsin("web"), "empty": (sys.executable, "-m", "bench.limits.accept")}
        answers: dict[str, list[Answers]] = {"ours": [], "empty": []}
        for _ in range(size.rounds):
            for way, command in ways.items():
                answers[way].append(_measure(stage, command, request, seconds))
    _report(result, answers["ours"], answers["empty"])
    return result


def _report(result: Result, ours: list[Answers], empty: list[Answers]) -> None:
    rates, limits = [each.rate for each in ours], [each.rate for each in empty]
    result.add("one web process", "requests/s", *rates, at_least=SIX_NOTIFIES)
    result.add("empty view", "requests/s", *limits)
    ratios = [a / b for a, b in zip(rates, limits, strict=True)]
    result.add("against the empty view", "times", *ratios, at_least=0.5)
    for name, share in (("p50", 50), ("p99", 99)):
        result.add(f"{name}, ours", "ms", *[percentile(each.seconds, share) * 1000 for each in ours])
        result.add(f"{name}, empty view", "ms", *[percentile(each.seconds, share) * 1000 for each in empty])
    refused = sum(each.statuses.total() - each.statuses[202] for each in ours)
    result.add("not accepted", "requests", refused, at_most=0)


def _measure(
    stage: Ground, command: tuple[str, ...], request: Callable[[], tuple[list[str], bytes]], seconds: float
) -> Answers:
    port = free_port()
    with stage.running(*command, HOST="127.0.0.1", PORT=str(port)):
        until(lambda: not is_free(port), "the web process listens")
        url = f"http://127.0.0.1:{port}/v1/messages"
        closed_loop(url, request, clients=CLIENTS, seconds=min(WARM_UP, seconds))
        return closed_loop(url, request, clients=CLIENTS, seconds=seconds)


def _requests(key: str) -> Callable[[], tuple[list[str], bytes]]:
    shared = [f"Authorization: Bearer {key}", "Content-Type: application/json", "Expect:"]
    body = orjson.dumps(message("P4", "reader@example.com", metadata={"order": 17}))
    return lambda: ([*shared, f"Idempotency-Key: {uuid4()}"], body)


def _key(stage: Ground) -> str:
    engine = make_engine(stage.variables["DATABASE_URL"], pool=1, name="bench")
    try:
        return machine_key(engine, Path(stage.root))
    finally:
        engine.dispose()
