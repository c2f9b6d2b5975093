"""Whether the limits in force let a whole upload leave in time; said when it is accepted."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from math import ceil

from app.domain.addresses import domain_of
from app.domain.vocabulary import Channel
from app.limits.windows import Limit, Window, allowed
from app.services.limit_table import IspBook, LimitTable
from app.services.planning import Plan
from app.services.requests import BulkHead

_LIMITED_BY_ADDRESS = ("domain", "isp")


class Headroom:
    """Counts rows by what limits them, and compares that with what may leave until they expire.

    Only what is known beforehand is looked at, and nothing else that is to be sent: what it says cannot be
    kept cannot be kept by anybody. `reserve` is the share of each limit that only P0 and P4 have.
    """

    def __init__(
        self, table: LimitTable, isps: IspBook, the_plan: Plan, head: BulkHead, *, reserve: float
    ) -> None:
        self._table = table
        self._isps = isps
        self._plan = the_plan
        self._head = head
        self._reserve = reserve
        self._all = 0
        self._counts: Counter[Limit] = Counter()
        by_address = any(row.limit_type in _LIMITED_BY_ADDRESS for row in table)
        self._by_address = by_address and head.channel is Channel.EMAIL

    def count(self, address: str) -> None:
        """Count one row that is to be sent."""
        self._all += 1
        if self._by_address:
            domain = domain_of(address)
            isp = self._isps.of(domain)
            found = (self._table.find("domain", domain), self._table.find("isp", isp) if isp else None)
            self._counts.update(limit for limit in found if limit)

    def warnings(self, now: datetime) -> tuple[str, ...]:
        """Say of each limit that is too small how many may leave in time, and what becomes of the others."""
        begin = max(now, self._head.scheduled_for or now)
        end = self._head.expires_at or begin + self._plan.lane.max_age
        rest = "expire then" if self._plan.lane.on_clock else "leave later"
        return tuple(
            f"At most {room:,} of {count:,} messages can leave by {end:%Y-%m-%d %H:%M} UTC: {which} "
            f"no more. The others {rest}."
            for which, room, count in self._narrow(end - begin)
        )

    def _narrow(self, span: timedelta) -> Iterable[tuple[str, int, int]]:
        asked = ((limit, count) for limit, count in self._counts.items())
        pool = self._table.find("ip_pool", self._plan.ip_pool) if self._plan.ip_pool else None
        for limit, count in [*asked, *([(pool, self._all)] if pool else [])]:
            if limit.stops(self._plan.lane.priority) and (room := self._room(limit, span)) < count:
                yield f"the limit of {limit.key.replace(':', ' ')} allows", room, count
        gateways = [self._table.find("gateway", name) for name in self._plan.chain]
        together = [self._room(limit, span) for limit in gateways if limit]
        if len(together) == len(gateways) and sum(together) < self._all:
            yield f"the limits of {', '.join(self._plan.chain)} allow", sum(together), self._all

    def _room(self, limit: Limit, span: timedelta) -> int:
        """Tell how many messages of this lane a limit lets through in so much time, at most."""
        priority = self._plan.lane.priority
        return min(
            (
                allowed(most, priority, self._reserve) * max(ceil(span / window.length), 1)
                for window, most in limit.windows()
                # A pool that is warming up has more of a day by then.
                if window is not Window.DAY or limit.key not in self._table.growing
            ),
            default=self._all,
        )
