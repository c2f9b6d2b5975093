"""How far another clock may be from this one."""

from collections.abc import Iterator
from datetime import timedelta

from app.services.diagnostics.findings import Finding, Severity

BORNE = timedelta(seconds=2)
# Leases of the emergency lane are 30 s: with clocks further apart than this, they cannot be relied upon.
DANGEROUS = timedelta(seconds=10)


def skew_of(whose: str, ahead: timedelta, *, subject: str) -> Iterator[Finding]:
    """Tell of a clock that is further `ahead` of this one, or behind it, than is borne."""
    if abs(ahead) <= BORNE:
        return
    seconds = round(ahead.total_seconds(), 1)
    yield Finding(
        code="clock_skew",
        subject=subject,
        target=whose,
        priority=Severity.HIGH if abs(ahead) > DANGEROUS else Severity.MEDIUM,
        meaning=f"The clock of {whose} is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} this "
        "machine's: messages go too early or too late, and proofs that carry a time fail.",
        advice="Have all machines keep their time by NTP (chrony, systemd-timesyncd).",
        evidence={"ahead_seconds": seconds},
    )
