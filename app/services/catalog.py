"""What changes seldom and is asked for every message: routes, senders, templates, limits.

Each process keeps a copy for a few seconds, so that accepting and sending cost no query for them. A
change made elsewhere is told to those who listen, and seen by the others within `KEPT`; what must hold in
any case (suppressions, stops) is never taken from here.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import message_template_versions, message_templates
from app.domain.countries import country_of
from app.domain.locales import fallbacks
from app.domain.prices import PriceTable
from app.domain.rendering import Compiled, Variable, compile_parts
from app.domain.reputation import NameKind
from app.domain.routing import POOLS, Chain, Needs, Route, by_chance, chain, fits
from app.domain.templates.building import Kind
from app.domain.templates.parts import fixed
from app.domain.vocabulary import Channel, MessageType
from app.errors import NotFound, Unavailable
from app.services.limit_table import IspBook, LimitRow, LimitTable, read_limits
from app.services.reference_rows import (
    IllSender,
    NameState,
    Sender,
    read_ill_senders,
    read_prices,
    read_restraints,
    read_routes,
    read_senders,
)

__all__ = ["Catalog", "LimitRow", "Sender", "Template", "needs_of"]

KEPT = 5.0  # seconds
# A copy older than this is still used, and read anew meanwhile: nobody who sends steadily waits for it.
FRESH = 1.0  # seconds
# Whoever keeps copies for others reads anew at the latest now what nobody has asked for.
TENDED = 4.0  # seconds

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """One version of a template, compiled. `fixed` are options of its channel that no data changes."""

    slug: str
    channel: Channel
    locale: str | None
    version: int
    variables: tuple[Variable, ...]
    fixed: Mapping[str, Any]
    compiled: Compiled


class Catalog:
    """Reference data of one process, at most `KEPT` seconds old, older only where the database is down.

    Raises Unavailable where it is down and there is no copy yet.
    """

    def __init__(
        self,
        engine: sa.Engine,
        configured: dict[Channel, tuple[str, ...]],
        capabilities: Mapping[str, frozenset[str]] | None = None,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the gateways that have credentials by channel, in their default order.

        `capabilities` says what they can express, by name; one that is not named is taken for able. `tell`
        has the copies of other processes expire.
        """
        self._engine = engine
        self._configured = configured
        self._capabilities = capabilities or {}
        self._tell = tell
        self._kept: dict[str, tuple[float, object]] = {}
        self._lock = threading.Lock()
        self._renewing: set[str] = set()
        self._loads: dict[str, Callable[[], object]] = {}
        self._asked: set[str] | None = None
        self._compiled = lru_cache(maxsize=512)(self._compile)
        self._isps = IspBook()

    def routes(self) -> tuple[Route, ...]:
        """List the ways out: configured gateways, as the table `gateways` orders and weighs them."""
        load = partial(self._read_rows, read_routes, self._configured, self._capabilities)
        return self._keep("routes", load)

    def chain(self, needs: Needs) -> tuple[str, ...]:
        """Put the gateways that fit in the order to try them, for a message to be accepted now.

        It is empty where none does.
        """
        return self.ways(needs).as_accepted(by_chance)

    def ways(self, needs: Needs) -> Chain:
        """Find the gateways that fit, for messages that each have a lot of their own."""
        return chain(self.routes(), needs)

    def named(self, needs: Needs, gateway: str) -> tuple[str, ...]:
        """Give the named gateway where it fits, drained or not; nothing else."""
        routes = (route for route in self.routes() if route.gateway == gateway)
        return (gateway,) if any(fits(route, needs, named=True) for route in routes) else ()

    def is_off(self, channel: Channel, gateway: str) -> bool:
        """Tell whether a gateway is configured, and disabled."""
        place = (channel, gateway)
        return any((route.channel, route.gateway) == place and not route.enabled for route in self.routes())

    def ill_senders(self) -> frozenset[IllSender]:
        """List the senders that are refused somewhere: few, mostly none."""
        return self._keep("ill senders", partial(self._read_rows, read_ill_senders))

    def restraints(self) -> dict[tuple[NameKind, str], NameState]:
        """Give the names of our mail that campaigns are held back for: mostly none."""
        return self._keep("restraints", partial(self._read_rows, read_restraints))

    def country(self, channel: Channel, address: str) -> str | None:
        """Tell the country of an address, where any of the channel's gateways reaches only some."""
        return country_of(channel, address) if channel in self.picky() else None

    def picky(self) -> frozenset[Channel]:
        """List the channels of which some gateways reach only some countries."""
        return frozenset(route.channel for route in self.routes() if route.countries)

    def prices(self) -> PriceTable:
        """Give what gateways ask for sending."""
        return self._keep("prices", partial(self._read_rows, read_prices))

    def sender(self, channel: Channel, message_type: MessageType, slug: str | None) -> Sender | None:
        """Find the named identity, or the default one for the type; None where there is none."""
        return self._keep("senders", partial(self._read_rows, read_senders)).get(
            (channel, slug or message_type)
        )

    def template(
        self, slug: str, channel: Channel, locale: str | None = None, version: int | None = None
    ) -> Template:
        """Give a template's named version, else its active one, compiled; raises NotFound.

        The exact locale wins, then its language alone, then the template without a locale.
        """
        found = self._keep("templates", self._load_active)
        for wanted in fallbacks(locale):
            active = found.get((slug, channel, wanted))
            if active is not None:
                return self._compiled(slug, channel, wanted, version or active)
        raise NotFound(f"there is no template {slug!r} for {channel}")

    def limits(self) -> LimitTable:
        """Give the active rows of rate_limits."""
        return self._keep("limits", partial(self._read_rows, read_limits))

    def isps(self) -> IspBook:
        """Give what is known of who runs domains' mail; it never looks anything up."""
        return self._keep("isps", partial(self._read_rows, self._isps.read_on))

    def forget(self) -> None:
        """Drop the copies, so that the next question reads what is true now."""
        with self._lock:
            self._kept.clear()

    def expire(self) -> None:
        """Have the next question read what is true now, and go by the copy only where it cannot."""
        with self._lock:
            self._kept = {name: (float("-inf"), value) for name, (_, value) in self._kept.items()}

    def tend(self, stopping: threading.Event) -> None:
        """Keep all copies from growing old until told to stop, so that whoever asks never waits for one.

        Meanwhile nobody else reads anew what is there: beside an emergency, that would cost it its time.
        """
        self._asked = set()
        try:
            while not stopping.wait(FRESH / 2):
                for name, load in tuple(self._loads.items()):
                    if self._age(name) > (FRESH if name in self._asked else TENDED):
                        self._asked.discard(name)
                        self._renew(name, load)
        finally:
            self._asked = None

    def changed(self) -> None:
        """Have it read anew everywhere, after what was changed is committed."""
        self.forget()
        self._tell()

    def _keep(self, name: str, load: Callable[[], T]) -> T:
        at, value = self._kept.get(name, (float("-inf"), None))
        age = time.monotonic() - at
        if age < KEPT:
            if age > FRESH:
                self._ask(name, load)
            return value  # type: ignore[return-value]
        return self._read(name, load, KEPT)

    def _ask(self, name: str, load: Callable[[], object]) -> None:
        """Have a copy read anew beside the work."""
        asked = self._asked
        if asked is not None:
            asked.add(name)
        elif name not in self._renewing:
            self._renewing.add(name)
            threading.Thread(target=self._renew, args=(name, load), daemon=True).start()

    def _age(self, name: str) -> float:
        return time.monotonic() - self._kept.get(name, (float("-inf"), None))[0]

    def _renew(self, name: str, load: Callable[[], object]) -> None:
        try:
            # Where it fails, whoever comes next is told.
            with suppress(Unavailable):
                self._read(name, load, FRESH)
        finally:
            self._renewing.discard(name)

    def _read(self, name: str, load: Callable[[], T], oldest: float) -> T:
        """Read anew what another thread has not read meanwhile."""
        with self._lock:
            self._loads[name] = load
            at, value = self._kept.get(name, (float("-inf"), None))
            if time.monotonic() - at >= oldest:
                try:
                    with unavailable_when_down():
                        value = load()
                except Unavailable:
                    # What was true a moment ago will do until the database is back.
                    if name not in self._kept:
                        raise
                self._kept[name] = (time.monotonic(), value)
            return value  # type: ignore[return-value]

    def _read_rows(self, read: Callable[..., T], *arguments: object) -> T:
        with self._engine.connect() as conn:
            return read(conn, *arguments)

    def _load_active(self) -> dict[tuple[str, str, str | None], int]:
        table = message_templates
        query = sa.select(table.c.slug, table.c.channel, table.c.locale, table.c.active_version).where(
            table.c.kind == Kind.TEMPLATE, table.c.is_active, table.c.active_version.is_not(None)
        )
        with self._engine.connect() as conn:
            return {(row.slug, row.channel, row.locale): row.active_version for row in conn.execute(query)}

    def _compile(self, slug: str, channel: Channel, locale: str | None, version: int) -> Template:
        head, body = message_templates, message_template_versions
        query = (
            sa.select(body)
            .join(head, head.c.id == body.c.template_id)
            .where(
                head.c.kind == Kind.TEMPLATE,
                head.c.slug == slug,
                head.c.channel == channel,
                head.c.locale.is_not_distinct_from(locale),
                body.c.version == version,
            )
        )
        with self._engine.connect() as conn:
            row = conn.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"template {slug!r} has no version {version}")
        variables = tuple(Variable(**variable) for variable in row.variables)
        return Template(
            slug=slug,
            channel=channel,
            locale=locale,
            version=version,
            variables=variables,
            fixed=fixed(row.parts),
            compiled=compile_parts(
                row.subject,
                row.body_html if row.compiled_html is None else row.compiled_html,
                row.body_text if row.compiled_text is None else row.compiled_text,
                variables=variables,
                own=row.parts,
            ),
        )


def needs_of(
    channel: Channel,
    message_type: MessageType,
    *,
    sender: Sender | None,
    ip_pool: str | None,
    capabilities: Iterable[str] = (),
    country: str | None = None,
) -> Needs:
    """Say what a message asks of a gateway; its pool is the named one, the sender's, or its type's."""
    return Needs(
        channel=channel,
        pool=ip_pool or (sender.ip_pool if sender else None) or POOLS[message_type],
        verified=sender.gateways if sender else None,
        capabilities=frozenset(capabilities),
        country=country,
    )
