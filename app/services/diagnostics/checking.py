"""Running checks: each bounded in time, none able to bring the others down."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import redis
import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.errors import Unavailable
from app.gateways.base import Gateway
from app.gateways.transport import Transport
from app.limits.breaker import Breakers
from app.limits.paces import Paces
from app.limits.tokens import Tokens
from app.services.catalog import Catalog
from app.services.diagnostics.findings import Finding, Severity
from app.services.diagnostics.names import Resolver
from app.settings import Settings

log = structlog.get_logger(__name__)

# Checks that run at once: each may hold a connection, and sending needs the others.
AT_ONCE = 2
LONGEST_STATEMENT = timedelta(seconds=3)
LONGEST_QUICK = timedelta(seconds=10)
LONGEST_DEEP = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What checks look at. `webhooks` names the gateways' doors that are open, `directory` is our data's.

    `resolver` and `transport` are what reaches the world; tests put their own in their place.
    """

    settings: Settings
    engine: sa.Engine
    redis: redis.Redis
    catalog: Catalog
    breakers: Breakers
    tokens: Tokens | None
    paces: Paces | None
    gateways: Mapping[str, Gateway]
    webhooks: frozenset[str]
    resolver: Resolver
    transport: Callable[[], Transport]
    now: Callable[[], datetime]
    directory: Path

    @contextmanager
    def database(self) -> Iterator[sa.Connection]:
        """Lend a connection whose statements take three seconds at most; raises Unavailable."""
        with unavailable_when_down(), self.engine.connect() as conn:
            limit = f"{LONGEST_STATEMENT // timedelta(milliseconds=1)}ms"
            conn.execute(sa.select(sa.func.set_config("statement_timeout", limit, True)))
            yield conn


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One look at one subject. `deep` ones ask the world outside, and run less often."""

    name: str
    subject: str
    run: Callable[[Scene], Iterable[Finding]]
    deep: bool = False

    @property
    def longest(self) -> timedelta:
        """Tell how long it may take."""
        return LONGEST_DEEP if self.deep else LONGEST_QUICK


def run_checks(scene: Scene, checks: Sequence[Check]) -> list[Finding]:
    """Run all checks, a few at a time; gives what they found, and as findings those that failed.

    Takes no longer than the slowest check may. What has not answered by then is left to itself.
    """
    waiting: queue.SimpleQueue[Check] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Check, list[Finding]]] = queue.SimpleQueue()
    for check in checks:
        waiting.put(check)
    for _ in range(min(AT_ONCE, len(checks))):
        threading.Thread(target=_work, args=(scene, waiting, done), name="check", daemon=True).start()
    return _gather(checks, done)


def _work(
    scene: Scene,
    waiting: "queue.SimpleQueue[Check]",
    done: "queue.SimpleQueue[tuple[Check, list[Finding]]]",
) -> None:
    while True:
        try:
            check = waiting.get_nowait()
        except queue.Empty:
            return
        done.put((check, _found(scene, check)))


def _found(scene: Scene, check: Check) -> list[Finding]:
    try:
        return list(check.run(scene))
    except Unavailable as exc:
        return [_blind(check, str(exc))]
    except Exception as exc:
        # The edge of a check: a fault of ours in one must not hide what the others see.
        log.exception("check failed", check=check.name)
        return [_blind(check, type(exc).__name__)]


def _gather(checks: Sequence[Check], done: "queue.SimpleQueue[tuple[Check, list[Finding]]]") -> list[Finding]:
    ends_at = (
        time.monotonic() + max((check.longest for check in checks), default=timedelta(0)).total_seconds()
    )
    missing = {check.name: check for check in checks}
    findings: list[Finding] = []
    while missing:
        try:
            check, found = done.get(timeout=max(0.0, ends_at - time.monotonic()))
        except queue.Empty:
            break
        findings += found
        del missing[check.name]
    return findings + [_blind(check, "no answer in time") for check in missing.values()]


def _blind(check: Check, why: str) -> Finding:
    return Finding(
        code="check_failed",
        subject=check.subject,
        target=check.name,
        priority=Severity.MEDIUM,
        meaning=f"This could not be looked at: {why}.",
        advice="See whether another finding explains it; else look for the check's name in the log.",
        evidence={"why": why},
    )
