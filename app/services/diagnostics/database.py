"""Whether PostgreSQL is well: reachable, its schema ours, not bloated, held up by nobody."""

from collections.abc import Iterator

import sqlalchemy as sa

from app.db.migrate import pending
from app.db.tables import metadata
from app.errors import Unavailable
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.clocks import skew_of
from app.services.diagnostics.findings import Finding, Severity
from app.services.readiness import next_month_has_partitions

SUBJECT = "database"

_OLDEST_MINUTES = 5
_FULL, _NEARLY_FULL = 0.95, 0.8
_OLDEST_SUPPORTED = 150_000
_OLD_XID = 1_000_000_000
_VERY_OLD_XID = 1_500_000_000

_SERVER = sa.text("""
    SELECT
        current_setting('server_version_num')::int AS version,
        current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean AS durable,
        current_setting('max_connections')::int AS most,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
        (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()) AS xid_age,
        pg_database_size(current_database()) AS bytes
""")
_OLDEST = sa.text("""
    SELECT pid, coalesce(application_name, '') AS name, coalesce(state, '') AS state,
        now() - xact_start AS age
    FROM pg_stat_activity
    WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND xact_start < now() - make_interval(mins => :minutes)
    ORDER BY xact_start
    LIMIT 1
""")
_DEAD = sa.text("""
    SELECT relname AS name, n_live_tup AS live, n_dead_tup AS dead, last_autovacuum
    FROM pg_stat_user_tables
    WHERE n_dead_tup > :least AND n_dead_tup > n_live_tup * 0.2
    ORDER BY n_dead_tup DESC
    LIMIT 5
""")
# What a table needs at least is guessed from the statistics that the planner has of its columns.
_BLOAT = sa.text("""
    SELECT c.relname AS name, pg_relation_size(c.oid) AS bytes,
        c.reltuples * (28 + sum(coalesce(s.avg_width, 8) * (1 - coalesce(s.null_frac, 0)))) AS needed
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_stats AS s
        ON s.schemaname = 'public' AND s.tablename = c.relname AND s.attname = a.attname
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.reltuples > 0
        AND pg_relation_size(c.oid) > :least
    GROUP BY c.oid
    HAVING pg_relation_size(c.oid) > 3 * c.reltuples
        * (28 + sum(coalesce(s.avg_width, 8) * (1 - coalesce(s.null_frac, 0))))
    ORDER BY 2 DESC
    LIMIT 5
""")
_INDEXES = sa.text("""
    SELECT c.relname AS name, i.indisvalid AS valid
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'public'::regnamespace
""")
_SCANS = sa.text("""
    SELECT relname AS name, seq_scan AS scans, seq_tup_read / seq_scan AS rows
    FROM pg_stat_user_tables
    WHERE seq_scan >= :scans AND seq_tup_read / seq_scan > :rows
    ORDER BY seq_tup_read DESC
    LIMIT 5
""")

LEAST_DEAD = 100_000  # rows
LEAST_BLOATED = 100_000_000  # bytes
MANY_SCANS, MANY_ROWS = 1_000, 100_000


def server(scene: Scene) -> Iterator[Finding]:
    """Look at the server itself; where it does not answer, that is the finding."""
    try:
        with scene.database() as conn:
            row = conn.execute(_SERVER).one()
    except Unavailable as exc:
        yield _unreachable(exc)
        return
    yield from _version(row.version)
    yield from _durability(durable=row.durable)
    yield from _connections(row.connections, row.most)
    yield from _wraparound(row.xid_age)


def _unreachable(exc: Unavailable) -> Finding:
    return _finding(
        "database_unreachable",
        Severity.CRITICAL,
        f"PostgreSQL does not answer: {exc}. Nothing can be accepted or sent.",
        "Start it, or see why it refuses connections.",
        automatic="Callers are answered 503 and nothing that was accepted is lost; it goes on when it "
        "is back.",
    )


def _version(version: int) -> Iterator[Finding]:
    if version < _OLDEST_SUPPORTED:
        yield _finding(
            "database_too_old",
            Severity.HIGH,
            "This PostgreSQL is older than version 15.",
            "Upgrade the server.",
            version=version,
        )


def _durability(*, durable: bool) -> Iterator[Finding]:
    if not durable:
        yield _finding(
            "database_not_durable",
            Severity.HIGH,
            "fsync or full_page_writes is off: a power cut may lose or spoil what was accepted.",
            "Switch both on in postgresql.conf.",
        )


def _connections(used: int, most: int) -> Iterator[Finding]:
    if used > most * _NEARLY_FULL:
        yield _finding(
            "database_connections",
            Severity.CRITICAL if used > most * _FULL else Severity.HIGH,
            f"{used} of {most} connections are in use; what comes next is refused.",
            "Put PgBouncer in front, lower DATABASE_POOL or the lanes' threads, or raise max_connections.",
            used=used,
            most=most,
        )


