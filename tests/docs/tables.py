"""The tables of the documents that say what the code says: made here, held by tests.

`python -m tests.docs.tables` writes them anew, each between its two marks.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from app.api.application import RESOURCES
from app.api.paths import template
from app.cli import COMMANDS
from app.domain.callers import SCOPES
from app.domain.lanes import LANES
from app.domain.transitions import Move, Told, move
from app.domain.vocabulary import EventType, OutcomeClass, Priority, Status
from app.settings import LaneSettings, Settings
from scheduler.jobs import jobs_of, watching_jobs

ROOT = Path(__file__).parents[2]
# The first setting of each group, and what the group is called.
_GROUPS = {
    "database_url": "Servers",
    "email_default_gateway": "Gateways",
    "postal_url": "Postal",
    "aws_region": "Amazon SES",
    "gate_depth": "Rules",
    "log_format": "Observing",
}
_OF_LANE = {"max_age_seconds": "max_age", "retry_attempts": "max_attempts"}


def settings() -> str:
    rows = [row for name in Settings.model_fields for row in _setting(name)]
    return _table(("Variable", "Default", "Meaning"), rows)


def _setting(name: str) -> Iterator[Sequence[str]]:
    field = Settings.model_fields[name]
    if name in _GROUPS:
        yield (f"**{_GROUPS[name]}**", "", "")
    if field.annotation is not LaneSettings:
        yield (f"`{name.upper()}`", _default(field.default), field.description or "")


def lane_settings() -> str:
    rows = [
        (
            f"`P0__{name.upper()}` …",
            *(_figure(getattr(LANES[priority], _OF_LANE.get(name, name))) for priority in Priority),
            field.description or "",
        )
        for name, field in LaneSettings.model_fields.items()
    ]
    return _table(("Variable", *Priority, "Meaning"), rows)


def priorities() -> str:
    rows = [
        (
            lane.priority,
            lane.name,
            f"`{lane.message_type}`",
            _length(lane.max_age),
            str(lane.max_attempts),
            ", ".join(_length(wait) for wait in lane.backoff[: lane.max_attempts - 1]),
            "yes" if lane.held_back else "never",
            "sent again, marked" if lane.unknown == "resend" else "held",
        )
        for lane in LANES.values()
    ]
    head = (
        "", "Lane", "Message type", "Handed over within", "Rounds", "Waits between rounds",
        "Stands back for P1", "If nobody knows whether it was sent",
    )  # fmt: skip
    return _table(head, rows)


def commands() -> str:
    return _table(
        ("Command", "What it does"), [(f"`tocsin {name}`", line) for name, (_, line) in COMMANDS.items()]
    )


def operations() -> str:
    rows = [
        (
            f"`{each.method} {template(each.rule)}`",
            each.summary,
            f"`{each.scope}`" if each.scope else "no key",
        )
        for resource in RESOURCES
        for each in resource.operations
    ]
    return _table(("Call", "What it does", "Scope"), rows)


def scopes() -> str:
    return _table(("Scope", "Lets its holder"), [(f"`{name}`", line) for name, line in SCOPES.items()])


# The jobs are named, not run.
_NOT_RUN: Any = None


def jobs() -> str:
    settings = Settings(_env_file=None)
    watching = watching_jobs(_NOT_RUN)
    rows = [(job.name, _length(job.every)) for job in (*jobs_of(settings), *watching)]
    return _table(("Job", "Every"), rows)


def facts() -> str:
    heads = (f"`{status}`" for status in Status)
    return _table(("Fact", *heads), [(name, *(_moved(s, *fact) for s in Status)) for name, *fact in _FACTS])


def _moved(status: Status, event_type: EventType, outcome: OutcomeClass | None) -> str:
    told = [
        move(status, Told(event_type=event_type, outcome=outcome, current=True, unknown=unknown))
        for unknown in (False, True)
    ]
    return _MOVES[told[1]] + ("¹" if told[0] is not told[1] else "")


_FACTS = (
    ("taken", EventType.SENT, None),
    ("delivered", EventType.DELIVERED, None),
    ("opened, clicked", EventType.OPENED, None),
    ("bounced", EventType.BOUNCED, OutcomeClass.RECIPIENT),
    ("failed: address, content", EventType.FAILED, OutcomeClass.CONTENT),
    ("failed: throttle, transient, config", EventType.FAILED, OutcomeClass.THROTTLE),
)
_MOVES = {
    Move.NONE: "-",
    Move.SENT: "`sent`",
    Move.DELIVERED: "`delivered`",
    Move.BOUNCED: "`bounced`",
    Move.FAILED: "`failed`",
    Move.RETRY: "*again*",
    Move.LATER: "*later*",
}


TABLES = {
    "facts": facts,
    "priorities": priorities,
    "settings": settings,
    "lane-settings": lane_settings,
    "commands": commands,
    "operations": operations,
    "scopes": scopes,
    "jobs": jobs,
}


def between_marks(text: str) -> dict[str, str]:
    """Give what stands between the marks of each table in a document."""
    return {name: content.strip() for name, content in _MARKED.findall(text)}


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


_MARKED = re.compile(r"<!-- table: ([a-z-]+) -->\n(.*?)<!-- end -->", re.DOTALL)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def _default(value: object) -> str:
    if value is None or value == ():
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _figure(value: object) -> str:
    return f"{value.total_seconds():.0f}" if isinstance(value, timedelta) else str(value)


def _length(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    unit, size = next(
        (u, s) for u, s in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)) if not seconds % s
    )
    return f"{seconds // size} {unit}"


def _renew(path: Path) -> None:
    text = path.read_text()
    renewed = _MARKED.sub(
        lambda found: f"<!-- table: {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->", text
    )
    if renewed != text:
        path.write_text(renewed)


if __name__ == "__main__":
    for document in documents():
        _renew(document)
