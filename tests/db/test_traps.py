"""The traps in the obvious schema, and what the application's role must not be able to do."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from app.embedded.postgres import create_database

MESSAGE = """
    INSERT INTO message_queue (
        id, priority, message_type, client_id, channel, recipient_address, expires_at, max_attempts)
    VALUES (%s, %s, 'campaign', 1, 'email', 'a@example.com', now(), 3)
"""
EVENT = (
    "INSERT INTO delivery_events (message_id, priority, event_type, source) VALUES (1, 'P0', 'queued', 'api')"
)


def connect(url):
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


@pytest.fixture(scope="module")
def urls(databases, template_database):
    name = "database_for_traps"
    databases.connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    create_database(databases.connection, name, template=template_database)
    yield databases.urls(name)
    databases.connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def application(urls):
    """The application's role, in a transaction that leaves nothing."""
    with connect(urls.application) as connection, connection.transaction(force_rollback=True):
        yield connection


@pytest.fixture
def owner(urls):
    with connect(urls.owner) as connection, connection.transaction(force_rollback=True):
        yield connection


# 1: every unique key of a partitioned table holds its partition key, and nothing refers to half of it


def test_unique_keys_of_the_queue_hold_the_priority(owner):
    rows = owner.execute("""
        SELECT array_agg(a.attname::text)
        FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = 'message_queue'::regclass AND i.indisunique
        GROUP BY i.indexrelid
    """).fetchall()
    assert sorted(sorted(columns) for (columns,) in rows) == [["id", "priority"], ["priority", "uuid"]]


@pytest.mark.parametrize("table", ["delivery_events", "suppression_list", "inbound_messages"])
def test_nothing_refers_to_a_message_by_its_id_alone(owner, table):
    keys = "SELECT 1 FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'"
    assert owner.execute(keys, [table]).fetchall() == []


def test_one_id_is_given_once_over_all_priorities(application):
    ids = [
        application.execute(
            MESSAGE.replace("id, priority", "priority").replace("%s, %s", "%s") + " RETURNING id", [priority]
        ).fetchone()[0]
        for priority in ("P0", "P1", "P2", "P3", "P4")
    ]
    assert len(set(ids)) == 5


# 2: no index depends on the time at which it was made


def test_no_index_has_a_clock_in_it(owner):
    texts = owner.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'").fetchall()
    assert not [text for (text,) in texts if "now()" in text or "CURRENT_TIMESTAMP" in text]


# 3: NULL is a scope like any other


@pytest.mark.parametrize(
    "scope", [{}, {"community_id": 7}, {"category": "spring"}, {"sender": "a@b.example"}]
)
def test_a_suppression_of_the_same_scope_gets_in_once(application, scope):
    row = {"channel": "email", "address": "a@example.com", "reason": "manual", "source": "test", **scope}
    columns = sql.SQL(", ").join(map(sql.Identifier, row))
    places = sql.SQL(", ").join(map(sql.Placeholder, row))
    insert = sql.SQL("INSERT INTO suppression_list ({}) VALUES ({})").format(columns, places)
    application.execute(insert, row)
    with pytest.raises(psycopg.errors.UniqueViolation):
        application.execute(insert, row)


def test_a_template_without_a_locale_is_there_once(application):
    insert = "INSERT INTO message_templates (slug, name, channel) VALUES ('s', 'S', 'email')"
    application.execute(insert)
    with pytest.raises(psycopg.errors.UniqueViolation):
        application.execute(insert)


# Logs only grow


def partitions(connection):
    rows = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'delivery_events'::regclass"
    ).fetchall()
    return [name for (name,) in rows]


def this_months(connection):
    return f"delivery_events_y{datetime.now(UTC):%Ym%m}"


@pytest.mark.parametrize("role", ["application", "owner"])
@pytest.mark.parametrize("where", ["parent", "partition"])
@pytest.mark.parametrize("change", ["UPDATE {} SET source = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_an_event_is_never_changed_or_removed(urls, role, where, change):
    with connect(getattr(urls, role)) as connection, connection.transaction(force_rollback=True):
        connection.execute(EVENT)
        table = "delivery_events" if where == "parent" else this_months(connection)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(change.format(table))


def test_truncating_any_months_partition_is_refused_to_the_owner_too(urls):
    with connect(urls.owner) as connection:
        names = partitions(connection)
        assert len(names) >= 4
        for name in names:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(name)))


