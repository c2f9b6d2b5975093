"""Rate limits that are nearly used up."""

from collections.abc import Iterator
from functools import partial

from app.limits.tokens import Limit
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "limits"

NEARLY = 0.9

_finding = partial(Finding, subject=SUBJECT)


def usage(scene: Scene) -> Iterator[Finding]:
    """Compare what the long windows hold with what they may; short ones are full whenever a lot is sent."""
    limits = scene.catalog.limits().shared
    if scene.tokens is None:
        yield _finding(
            code="limits_off",
            priority=Severity.MEDIUM,
            meaning="RATE_LIMITING_ENABLED is off: nothing keeps a campaign from getting our addresses "
            "blocked.",
            advice="Switch it on.",
        )
        return
    held = scene.tokens.usage(limits) if limits else []
    for limit, used in zip(limits, held, strict=True):
        yield from _window(limit, "hour", used.per_hour, limit.per_hour)
        yield from _window(limit, "day", used.per_day, limit.per_day)


def _window(limit: Limit, window: str, used: int | None, most: int | None) -> Iterator[Finding]:
    if not most or used is None or used < most * NEARLY:
        return
    full = used >= most
    yield _finding(
        code="limit_exhausted" if full else "limit_nearly_exhausted",
        target=f"{limit.key}:{window}",
        priority=Severity.MEDIUM if full else Severity.LOW,
        meaning=f"{used:,} of {most:,} messages a {window} for {limit.key} are used up.",
        advice="Raise the limit where the other side takes more, or spread campaigns over more time or "
        "pools.",
        automatic="What is over it goes later, at the time of the next free place; P0 is not stopped by it."
        if not limit.key.startswith("gateway:")
        else "P0, P1 and P4 go through the next gateway, the rest goes later.",
        evidence={"used": used, "most": most},
    )


CHECKS = (Check(name="limits_usage", subject=SUBJECT, run=usage),)
