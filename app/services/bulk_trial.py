"""What would become of a bulk request, found out without sending or keeping anything."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.addresses import suppression_key
from app.domain.callers import Caller
from app.queue import PACKAGE
from app.services.bulk import bulk_plan, headroom_of
from app.services.catalog import Catalog
from app.services.inflow import RowCheck
from app.services.planning import Plan
from app.services.requests import BulkHead, Reject, Row
from app.services.staging import Staged
from app.settings import Settings

# So many rows are looked at, which takes a second or two.
MOST = 20_000
MOST_REJECTS = 20

_CHUNK = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkTrial:
    """What was found: of `looked` rows, `sent` are those that would go out, the others say why not.

    `rejects` are the first of the invalid ones. Not `whole`, it has looked at the first MOST rows only.
    `warnings` say which limits keep some of those from leaving in time.
    """

    looked: int
    sent: int
    invalid: int
    duplicate: int
    suppressed: int
    rejects: tuple[Reject, ...]
    whole: bool
    warnings: tuple[str, ...] = ()


def try_bulk(
    engine: sa.Engine,
    catalog: Catalog,
    settings: Settings,
    *,
    caller: Caller,
    head: BulkHead,
    rows: Iterable[Row | Reject],
) -> BulkTrial:
    """Judge rows as taking them in and expanding them would; raises what MessageService.send_bulk does."""
    the_plan = bulk_plan(caller, head, catalog, settings)
    check = RowCheck(head, the_plan, settings.phone_region)
    some = list(islice(rows, MOST + 1))
    judged = [check(row) if isinstance(row, Row) else row for row in some[:MOST]]
    rejects = [each for each in judged if isinstance(each, Reject)]
    good = [each for each in judged if isinstance(each, Staged)]
    keys = [suppression_key(head.channel, each.address) for each in good]
    once = keys if head.allow_duplicates else list(dict.fromkeys(keys))
    headroom = headroom_of(the_plan, head, catalog, settings)
    for each in good:
        headroom.count(each.address)
    suppressed = _suppressed(engine, head, the_plan, once)
    return BulkTrial(
        looked=len(judged),
        sent=len(once) - suppressed,
        invalid=len(rejects),
        duplicate=len(keys) - len(once),
        suppressed=suppressed,
        rejects=tuple(rejects[:MOST_REJECTS]),
        whole=len(some) <= MOST,
        warnings=headroom.warnings(datetime.now(UTC)),
    )


def _suppressed(engine: sa.Engine, head: BulkHead, the_plan: Plan, keys: Sequence[str]) -> int:
    asked, sender = the_plan.question, the_plan.sender
    parameters = {
        "channel": head.channel.value,
        "community": head.community_id,
        "category": head.category,
        "sender": sender.address if sender else None,
        "marketing": asked.marketing,
        "reasons": [reason.value for reason in asked.reasons],
    }
    found = 0
    with unavailable_when_down(), engine.connect() as conn:
        for start in range(0, len(keys), _CHUNK):
            some = {**parameters, "keys": list(keys[start : start + _CHUNK])}
            found += run(conn, PACKAGE, "count_suppressed", some).one().suppressed
    return found
