"""Sending more slowly where a gateway, or who runs the mail behind it, says "too fast"."""

import re
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import structlog

from app.db.engine import unavailable_when_down
from app.domain.addresses import domain_of
from app.domain.isps import ISPS
from app.domain.vocabulary import Channel
from app.errors import Unavailable
from app.limits.paces import EVERYWHERE, Pace
from app.services import metrics
from app.services.limit_events import LimitEventKind, write_event
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

# What servers of mail say where they would take it more slowly: RFC 5321's 421, RFC 3463's class 4.7.
_TOO_FAST = re.compile(r"(?<![\w.])(?:421|4\.7\.\d{1,3})(?![\w.]*\w)")
# A wait longer than this is a quota that is used up, which another pace does nothing about.
_LONGEST_WAIT = timedelta(minutes=1)


def is_too_fast(said: str) -> bool:
    """Tell whether what a mail server said has a code that asks for a slower pace."""
    return _TOO_FAST.search(said) is not None


def part_of(tools: Tools, channel: str, address: str) -> str:
    """Name what stands behind a gateway for an address: its ISP, else its domain; mail only."""
    if channel != Channel.EMAIL:
        return EVERYWHERE
    domain = domain_of(address)
    return tools.catalog.isps().of(domain) or domain


def slow_down(tools: Tools, gateway: str, said: Counter[str], whole: Counter[str], why: str) -> None:
    """Lower the pace for each part that said so, if it said so often enough.

    `said` counts refusals by part, `whole` what the gateway was sent lately.

    Without Redis the gateway's own answers have to do.
    """
    if tools.paces is None:
        return
    total = max(whole.total(), 1)
    for part, times in said.items():
        share = 1.0 if part == EVERYWHERE else max(whole[part], 1) / total
        with suppress(Unavailable):
            pace = tools.paces.lower(gateway, part, share=min(share, 1.0), why=why, times=times)
            if pace:
                _tell(tools, pace)


def _tell(tools: Tools, pace: Pace) -> None:
    """Count it, say it in one line, and write it down; raises Unavailable where that cannot be done."""
    metrics.count_lowered_pace(pace.gateway)
    log.warning(
        "pace lowered",
        gateway=pace.gateway,
        part=pace.part,
        per_second=round(pace.per_second, 2),
        usual=round(pace.usual, 2),
        why=pace.why,
    )
    place = ("gateway", pace.gateway) if pace.part == EVERYWHERE else (_kind(pace.part), pace.part)
    with unavailable_when_down(), tools.engine.begin() as conn:
        write_event(conn, LimitEventKind.PACE_LOWERED, *place, gateway=pace.gateway, detail=pace.why)


def _kind(part: str) -> str:
    return "isp" if part in ISPS else "domain"


def is_quota(wait: timedelta | None) -> bool:
    """Tell whether a gateway asks for so long a wait that it is no matter of pace."""
    return wait is not None and wait > _LONGEST_WAIT