def _wraparound(xid_age: int) -> Iterator[Finding]:
    if xid_age > _OLD_XID:
        yield _finding(
            "database_wraparound",
            Severity.CRITICAL if xid_age > _VERY_OLD_XID else Severity.HIGH,
            "Transaction numbers run out: PostgreSQL will stop taking writes to protect itself.",
            "See what keeps autovacuum from freezing (old transactions, prepared ones, slots); run VACUUM "
            "FREEZE.",
            xid_age=xid_age,
        )


def schema(scene: Scene) -> Iterator[Finding]:
    """Look whether the schema is this version's, with room for next month's events."""
    with scene.database() as conn:
        if pending(conn):
            yield _finding(
                "schema_outdated",
                Severity.CRITICAL,
                "The schema is not this version's.",
                "Run `tocsin migrate`.",
            )
            return
        if not next_month_has_partitions(conn):
            yield _finding(
                "event_partition_missing",
                Severity.CRITICAL,
                "Next month's partition of delivery_events is missing: at the turn of the month nothing "
                "could be accepted.",
                "Run the scheduler; its job `event partitions` makes it.",
                automatic="The scheduler makes three months ahead each day.",
            )


def oldest_transaction(scene: Scene) -> Iterator[Finding]:
    """Look for a transaction that stays open: it keeps dead rows from being cleaned up."""
    with scene.database() as conn:
        row = conn.execute(_OLDEST, {"minutes": _OLDEST_MINUTES}).one_or_none()
    if row is not None:
        yield _finding(
            "old_transaction",
            Severity.HIGH,
            f"A transaction of {row.name or 'another program'} has been open for "
            f"{row.age.total_seconds() / 60:.0f} minutes. Until it ends, no dead row is removed anywhere.",
            f"End it: SELECT pg_terminate_backend({row.pid}).",
            automatic="Claims begin behind the last one's position, so that sending stays fast meanwhile.",
            pid=row.pid,
            state=row.state,
            seconds=round(row.age.total_seconds()),
        )


def dead_rows(scene: Scene) -> Iterator[Finding]:
    """Look for tables in which more is dead than autovacuum should leave, or that are far too large."""
    with scene.database() as conn:
        dead = conn.execute(_DEAD, {"least": LEAST_DEAD}).all()
        bloated = conn.execute(_BLOAT, {"least": LEAST_BLOATED}).all()
    for row in dead:
        yield _finding(
            "dead_rows",
            Severity.MEDIUM,
            f"{row.dead:,} of the rows of {row.name} are dead: autovacuum does not keep up.",
            "See whether an old transaction holds it up; else give autovacuum more workers or cost.",
            target=row.name,
            automatic="Autovacuum works on it.",
            dead=row.dead,
            live=row.live,
        )
    for row in bloated:
        yield _finding(
            "bloat",
            Severity.LOW,
            f"{row.name} takes more than three times the room that its rows need.",
            "Run pg_repack or VACUUM FULL on it in a quiet hour.",
            target=row.name,
            bytes=row.bytes,
            needed_bytes=round(row.needed),
        )


def indexes(scene: Scene) -> Iterator[Finding]:
    """Look for indexes that are missing or broken, and for tables that are read from end to end."""
    wanted = {str(index.name) for table in metadata.tables.values() for index in table.indexes}
    with scene.database() as conn:
        found = {row.name: row.valid for row in conn.execute(_INDEXES)}
        scans = conn.execute(_SCANS, {"scans": MANY_SCANS, "rows": MANY_ROWS}).all()
    for name in sorted(wanted - found.keys()):
        yield _finding(
            "index_missing",
            Severity.HIGH,
            f"The index {name} is missing; statements that need it read whole tables.",
            "Run `tocsin migrate`; where it is at head, somebody dropped the index: create it again.",
            target=name,
        )
    for name in sorted(name for name, valid in found.items() if not valid):
        yield _finding(
            "index_invalid",
            Severity.HIGH,
            f"The index {name} was left unfinished: it costs writes and serves no read.",
            f"REINDEX INDEX CONCURRENTLY {name}.",
            target=name,
        )
    for row in scans:
        yield _finding(
            "many_sequential_scans",
            Severity.LOW,
            f"{row.name} was read from end to end {row.scans:,} times, {row.rows:,} rows each.",
            "See in pg_stat_statements which statement does so; queries of your own may need an index.",
            target=row.name,
            scans=row.scans,
            rows=row.rows,
        )


def clock(scene: Scene) -> Iterator[Finding]:
    """Compare the database's clock with this machine's."""
    with scene.database() as conn:
        before = scene.now()
        theirs = conn.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        after = scene.now()
    yield from skew_of("PostgreSQL", theirs - (before + (after - before) / 2), subject=SUBJECT)


def _finding(
    code: str,
    priority: Severity,
    meaning: str,
    advice: str,
    *,
    target: str = "",
    automatic: str = "",
    **figures: object,
) -> Finding:
    return Finding(
        code=code,
        subject=SUBJECT,
        target=target,
        priority=priority,
        meaning=meaning,
        advice=advice,
        automatic=automatic,
        evidence=figures,
    )


CHECKS = tuple(
    Check(name=check.__name__, subject=SUBJECT, run=check)
    for check in (server, schema, oldest_transaction, dead_rows, indexes, clock)
)
