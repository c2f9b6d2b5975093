"""Whether the way to each gateway is open: its name resolves, it lets us in, TLS is made soon."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from app.gateways.base import Gateway
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "network"

LONGEST = timedelta(seconds=5)
SLOW_NAME, SLOW_WAY = timedelta(milliseconds=500), timedelta(seconds=1)
EXPIRES_SOON = timedelta(days=14)
AT_ONCE = 8

_PORTS = {"https": 443, "http": 80, "smtp": 25, "smtps": 465}
_TLS = {"https", "smtps"}
_FAILURES = {
    "resolve": "does not resolve",
    "connect": "lets nobody in",
    "tls": "makes no TLS that is trusted",
}
_finding = partial(Finding, subject=SUBJECT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a gateway is."""

    gateway: str
    host: str
    port: int
    tls: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """How long it took to get there, each step in seconds; `failed` is the step that did not work out."""

    place: Place
    resolve: float | None = None
    connect: float | None = None
    tls: float | None = None
    certificate_days: float | None = None
    failed: str = ""
    why: str = ""


def ways(scene: Scene) -> Iterator[Finding]:
    """Go to each configured gateway, all at once, up to its TLS and no further."""
    places = list({place_of(name, gateway) for name, gateway in scene.gateways.items()} - {None})
    if not places:
        return
    pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="way")
    try:
        for way in pool.map(_go, (place for place in places if place)):
            yield from _judged(way)
    finally:
        # Name resolution knows no time limit of its own; nobody waits for it at the end.
        pool.shutdown(wait=False, cancel_futures=True)


def place_of(name: str, gateway: Gateway) -> Place | None:
    """Tell where a gateway is; None where it does not say."""
    holder = getattr(gateway, "account", gateway)
    url = urlsplit(str(getattr(holder, "url", "") or getattr(holder, "endpoint", "")))
    if not url.hostname:
        return None
    port = url.port or _PORTS.get(url.scheme, 443)
    return Place(gateway=name, host=url.hostname, port=port, tls=url.scheme in _TLS)


def _go(place: Place) -> Way:
    times: dict[str, Any] = {}
    step = "resolve"
    try:
        began = time.perf_counter()
        family, kind, protocol, _, address = socket.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM
        )[0]
        times["resolve"] = time.perf_counter() - began
        step, began = "connect", time.perf_counter()
        with socket.socket(family, kind, protocol) as plain:
            plain.settimeout(LONGEST.total_seconds())
            plain.connect(address)
            times["connect"] = time.perf_counter() - began
            if place.tls:
                step, began = "tls", time.perf_counter()
                with ssl.create_default_context().wrap_socket(plain, server_hostname=place.host) as safe:
                    times["tls"] = time.perf_counter() - began
                    times["certificate_days"] = _days_left(safe)
    except OSError as exc:
        return Way(place=place, failed=step, why=str(exc) or type(exc).__name__, **times)
    return Way(place=place, **times)


def _days_left(safe: ssl.SSLSocket) -> float:
    ends = (safe.getpeercert() or {}).get("notAfter")
    return (ssl.cert_time_to_seconds(str(ends)) - time.time()) / 86_400 if ends else 0.0


def _judged(way: Way) -> Iterator[Finding]:
    if way.failed:
        yield _unreachable(way)
        return
    slow_name = (way.resolve or 0) > SLOW_NAME.total_seconds()
    if slow_name or (way.connect or 0) + (way.tls or 0) > SLOW_WAY.total_seconds():
        yield _slow(way, "name_resolution_slow" if slow_name else "way_slow")
    if way.certificate_days is not None and way.certificate_days < EXPIRES_SOON / timedelta(days=1):
        yield _certificate_ends(way, way.certificate_days)


def _unreachable(way: Way) -> Finding:
    return _finding(
        code="gateway_unreachable",
        target=way.place.gateway,
        priority=Severity.HIGH,
        meaning=f"{way.place.host} {_FAILURES[way.failed]} from here: {way.why}.",
        advice="See this machine's DNS, firewall, proxy and certificates, then the vendor's status page. "
        "Where requests go through a proxy (HTTPS_PROXY), this way is not theirs.",
        automatic="The breaker opens and other gateways take over.",
        evidence={**_figures(way), "failed": way.failed},
    )


def _slow(way: Way, code: str) -> Finding:
    return _finding(
        code=code,
        target=way.place.gateway,
        priority=Severity.LOW,
        meaning=f"The way to {way.place.host} takes long, which each new connection pays.",
        advice="Use a resolver near by that keeps answers, or a region of the vendor's that is nearer.",
        evidence=_figures(way),
    )


def _certificate_ends(way: Way, days: float) -> Finding:
    return _finding(
        code="certificate_ends",
        target=way.place.gateway,
        priority=Severity.MEDIUM,
        meaning=f"The certificate of {way.place.host} ends in {days:.0f} days.",
        advice="Where the server is yours, renew it.",
        evidence={"days": round(days, 1)},
    )


def _figures(way: Way) -> dict[str, Any]:
    return {
        "host": way.place.host,
        "port": way.place.port,
        "resolve_ms": _milliseconds(way.resolve),
        "connect_ms": _milliseconds(way.connect),
        "tls_ms": _milliseconds(way.tls),
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine."""
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def is_simulated(scene: Scene) -> bool:
    """Tell whether all gateways are on this machine, so that nothing leaves it."""
    places = [place_of(name, gateway) for name, gateway in scene.gateways.items()]
    return bool(places) and all(place is not None and is_loopback(place.host) for place in places)


def simulated(scene: Scene) -> Iterator[Finding]:
    """Say so where nothing leaves this machine."""
    if is_simulated(scene):
        yield _finding(
            code="nothing_leaves",
            priority=Severity.INFO,
            meaning="All gateways are on this machine: the simulator plays them, and nobody gets a message.",
            advice="Set the credentials of a gateway when you are ready; `tocsin settings` lists them.",
        )


CHECKS = (
    Check(name="network_ways", subject=SUBJECT, run=ways, deep=True),
    Check(name="network_simulated", subject=SUBJECT, run=simulated),
)