@pytest.mark.parametrize("change", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_audit_log_only_grows(application, change):
    application.execute("INSERT INTO audit_log (actor, action, target) VALUES ('a', 'b', 'c')")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute(change.format("audit_log"))


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE delivery_events DISABLE TRIGGER ALL",
        "DROP TABLE delivery_events",
        "DROP TRIGGER delivery_events_append_only ON delivery_events",
        "ALTER TABLE message_queue ADD COLUMN x int",
        "SET session_replication_role = replica",
        "UPDATE alembic_version SET version_num = 'x'",
    ],
)
def test_the_applications_role_owns_nothing(application, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute(statement)


# Months


def test_months_are_made_ahead_by_the_applications_role(urls):
    with connect(urls.application) as connection:
        before = partitions(connection)
        made = connection.execute("SELECT ensure_event_partitions(5)").fetchone()[0]
        assert made == len(partitions(connection)) - len(before) == 2
        assert connection.execute("SELECT ensure_event_partitions(5)").fetchone()[0] == 0
        newest = max(partitions(connection))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(newest)))


def test_an_event_of_this_month_lands_in_this_months_partition(application):
    application.execute(EVENT)
    where = application.execute("SELECT tableoid::regclass::text FROM delivery_events").fetchone()[0]
    assert where == this_months(application)


def test_an_event_that_no_month_was_made_for_is_refused(application):
    with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        application.execute(
            EVENT.replace("source)", "source, recorded_at)").replace("'api')", "'api', '2001-01-01')")
        )


# Time that a lane was held


def held(connection, holds, since, until):
    for begun, ended in holds:
        connection.execute(
            "INSERT INTO lane_holds VALUES ('P3', 'email', %s, %s)",
            [NOON + timedelta(minutes=begun), None if ended is None else NOON + timedelta(minutes=ended)],
        )
    ask = "SELECT held_time('P3', 'email', %s, %s)"
    times = [NOON + timedelta(minutes=since), NOON + timedelta(minutes=until)]
    return connection.execute(ask, times).fetchone()[0] / timedelta(minutes=1)


NOON = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("holds", "minutes"),
    [
        ([], 0),
        ([(10, 20)], 10),
        ([(10, 20), (30, 35)], 15),
        ([(-10, 5)], 5),
        ([(50, 90)], 10),
        ([(-10, 90)], 60),
        ([(40, None)], 20),
        ([(-20, -10), (70, 80)], 0),
        ([(60, 70), (-5, 0)], 0),
    ],
)
def test_held_time_counts_what_lies_between(application, holds, minutes):
    assert held(application, holds, 0, 60) == minutes


def test_a_lane_is_held_once_at_a_time(application):
    insert = "INSERT INTO lane_holds (priority, channel, held_from) VALUES ('P3', 'email', %s)"
    application.execute(insert, [NOON])
    with pytest.raises(psycopg.errors.UniqueViolation):
        application.execute(insert, [NOON + timedelta(minutes=1)])


# Seeds, and identifiers


@pytest.mark.parametrize(
    ("domain", "per_hour"),
    [
        ("gmail.com", 10_000),
        ("yahoo.com", 5_000),
        ("hotmail.com", 5_000),
        ("outlook.com", 5_000),
        ("aol.com", 3_000),
    ],
)
def test_the_large_providers_are_limited_from_the_start(application, domain, per_hour):
    ask = "SELECT max_per_hour FROM rate_limits WHERE limit_type = 'domain' AND limit_key = %s AND is_active"
    assert application.execute(ask, [domain]).fetchall() == [(per_hour,)]


def test_public_identifiers_grow_with_time(application):
    uuids = [application.execute("SELECT new_uuid()").fetchone()[0] for _ in range(50)]
    assert {uuid.version for uuid in uuids} == {7}
    assert [uuid.bytes[:6] for uuid in uuids] == sorted(uuid.bytes[:6] for uuid in uuids)
