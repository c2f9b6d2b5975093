"""Migrations up, down, up, and what they make against what the application believes."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.db.migrate import downgrade, pending, upgrade
from app.db.tables import metadata

PARTITIONS = ("message_queue_p", "delivery_events_y")


def connect(url):
    return sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)


def is_no_partition(name, kind, _parents):
    return not (kind == "table" and name is not None and name.startswith(PARTITIONS))


def is_real(change):
    """Tell a change from a sequence's default, of which PostgreSQL gives another value each time asked."""
    if not isinstance(change, list) or change[0][0] != "modify_default":
        return True
    found, wanted = change[0][5:7]
    return getattr(found, "arg", None) is None or str(found.arg) != str(wanted.arg)


def test_up_down_up_gives_what_the_application_believes(empty_database):
    upgrade(empty_database.owner, application_url=empty_database.application)
    downgrade(empty_database.owner, "base")
    upgrade(empty_database.owner, application_url=empty_database.application)
    with connect(empty_database.owner).connect() as conn:
        options = {
            "include_name": is_no_partition,
            "compare_type": True,
            "compare_server_default": True,
        }
        context = MigrationContext.configure(conn, opts=options)
        assert [change for change in compare_metadata(context, metadata) if is_real(change)] == []
        assert not pending(conn)


def test_the_way_down_leaves_nothing_behind(empty_database):
    upgrade(empty_database.owner)
    downgrade(empty_database.owner, "base")
    with connect(empty_database.owner).connect() as conn:
        left = conn.execute(
            sa.text("""
            SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
                AND relkind IN ('r', 'p', 'S', 'v') AND relname <> 'alembic_version'
            UNION ALL
            SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            """)
        ).all()
    assert left == []


def test_a_database_without_steps_says_that_they_are_pending(empty_database):
    with connect(empty_database.owner).connect() as conn:
        assert pending(conn)
