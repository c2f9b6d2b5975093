"""The log of who changed what, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.db.tables import audit_log


@dataclass(frozen=True, kw_only=True, slots=True)
class Who:
    """Who changes something: a key ("local/machine"), a person, a job; and from which address."""

    actor: str
    origin: str | None = None


def record(
    conn: sa.Connection,
    who: Who,
    action: str,
    target: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> None:
    """Write one line of the log, in the transaction of the change. Values must be plain JSON.

    `action` is a verb with its noun ("suppression.release"), `target` names the thing.
    """
    conn.execute(
        sa.insert(audit_log).values(
            actor=who.actor,
            origin=who.origin,
            action=action,
            target=target,
            before=None if before is None else dict(before),
            after=None if after is None else dict(after),
            why=why,
        )
    )
