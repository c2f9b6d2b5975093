"""The inbox: proven webhooks, committed as they came, processed until each has had its effect."""

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from app.db.arrays import numbers
from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import webhook_inbox
from app.errors import Forged, ProofUnavailable, Refused
from app.gateways.base import HttpFailure, HttpRequest, Webhook, WebhookRequest
from app.queue import PACKAGE
from app.services.metrics import count_facts
from app.services.recording.heard import Heard
from app.services.recording.inbound import Received, take_in
from app.services.recording.observing import told, worked_off
from app.services.recording.record import Recorded, record
from app.services.recording.slowness import heed_words
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

# One request may tell a single fact or a thousand: so many requests are taken at first, and then as many
# as should make a transaction of this many facts. Larger ones cost more for each, not less.
AT_FIRST = 8
AT_MOST = 200
FACTS_AT_A_TIME = 2_500
# A transaction for each request costs five times what one for twenty does: where fewer came than could
# have been taken, more are waited for so long.
GATHERED_FOR = 0.05  # seconds
# A request that could not be processed so often is put aside for people to look at.
MOST_TRIES = 10
# What one request can do to its processing, a vendor's surprise in the body included; and what was proven
# when it came may name a topic or an address that the settings of today do not know.
_UNPROCESSABLE = (
    Forged,
    Refused,
    sa.exc.DBAPIError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
)


def process(tools: Tools) -> int:
    """Process what waits in the inbox; returns how many requests that were.

    Where one of many cannot be processed they are taken one by one, so that only that one is kept back
    and tried again the next time.
    """
    done, last, singly_until, limit = 0, 0, 0, AT_FIRST
    while not tools.stopping.is_set():
        tools.way.give()
        with _collecting_later():
            rows, facts = _attempt(tools, last, 1 if last < singly_until else limit)
        if not rows:
            break
        if facts is not None or len(rows) == 1:
            last = rows[-1].id
            done += len(rows) if facts is not None else 0
            gathers = len(rows) < limit
            limit = _next_limit(limit, len(rows), facts or 0)
            if gathers:
                tools.stopping.wait(GATHERED_FOR)
        else:
            singly_until = rows[-1].id
    return done


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Look for cycles among objects afterwards: all of a transaction's live until its end.

    There are tens of thousands, and walking over them again and again took a seventh of recording.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Whoever of several threads has switched it off switches it on again.
        if was_enabled:
            gc.enable()


def _next_limit(limit: int, requests: int, facts: int) -> int:
    """Tell how many requests to take next, at most twice as many as before."""
    fitting = requests * FACTS_AT_A_TIME // max(facts, 1)
    return max(1, min(fitting, 2 * limit, AT_MOST))


def _attempt(tools: Tools, after: int, limit: int) -> tuple[Sequence[sa.Row[Any]], int | None]:
    """Process up to `limit` requests in one transaction; gives them, and how many facts they told.

    That is None where the transaction failed, so that nothing had its effect.
    """
    rows: Sequence[sa.Row[Any]] = ()
    try:
        with unavailable_when_down(), tools.engine.begin() as conn:
            rows = run(conn, PACKAGE, "inbox_waiting", {"after": after, "limit": limit}).all()
            letters = [_letter(tools.webhooks, row) for row in rows if row.gateway in tools.webhooks]
            heard = [each for letter in letters for each in _facts(letter)]
            sent = [each for letter in letters for each in _received(letter)]
            result = record(conn, tools, [*heard, *take_in(conn, tools, sent)])
            _confirm(tools, letters)
            _close(conn, rows, result)
    except _UNPROCESSABLE as exc:
        if len(rows) == 1:
            _keep_back(tools, rows[0].id, exc)
        return rows, None
    count_facts(result.recorded, result.repeated, result.parked)
    told(tools, result)
    worked_off(tools, rows, heard)
    heed_words(tools, result.words)
    for priority, messages in result.failed_over.items():
        tools.wake.failover(priority, messages)
    return rows, result.recorded + result.repeated + result.parked


@dataclass(frozen=True, kw_only=True, slots=True)
class _Letter:
    """One request as it came, and who can read it."""

    gateway: str
    inbox: int
    webhook: Webhook
    request: WebhookRequest


def _letter(webhooks: Mapping[str, Webhook], row: sa.Row[Any]) -> _Letter:
    body = bytes(row.body or b"")
    request = WebhookRequest(
        # Those that come by GET tell all in their query.
        method="POST" if body else "GET",
        url=row.url,
        headers=row.headers,
        body=body,
        received_at=row.received_at,
    )
    return _Letter(gateway=row.gateway, inbox=row.id, webhook=webhooks[row.gateway], request=request)


def _facts(letter: _Letter) -> list[Heard]:
    gateway, inbox = letter.gateway, letter.inbox
    facts = letter.webhook.events(letter.request)
    return [Heard(gateway=fact.gateway or gateway, fact=fact, inbox=inbox) for fact in facts]


def _received(letter: _Letter) -> list[Received]:
    sent = letter.webhook.inbound(letter.request)
    return [Received(gateway=letter.gateway, inbox=letter.inbox, inbound=inbound) for inbound in sent]


def _confirm(tools: Tools, letters: Iterable[_Letter]) -> None:
    """Confirm subscriptions where a proven request asks for it."""
    for letter in letters:
        url = letter.webhook.confirmation_url(letter.request)
        if url is None:
            continue
        reply = tools.transport().fetch(HttpRequest(method="GET", url=url, body=b"", headers={}))
        if isinstance(reply, HttpFailure) or reply.status >= 300:  # noqa: PLR2004 — HTTP's own border
            raise ProofUnavailable(f"{letter.gateway} did not let a subscription be confirmed")
        log.info("subscription confirmed", gateway=letter.gateway)


def _close(conn: sa.Connection, rows: Sequence[sa.Row[Any]], result: Recorded) -> None:
    if not rows:
        return
    words = f"recorded {result.recorded}, repeated {result.repeated}, parked {result.parked}"
    run(conn, PACKAGE, "close_webhooks", {"ids": numbers(row.id for row in rows), "result": words})


def _keep_back(tools: Tools, request: int, exc: Exception) -> None:
    """Count a failed try; after too many the request is put aside, with the reason."""
    table = webhook_inbox
    tries = table.c.tries + 1
    given_up = tries >= MOST_TRIES
    values = {
        "tries": tries,
        "result": f"failed: {type(exc).__name__}",
        "processed_at": sa.case((given_up, sa.func.now()), else_=None),
    }
    with tools.engine.begin() as conn:
        conn.execute(sa.update(table).where(table.c.id == request).values(values))
    log.error("webhook cannot be processed", inbox_id=request, error=type(exc).__name__, exc_info=exc)
