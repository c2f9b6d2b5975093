"""What the application's role may do; it owns nothing."""

import sqlalchemy as sa
from psycopg import sql

# Logs that may only grow: no right to change or remove what is written.
APPEND_ONLY = ("delivery_events", "audit_log")


def grant_application(url: str, *, role: str) -> None:
    """Give `role` the rights the application needs; may be repeated, and is after each migration."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.begin() as conn:
        if conn.scalar(sa.text("SELECT current_user")) == role:
            return
        for text in _statements(role):
            conn.exec_driver_sql(text.as_string())


def _statements(role: str) -> list[sql.Composed]:
    name = sql.Identifier(role)
    grants = [
        "GRANT USAGE ON SCHEMA public TO {}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {}",
        "REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {}",
    ]
    revokes = [f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {{}}" for table in APPEND_ONLY]
    return [sql.SQL(text).format(name) for text in grants + revokes]
