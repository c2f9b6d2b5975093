"""p0: emergencies, through HTTP, while everything else is busy; against the same on an idle system."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg

from bench import fill
from bench.calling import Caller, message, received_at, upload
from bench.results import Result, percentile
from bench.sizes import Size
from bench.system import System, system
from bench.waiting import until

LATENCY = "50"  # milliseconds: with hundreds of requests in flight still full speed
DOMAIN = "exhausted.example.com"
PER_HOUR = 100
_LIMIT = "INSERT INTO rate_limits (limit_type, limit_key, max_per_hour) VALUES ('domain', %s, %s)"
_BATCH_OPEN = """
SELECT count(*) FROM message_batches AS b
WHERE b.uuid = %s AND (b.state IN ('accepted', 'expanding') OR EXISTS (
    SELECT FROM message_queue_p0 AS m WHERE m.batch_id = b.id AND m.status IN ('pending', 'processing')))
"""
_BATCH_UUIDS = """
SELECT m.uuid::text FROM message_queue_p0 AS m JOIN message_batches AS b ON b.id = m.batch_id
WHERE b.uuid = %s
"""


@dataclass(kw_only=True)
class Posted:
    """When each message was posted, in seconds of this machine's clock, by uuid; and how long that took."""

    at: dict[str, float] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)

    def waits(self, arrivals: dict[str, float]) -> list[float]:
        """Give the milliseconds from POST to gateway; a message that never came is an error."""
        return [(arrivals[uuid] - at) * 1000 for uuid, at in self.at.items()]


def run(size: Size) -> Result:
    """Post one emergency a second: idle, under load, and beside a batch of emergencies."""
    campaign = size.of(1_000_000, 1000)
    what = f"one P0 a second through HTTP while {campaign:,} P3 drain, uploads and webhooks run"
    result = Result(bench="p0", what=what)
    with system("--latency", LATENCY) as whole, whole.connect() as database:
        caller = Caller(whole.port, whole.key)
        _post(caller, 3)
        idle = _post(caller, size.of(40, 3))
        _prepare(whole, database, campaign)
        # The server has closed what was idle for so long.
        caller.close()
        with _uploading(whole) as uploads:
            before, taken, began = whole.gateways.accepted(), whole.gateways.told()["taken"], time.monotonic()
            loaded = _post(caller, size.of(100, 3))
            took = time.monotonic() - began
            rate = (whole.gateways.accepted() - before) / took
            webhooks = (whole.gateways.told()["taken"] - taken) / took
            beside, batch = _beside_batch(whole, database, caller, size.of(10_000, 50))
        arrivals = _arrivals(whole)
    _report(result, idle.waits(arrivals), loaded.waits(arrivals))
    for name, posted in (("idle", idle), ("under load", loaded)):
        result.add(f"of it POST to answer, {name}, p50", "ms", percentile(posted.took, 50))
        result.add(f"of it POST to answer, {name}, p99", "ms", percentile(posted.took, 99))
    result.add("P3 meanwhile", "messages/s", rate)
    result.add("webhooks taken meanwhile", "requests/s", webhooks)
    result.note(f"{uploads.rows:,} rows were uploaded meanwhile; the domain may have {PER_HOUR} an hour")
    waits = beside.waits(arrivals)
    result.add("single P0 beside a P0 batch, p50", "ms", percentile(waits, 50))
    result.add("single P0 beside a P0 batch, longest", "ms", max(waits))
    spread = batch.waits(arrivals)
    result.add(f"P0 batch of {len(spread):,}: 202 to first at the gateway", "ms", min(spread))
    result.add(f"P0 batch of {len(spread):,}: 202 to last at the gateway", "ms", max(spread))
    return result


def _report(result: Result, idle: list[float], loaded: list[float]) -> None:
    for name, share, bound in (("p50", 50, 25), ("p99", 99, 75)):
        alone, busy = percentile(idle, share), percentile(loaded, share)
        result.add(f"POST to gateway, idle, {name}", "ms", alone)
        result.add(f"POST to gateway, under load, {name}", "ms", busy, at_most=bound)
        result.add(f"under load against idle, {name}", "times", busy / alone, at_most=2)


def _post(caller: Caller, count: int) -> Posted:
    """Post one a second, at no fixed point of it, so that nothing falls into step."""
    posted = Posted()
    begin = time.monotonic()
    for number in range(count):
        moment = begin + number + random.uniform(0, 0.8)  # noqa: S311 - nothing is secret
        time.sleep(max(moment - time.monotonic(), 0))
        at = time.time()
        posted.at[caller.send(message("P0", f"citizen{number}@{DOMAIN}"))["uuid"]] = at
        posted.took.append((time.time() - at) * 1000)
    return posted


def _prepare(whole: System, database: psycopg.Connection, campaign: int) -> None:
    """Queue the campaign, and enough for the limited domain to use it up; wait until they drain."""
    client = fill.client(database, "campaigns")
    database.execute(_LIMIT, (DOMAIN, PER_HOUR))
    before = whole.gateways.accepted()
    fill.campaign(database, client, max(campaign // 50, 5 * PER_HOUR), domain=DOMAIN)
    fill.campaign(database, client, campaign)
    until(lambda: whole.gateways.accepted() > before + campaign // 200, "the campaign drains")


@dataclass(kw_only=True)
class _Uploads:
    rows: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)


@contextmanager
def _uploading(whole: System) -> Iterator[_Uploads]:
    """Upload for tomorrow, one file after another, beside the block."""
    uploads = _Uploads()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = upload("P3", (f"later{number}@example.com" for number in range(50_000)), scheduled_for=tomorrow)
    caller = Caller(whole.port, whole.key)

    def run() -> None:
        while not uploads.stopped.is_set():
            uploads.rows += caller.bulk(body, len(body))["received"]

    thread = threading.Thread(target=run, name="uploading")
    thread.start()
    try:
        yield uploads
    finally:
        uploads.stopped.set()
        thread.join()


def _beside_batch(
    whole: System, database: psycopg.Connection, caller: Caller, count: int
) -> tuple[Posted, Posted]:
    """Upload a batch of emergencies, and post single ones until it is through."""
    body = upload("P0", (f"citizen{number}@{DOMAIN}" for number in range(count)))
    other = Caller(whole.port, whole.key)
    batch = other.bulk(body, len(body))["batch"]
    answered = time.time()
    singles = Posted()
    while not singles.at or fill.one(database, _BATCH_OPEN, batch):
        singles.at |= _post(caller, 1).at
    uuids = [row[0] for row in database.execute(_BATCH_UUIDS, (batch,))]
    assert len(uuids) == count
    return singles, Posted(at=dict.fromkeys(uuids, answered))


def _arrivals(whole: System) -> dict[str, float]:
    """Tell when each emergency first came to a gateway."""
    arrivals: dict[str, float] = {}
    for entry in whole.gateways.entries():
        if entry["priority"] == "P0":
            arrivals.setdefault(entry["uuid"], received_at(entry))
    return arrivals
