"""What a check has found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How soon somebody should act: now, today, this week, when there is time; `info` asks for nothing."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Place it in an order; the worst comes first."""
        return list(Severity).index(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was found.

    `code` is stable and of few values; with `target`, which names what it is about where there are
    several, it tells whether the same was found before. `automatic` says what Tocsin does about it by
    itself, and is empty where it does nothing. `evidence` holds figures, plain JSON, never an address.
    """

    code: str
    subject: str
    priority: Severity
    meaning: str
    advice: str
    target: str = ""
    automatic: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same finding in another run."""
        return self.code, self.target


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Put the worst first, then by subject, code and target."""
    return tuple(sorted(findings, key=lambda f: (f.priority.rank, f.subject, f.code, f.target)))


def worst(findings: Iterable[Finding]) -> Severity | None:
    """Give the worst priority among the findings; None where there are none."""
    return min((finding.priority for finding in findings), key=lambda p: p.rank, default=None)
