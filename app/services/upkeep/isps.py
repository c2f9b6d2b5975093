"""Looking up who runs the mail of domains that messages go to; never while something is being sent."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from app.db.arrays import texts
from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import isp_domains
from app.domain.isps import isp_of, known_isp
from app.domain.vocabulary import Priority
from app.errors import Unavailable
from app.queue import PACKAGE
from app.services.diagnostics.names import Resolver
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

# How long an answer holds, one that there is no such domain, and that nobody answered.
_HOLDS = timedelta(days=7)
_HOLDS_EMPTY = timedelta(days=1)
_HOLDS_UNANSWERED = timedelta(minutes=30)
# So many of the newest messages of a lane tell which domains are written to.
_NEWEST = 20_000
_AT_A_TIME = 100
_THREADS = 16
_MOST_WAITING = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What the DNS says of one domain: its mail servers, the most preferred first; None for no answer."""

    domain: str
    servers: tuple[str, ...] | None

    @property
    def holds(self) -> timedelta:
        """Tell for how long that is good."""
        if self.servers is None:
            return _HOLDS_UNANSWERED
        return _HOLDS if self.servers else _HOLDS_EMPTY


class IspLookups:
    """Looks domains up that were written to lately and are not known, or not any more.

    It remembers how far it has read in each lane. A domain counts as nobody's until it was looked up.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._read: dict[Priority, int] = {}
        self._waiting: set[str] = set()

    def run(self, tools: Tools) -> str:
        """Look up some; gives how many in words, and nothing where there were none. Raises Unavailable."""
        domains = self._unknown(tools)
        if not domains:
            return ""
        with ThreadPoolExecutor(_THREADS) as threads:
            found = list(threads.map(self._look_up, domains))
        with unavailable_when_down(), tools.engine.begin() as conn:
            _keep(conn, found)
        unanswered = sum(each.servers is None for each in found)
        if unanswered == len(found):
            log.warning("mail servers cannot be looked up", domains=len(found))
        return f"{len(found)} looked up, {unanswered} without an answer"

    def _unknown(self, tools: Tools) -> list[str]:
        """Choose what to look up now; the others wait for the next time."""
        with unavailable_when_down(), tools.once.connect() as conn:
            for priority in tools.lanes:
                self._waiting |= self._written_to(conn, priority)
            parameters = {"domains": texts(self._waiting), "limit": _MOST_WAITING}
            unknown = list(run(conn, PACKAGE, "unknown_domains", parameters).scalars())
        self._waiting = set(unknown[_AT_A_TIME:])
        return unknown[:_AT_A_TIME]

    def _written_to(self, conn: sa.Connection, priority: Priority) -> set[str]:
        after = self._read.get(priority, 0)
        parameters = {"priority": priority, "after": after, "limit": _NEWEST}
        rows = run(conn, PACKAGE, "domains_since", parameters).all()
        self._read[priority] = max([after, *(row.last for row in rows)])
        return {row.domain for row in rows if not known_isp(row.domain)}

    def _look_up(self, domain: str) -> Found:
        try:
            records = self._resolver.records(domain, "MX")
        except Unavailable:
            return Found(domain=domain, servers=None)
        return Found(domain=domain, servers=_servers(records or ()))


def _servers(records: Iterable[str]) -> tuple[str, ...]:
    """Read MX records, as in "10 mx.example.com.", into servers by preference."""
    preferred: list[tuple[int, str]] = []
    for record in records:
        preference, _, server = record.partition(" ")
        if preference.isdigit() and server.strip("."):
            preferred.append((int(preference), server.rstrip(".").lower()))
    return tuple(server for _, server in sorted(preferred))


def _keep(conn: sa.Connection, found: Sequence[Found]) -> None:
    """Write down what was found; where nobody answered, what was known stays."""
    rows = [
        {
            "domain": each.domain,
            "isp": isp_of(each.servers or ()),
            "mx": list(each.servers or ()),
            "looked_up_at": sa.func.now(),
            "expires_at": sa.func.now() + each.holds,
        }
        for each in found
    ]
    for row, each in zip(rows, found, strict=True):
        statement = insert(isp_domains).values(row)
        kept = {"expires_at": row["expires_at"]} if each.servers is None else row
        conn.execute(statement.on_conflict_do_update(index_elements=["domain"], set_=kept))
