"""What is counted for Prometheus, all in one place. Where it is counted is beside what happens.

With PROMETHEUS_MULTIPROC_DIR in the environment of the process, all processes' figures add up; it has to
be there before this module is imported.
"""

from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess, values
from prometheus_client.registry import REGISTRY

from app.domain.vocabulary import Priority

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


def count_request(route: str, status: int) -> None:
    """Count an answered request; `route` is the rule, never the path, so that there are few."""
    _REQUESTS.labels(route, f"{status // 100}xx").inc()


def observe_accept(priority: Priority, took: timedelta) -> None:
    """Note how long a caller waited for a single message to be accepted."""
    _ACCEPT.labels(priority.value).observe(took.total_seconds())


def count_webhook(gateway: str, result: str) -> None:
    """Count a webhook: accepted, forged or unproven."""
    _WEBHOOKS.labels(gateway, result).inc()


def exposition() -> bytes:
    """Give all figures in Prometheus' text format: of all processes where they share a directory."""
    if values.ValueClass is values.MutexValue:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
