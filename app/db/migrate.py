"""Bringing a database to the schema this version expects."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.db.grants import grant_application

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def config(url: str) -> Config:
    """Make Alembic's configuration for the database at `url`."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    settings.attributes["url"] = url
    return settings


def upgrade(url: str, *, application_url: str | None = None, revision: str = "head") -> None:
    """Bring the database to `revision` and let the application's role use it.

    `url` belongs to the owner of the tables. Where `application_url` names another role, that role
    gets the rights the application needs and no more.
    """
    command.upgrade(config(url), revision)
    if application_url:
        grant_application(url, role=str(sa.make_url(application_url).username))


def downgrade(url: str, revision: str) -> None:
    """Take the database back to `revision`; the base is called "base"."""
    command.downgrade(config(url), revision)


def pending(conn: sa.Connection) -> bool:
    """Tell whether the database lacks a step that this version needs."""
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    return MigrationContext.configure(conn).get_current_revision() != head
