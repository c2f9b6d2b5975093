"""backlog: claiming costs the same, and is as fair, however much is due."""

import time
from uuid import uuid4

import psycopg
import sqlalchemy as sa

from app.db.engine import make_engine
from app.domain.lanes import LANES
from app.domain.vocabulary import Priority
from app.queue import claims
from app.queue.positions import Positions
from bench import fill
from bench.ground import Ground, dsn, ground
from bench.processes import tocsin
from bench.results import Result, percentile
from bench.sizes import Size
from bench.waiting import until
from bench.wake import wake_of

LANE = LANES[Priority.P3]
BATCHES = 100
ENDS = 50  # So many claims at the beginning and at the end are compared.
_LEFT = "SELECT count(*) FROM message_queue_p3 WHERE batch_id = %s AND status = 'sent'"


def run(size: Size) -> Result:
    """Claim from a small queue and from large ones, beside an old transaction, and beside another caller."""
    large = size.of(1_000_000, 2 * ENDS * LANE.claim_size)
    result = Result(
        bench="backlog", what=f"claims of {LANE.claim_size} from the campaign lane, fair turns on"
    )
    with ground() as stage, stage.connect() as database:
        client = fill.prepare(database)
        engine = make_engine(stage.variables["DATABASE_URL"], pool=1, name="bench")
        small = _small(database, engine, client)
        _say(result, "10,000 due", small)
        depths = [large, 10_000_000] if size.full else [large]
        for depth in depths:
            fill.clear(database)
            fill.campaign(database, client, depth)
            deep = _claim(engine, Positions(), BATCHES if depth > BATCHES * LANE.claim_size else ENDS)
            _say(result, f"{depth:,} due", deep)
            ratio = percentile(deep, 50) / percentile(small, 50)
            result.add(f"{depth:,} against 10,000 due, p50", "times", ratio, at_most=1.3)
        fill.clear(database)
        fill.campaign(database, client, large)
        _beside_old_transaction(result, stage, engine, min(200_000, large // 2) // LANE.claim_size)
        engine.dispose()
        _take_turns(result, stage, database, large)
    return result


def _say(result: Result, name: str, seconds: list[float]) -> None:
    result.add(f"{name}: claim, p50", "ms", percentile(seconds, 50) * 1000)
    result.add(f"{name}: claim, p99", "ms", percentile(seconds, 99) * 1000)


def _small(database: psycopg.Connection, engine: sa.Engine, client: int) -> list[float]:
    """Empty a small queue as often as it takes for as many claims as from a large one."""
    seconds: list[float] = []
    while len(seconds) < BATCHES:
        fill.clear(database)
        fill.campaign(database, client, 10_000)
        seconds += _claim(engine, Positions(), 10_000 // LANE.claim_size)
    return seconds


def _claim(
    engine: sa.Engine, positions: Positions, count: int, *, from_beginning: bool = False
) -> list[float]:
    """Claim so many batches; gives the seconds that each took, its commit included."""
    seconds = []
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
        for _ in range(count):
            began = time.perf_counter()
            harvest = claims.claim(
                conn,
                LANE,
                uuid4(),
                channels=["email"],
                worker="bench:0:bench",
                positions=positions,
                from_beginning=from_beginning,
            )
            seconds.append(time.perf_counter() - began)
            assert sum(len(claim.messages) for claim in harvest.claims) == LANE.claim_size
    return seconds


def _beside_old_transaction(result: Result, stage: Ground, engine: sa.Engine, count: int) -> None:
    """Claim while another transaction keeps every dead index entry from being removed."""
    with psycopg.connect(dsn(stage.variables["MIGRATION_DATABASE_URL"])) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM message_queue_p3 WHERE id = 0")
        positions = Positions()
        seconds = _claim(engine, positions, count)
        sweep = _claim(engine, positions, 1, from_beginning=True)
        old.rollback()
    first, last = seconds[:ENDS], seconds[-ENDS:]
    name = f"{count * LANE.claim_size:,} claims beside an open transaction"
    result.add(f"{name}, p50 of the first {ENDS}", "ms", percentile(first, 50) * 1000)
    result.add(f"{name}, p50 of the last {ENDS}", "ms", percentile(last, 50) * 1000)
    ratio = percentile(last, 50) / percentile(first, 50)
    result.add(f"{name}, last against first", "times", ratio, at_most=1.3)
    result.add("a sweep from the beginning after that", "ms", sweep[0] * 1000)


def _take_turns(result: Result, stage: Ground, database: psycopg.Connection, large: int) -> None:
    """Queue another caller's hundred behind the million of the first, while that is being sent."""
    other = fill.client(database, "other")
    fill.clear(database)
    fill.campaign(database, fill.client(database, "first"), large)
    wake = wake_of(stage.variables)
    with stage.running(*tocsin("workers", "--only", "campaigns")):
        wake.lane(Priority.P3)
        until(lambda: stage.gateways.accepted() > 2 * LANE.claim_size, "the first caller's are sent")
        batch = fill.campaign(database, other, 100, vacuum=False)
        began = time.monotonic()
        wake.lane(Priority.P3)
        until(lambda: fill.one(database, _LEFT, batch) == 100, "the other's hundred are sent", within=120)
        took = time.monotonic() - began
        assert stage.gateways.accepted() < large, (
            "the first caller's ran out: there was nothing to be fair about"
        )
    result.add(f"the other caller's 100 beside {large:,}, all sent after", "s", took, at_most=5)
