"""How Alembic runs: one transaction a step, with limits on waiting for locks."""

import sqlalchemy as sa
from alembic import context

from app.db.tables import metadata

PARTITIONS = ("message_queue_p", "delivery_events_y")


def include_name(name: str | None, type_: str, _parents: object) -> bool:
    """Leave partitions out of comparisons: their parents speak for them."""
    return not (type_ == "table" and name is not None and name.startswith(PARTITIONS))


def run() -> None:
    url = sa.make_url(context.config.attributes["url"]).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(
        url, poolclass=sa.NullPool, connect_args={"options": "-c lock_timeout=5s -c statement_timeout=30min"}
    )
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            include_name=include_name,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
