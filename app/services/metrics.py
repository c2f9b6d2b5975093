"""What is counted for Prometheus, all in one place. Where it is counted is beside what happens.

With PROMETHEUS_MULTIPROC_DIR in the environment of the process, all processes' figures add up; it has to
be there before this module is imported.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.registry import REGISTRY, Collector

from app.domain.vocabulary import OutcomeClass, Priority

_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


_REQUESTS = Counter("tocsin_requests", "Requests answered, by route and class of status", ("route", "status"))
_ACCEPT = Histogram(
    "tocsin_accept_seconds",
    "From a single message's request to its answer, by priority",
    ("priority",),
    buckets=_QUICK,
)
_WEBHOOKS = Counter(
    "tocsin_webhooks", "Webhooks that came, by gateway and what became of them", ("gateway", "result")
)

_EMERGENCIES = Counter("tocsin_emergency_controls", "Uses of emergency procedures", ("procedure",))
_LATE_JOBS = Counter("tocsin_jobs_late", "Runs of a scheduler's job that started too late", ("job",))
_FAILED_JOBS = Counter("tocsin_jobs_failed", "Runs of a scheduler's job that failed", ("job",))

_CANARIES = Histogram(
    "tocsin_canary_seconds",
    "From a canary's acceptance to its delivery, by gateway",
    ("gateway",),
    buckets=(0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
)
_HEALTH_CHANGES = Counter(
    "tocsin_health_changes",
    "Changes of a gateway's health, by what changed and what it is now",
    ("kind", "channel", "gateway", "state"),
)

_OUTCOMES = Counter(
    "tocsin_outcomes", "Tries at gateways, by what they came to", ("priority", "gateway", "outcome")
)
_PUT_BACK = Counter("tocsin_put_back", "Messages put back unsent, by reason", ("priority", "reason"))
_RELEASED = Counter("tocsin_released", "Messages taken from lost workers", ("priority", "ledger"))
_FACTS = Counter("tocsin_facts", "What gateways told, by what became of it", ("result",))

# One process a lane says them for its whole machine; what a dead one said is forgotten.
_WISHED = Gauge(
    "tocsin_workers_wished", "Threads that a lane shall have", ("priority",), multiprocess_mode="livesum"
)
_NEEDED = Gauge(
    "tocsin_workers_needed",
    "Threads that a lane's load is worth, also beyond its bounds",
    ("priority",),
    multiprocess_mode="livesum",
)
_RUNNING = Gauge(
    "tocsin_workers_running", "Threads that a lane has", ("priority",), multiprocess_mode="livesum"
)
_BUSY = Gauge(
    "tocsin_workers_busy", "Threads of a lane that are at work", ("priority",), multiprocess_mode="livesum"
)

_FULL_LIMITS = Counter(
    "tocsin_rate_limits_exceeded",
    "Windows of limits that were used up, each once in its length, by what is limited",
    ("limit_type", "limit_key", "window"),
)
_PACES_LOWERED = Counter(
    "tocsin_paces_lowered", "Times that a gateway was sent to more slowly, as it asked for", ("gateway",)
)

# What every request asks for, of which there are few; looking for a child takes longer than counting.
_requests = cache(_REQUESTS.labels)
_webhooks = cache(_WEBHOOKS.labels)


def count_request(route: str, status: int) -> None:
    """Count an answered request; `route` is the rule, never the path, so that there are few."""
    _requests(route, f"{status // 100}xx").inc()


def observe_accept(priority: Priority, took: timedelta) -> None:
    """Note how long a caller waited for a single message to be accepted."""
    _ACCEPT.labels(priority.value).observe(took.total_seconds())


def count_webhook(gateway: str, result: str) -> None:
    """Count a webhook: accepted, forged or unproven."""
    _webhooks(gateway, result).inc()


def count_outcomes(priority: Priority, gateway: str, outcomes: Mapping[OutcomeClass, int]) -> None:
    """Count what tries at a gateway came to."""
    for outcome, count in outcomes.items():
        _OUTCOMES.labels(priority.value, gateway, outcome.value).inc(count)


def count_put_back(priority: Priority, reason: str, count: int) -> None:
    """Count messages that went back into the queue unsent; `reason` is one of a few words of ours."""
    _PUT_BACK.labels(priority.value, reason).inc(count)


def count_released(priority: Priority, count: int, *, ledger_lost: bool) -> None:
    """Count messages taken away from a worker that was lost."""
    _RELEASED.labels(priority.value, "lost" if ledger_lost else "read").inc(count)


def count_facts(recorded: int, repeated: int, parked: int) -> None:
    """Count what gateways told: new, told before, or about a message that is not known yet."""
    for result, count in (("recorded", recorded), ("repeated", repeated), ("parked", parked)):
        _FACTS.labels(result).inc(count)


def count_health_change(kind: str, channel: str, gateway: str, state: str) -> None:
    """Count a change of a gateway's health; `state` is what it is from then on."""
    _HEALTH_CHANGES.labels(kind, channel, gateway, state).inc()


def count_emergency(procedure: str) -> None:
    """Count a use of an emergency procedure."""
    _EMERGENCIES.labels(procedure).inc()


def observe_canary(gateway: str, took: timedelta) -> None:
    """Note how long a canary took to arrive."""
    _CANARIES.labels(gateway).observe(took.total_seconds())


def count_late_job(job: str) -> None:
    """Count a run of a job that started well after its time."""
    _LATE_JOBS.labels(job).inc()


def count_failed_job(job: str) -> None:
    """Count a run of a job that raised."""
    _FAILED_JOBS.labels(job).inc()


def tell_staffing(priority: Priority, wished: int, needed: int, running: int, busy: int) -> None:
    """Say how many threads this machine has for a lane, and how many it should have."""
    for gauge, number in ((_WISHED, wished), (_NEEDED, needed), (_RUNNING, running), (_BUSY, busy)):
        gauge.labels(priority.value).set(number)


def forget_process(pid: int) -> None:
    """Forget what a process that has ended said of the present; what it counted stays."""
    if values.ValueClass is not values.MutexValue:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def count_full_limit(limit_type: str, limit_key: str, window: str) -> None:
    """Count that a limit's window is used up; recipients are not told apart."""
    _FULL_LIMITS.labels(limit_type, limit_key, window).inc()


def count_lowered_pace(gateway: str) -> None:
    """Count that a gateway is sent to more slowly from now on."""
    _PACES_LOWERED.labels(gateway).inc()


def exposition(looked_up: Collector | None = None) -> bytes:
    """Give all figures in Prometheus' text format: of all processes where they share a directory.

    `looked_up` adds those that no process counts.
    """
    if values.ValueClass is values.MutexValue:
        counted = generate_latest(REGISTRY)
    else:
        registry = CollectorRegistry()
        _forget_the_dead(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        counted = generate_latest(registry)
    if looked_up is None:
        return counted
    others = CollectorRegistry()
    others.register(looked_up)
    return counted + generate_latest(others)


def _forget_the_dead(directory: Path) -> None:
    """Remove what processes that are gone said of the present; what they counted stays counted."""
    pids = {int(file.stem.rpartition("_")[2]) for file in directory.glob("gauge_live*_*.db")}
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
        except PermissionError:
            # It lives, under another account.
            continue
