"""Whether Redis is well: answering soon, throwing nothing away, keeping its data over a restart."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from app.db.redis import translated
from app.errors import Unavailable
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.clocks import skew_of
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "redis"

NEARLY_FULL, FULL = 0.8, 0.95
SLOW = timedelta(milliseconds=20)
LATELY = timedelta(minutes=10)

_TRIES = 5
_finding = partial(Finding, subject=SUBJECT)


def server(scene: Scene) -> Iterator[Finding]:
    """Look at what the server says of itself; where it does not answer, that is the finding."""
    try:
        with translated():
            told: Mapping[str, Any] = scene.redis.info()
            seconds, microseconds = scene.redis.time()
            here = scene.now()
    except Unavailable as exc:
        yield _finding(
            code="redis_unreachable",
            priority=Severity.HIGH,
            meaning=f"Redis does not answer: {exc}.",
            advice="Start it, or see why it refuses connections.",
            automatic="Messages are accepted, and emergencies sent, without it; the rest waits until it is "
            "back.",
        )
        return
    yield from _memory(told)
    yield from _keeping(told)
    there = datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)
    yield from skew_of("Redis", there - here, subject=SUBJECT)


def _memory(told: Mapping[str, Any]) -> Iterator[Finding]:
    used, most, policy = told["used_memory"], told.get("maxmemory", 0), told.get("maxmemory_policy", "")
    if most and policy != "noeviction":
        yield _finding(
            code="redis_evicts",
            priority=Severity.HIGH,
            meaning=f"With the policy {policy}, a full Redis throws away the ledger, limits and wakes: after "
            "a crash nobody would know what was sent.",
            advice="Set maxmemory-policy noeviction.",
            evidence={"policy": policy},
        )
    if most and used > most * NEARLY_FULL:
        yield _finding(
            code="redis_memory",
            priority=Severity.CRITICAL if used > most * FULL else Severity.HIGH,
            meaning=f"{used / most:.0%} of the memory that Redis may take is in use; when full it refuses "
            "writes.",
            advice="Raise maxmemory, or see what fills it (redis-cli --bigkeys).",
            evidence={"used_bytes": used, "most_bytes": most},
        )


def _keeping(told: Mapping[str, Any]) -> Iterator[Finding]:
    if not told.get("aof_enabled"):
        yield _finding(
            code="redis_not_persistent",
            priority=Severity.MEDIUM,
            meaning="Redis keeps no log of its writes: a restart empties limits and ledger, and what was on "
            "the wire becomes unknown.",
            advice="Set appendonly yes and appendfsync everysec.",
            automatic="Counts are rebuilt from what was sent, and unknown messages decided by the rule of "
            "their lane.",
        )
    failing = [
        name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if told.get(name) == "err"
    ]
    if failing:
        yield _finding(
            code="redis_cannot_write",
            priority=Severity.HIGH,
            meaning="Redis could not write its data to disk.",
            advice="See its log; most often the disk is full.",
            evidence={"failing": failing},
        )
    uptime = timedelta(seconds=told.get("uptime_in_seconds", 0))
    if uptime < LATELY:
        yield _finding(
            code="redis_restarted",
            priority=Severity.INFO,
            meaning=f"Redis was started {uptime.total_seconds():.0f} s ago.",
            advice="Nothing, where it was meant.",
            automatic="Breakers and counts are restored from PostgreSQL.",
            evidence={"uptime_seconds": uptime.total_seconds(), "epoch": told.get("run_id")},
        )


def latency(scene: Scene) -> Iterator[Finding]:
    """Measure how soon it answers: every claim asks it several times."""
    took = []
    with translated():
        for _ in range(_TRIES):
            began = time.perf_counter()
            scene.redis.ping()
            took.append(time.perf_counter() - began)
    # The median: one slow answer is the machine's, most of them are the server's or the network's.
    usual = sorted(took)[_TRIES // 2]
    if usual > SLOW.total_seconds():
        yield _finding(
            code="redis_slow",
            priority=Severity.MEDIUM,
            meaning=f"Redis takes {usual * 1000:.0f} ms to answer.",
            advice="Put it near the workers; see SLOWLOG and whether it shares its processor.",
            evidence={"milliseconds": round(usual * 1000, 1)},
        )


CHECKS = tuple(
    Check(name=f"redis_{check.__name__}", subject=SUBJECT, run=check) for check in (server, latency)
)
