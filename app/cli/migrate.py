"""`tocsin migrate`: bringing the database to this version's schema."""

from dataclasses import dataclass

import click
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from app import settings as config
from app.cli.operator import reachable
from app.cli.output import json_option, print_json, print_table
from app.db.engine import make_engine, unavailable_when_down
from app.db.migrate import MIGRATIONS, downgrade, upgrade
from app.errors import Conflict, NotFound

_BASE = "base"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One migration, and what it is for."""

    revision: str
    meaning: str


@click.command()
@click.option("--to", "target", metavar="REVISION", default="head", show_default=True, help="Where to stop.")
@click.option("--down", is_flag=True, help="Go back to an earlier revision; what later ones added is lost.")
@json_option
def migrate(*, target: str, down: bool, as_json: bool) -> None:
    """Bring the database to this version's schema, as the owner of the tables.

    Connects as MIGRATION_DATABASE_URL, or as DATABASE_URL where that is not set, and lets the role of
    DATABASE_URL use what it made, once all of it is there.
    """
    settings = reachable(config.load())
    url = settings.migration_database_url or str(settings.database_url)
    with unavailable_when_down():
        before = _revision(url)
        steps = _steps(before, target, down=down)
        if down:
            downgrade(url, target)
        else:
            # Half a schema lacks tables that the rights are about.
            application = settings.database_url if _is_head(target) else None
            upgrade(url, application_url=application, revision=target)
        after = _revision(url)
    if as_json:
        print_json({"before": before, "after": after, "steps": steps})
    else:
        _tell(before, after, steps)


def _revision(url: str) -> str | None:
    engine = make_engine(url, pool=1, name="migrate")
    try:
        with engine.connect() as conn:
            return MigrationContext.configure(conn).get_current_revision()
    finally:
        engine.dispose()


def _is_head(target: str) -> bool:
    return target in ("head", ScriptDirectory(str(MIGRATIONS)).get_current_head())


def _steps(before: str | None, target: str, *, down: bool) -> list[Step]:
    """List the steps from one revision to the other, in the order they are taken.

    Raises NotFound for a revision that this version does not know, Conflict for one behind us unless
    the way is down.
    """
    scripts = ScriptDirectory(str(MIGRATIONS))
    known = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    here = _position(scripts, known, before, "The database is at")
    there = _position(scripts, known, None if target == _BASE else target, "There is no")
    if (there < here and not down) or (there > here and down):
        way = (
            "behind it; --down goes there, and loses what later steps added"
            if there < here
            else "ahead of it"
        )
        raise Conflict(f"The database is at {before or _BASE}, and {target} is {way}.")
    passed = known[here:there] if not down else known[there:here][::-1]
    return [_step(scripts, revision) for revision in passed]


def _position(scripts: ScriptDirectory, known: list[str], revision: str | None, said: str) -> int:
    """Count the steps up to and with a revision."""
    if revision is None:
        return 0
    try:
        found = scripts.get_revision(revision)
    except CommandError as exc:
        raise NotFound(f"{said} {revision}, which is no revision of this version.") from exc
    return known.index(found.revision) + 1


def _step(scripts: ScriptDirectory, revision: str) -> Step:
    script = scripts.get_revision(revision)
    return Step(revision=revision, meaning=(script.doc or "").splitlines()[0])


def _tell(before: str | None, after: str | None, steps: list[Step]) -> None:
    if not steps:
        click.echo(f"Nothing to do: the database is at {after or _BASE}.")
        return
    print_table(("revision", "what it does"), [(step.revision, step.meaning) for step in steps])
    click.echo(f"The database went from {before or _BASE} to {after or _BASE}.")
