"""Suppressing recipients because of what happened to their messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.db.sql import run
from app.domain.addresses import suppression_key
from app.domain.suppression import SOFT_WINDOW, SuppressionPolicy
from app.domain.vocabulary import Channel, SuppressionReason
from app.queue import PACKAGE


@dataclass(frozen=True, kw_only=True, slots=True)
class Blame:
    """Why a recipient is not to be contacted any more, and by which message that came out.

    `address` is as the message has it. A soft bounce suppresses only with others before it. `as_of` is
    when the gateway knew that a device is gone, now where it does not say.
    """

    message: int | None
    channel: Channel
    address: str
    reason: SuppressionReason
    source: str
    community: int | None = None
    category: str | None = None
    sender: str | None = None
    as_of: datetime | None = None


def suppress(conn: sa.Connection, policy: SuppressionPolicy, blames: Sequence[Blame]) -> None:
    """Add what these call for; what is suppressed already stays so.

    A device that a push no longer reaches is no suppression: it is not sent to until it registers anew.
    """
    gone = [blame for blame in blames if _is_gone(blame)]
    if gone:
        run(conn, PACKAGE, "deactivate_devices", _devices(gone))
    blames = [blame for blame in blames if blame.channel is not Channel.PUSH or _asked(blame)]
    soft = [blame for blame in blames if blame.reason is SuppressionReason.BOUNCE_SOFT]
    often = _often(conn, policy, soft) if soft else set()
    due = [
        blame
        for blame in blames
        if blame.reason is not SuppressionReason.BOUNCE_SOFT or (blame.channel, blame.address) in often
    ]
    if due:
        run(conn, PACKAGE, "suppress", _columns(policy, due))


def _is_gone(blame: Blame) -> bool:
    return blame.channel is Channel.PUSH and blame.reason is SuppressionReason.BOUNCE_HARD


def _asked(blame: Blame) -> bool:
    return blame.reason not in (SuppressionReason.BOUNCE_HARD, SuppressionReason.BOUNCE_SOFT)


def _devices(blames: Sequence[Blame]) -> dict[str, list[Any]]:
    return {
        "tokens": [blame.address for blame in blames],
        "times": [blame.as_of for blame in blames],
    }


def _often(conn: sa.Connection, policy: SuppressionPolicy, blames: Sequence[Blame]) -> set[tuple[str, str]]:
    rows = run(
        conn,
        PACKAGE,
        "soft_bounced",
        {
            "channels": [blame.channel.value for blame in blames],
            "addresses": [blame.address for blame in blames],
            "window": SOFT_WINDOW,
            "threshold": policy.soft_bounce_threshold,
        },
    )
    return {(row.channel, row.address) for row in rows}


def _columns(policy: SuppressionPolicy, blames: Sequence[Blame]) -> dict[str, list[Any]]:
    return {
        "channels": [blame.channel.value for blame in blames],
        "addresses": [suppression_key(blame.channel, blame.address) for blame in blames],
        "reasons": [blame.reason.value for blame in blames],
        "sources": [blame.source for blame in blames],
        "communities": [blame.community for blame in blames],
        "categories": [blame.category for blame in blames],
        "senders": [blame.sender for blame in blames],
        "messages": [blame.message for blame in blames],
        "durations": [policy.lasts(blame.reason) for blame in blames],
    }
