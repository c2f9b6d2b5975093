"""A PostgreSQL server of our own: one directory, one socket, two roles."""

import os
import re
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import pq, sql

from app.embedded import cluster
from app.embedded.accounts import Account
from app.embedded.binaries import PostgresPrograms
from app.embedded.process import Command, Process
from app.embedded.tuning import Tuning
from app.errors import Unavailable

_SOCKET_WITHIN = timedelta(seconds=60)
_PAUSE = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Postgres:
    """Where the server is and how it is run; all directories but `data` exist.

    `kept` are descriptors it inherits: a lock among them is held for as long as any of its processes runs.
    """

    data: Path
    sockets: Path
    log: Path
    programs: PostgresPrograms
    account: Account
    tuning: Tuning

    kept: tuple[int, ...] = ()

    name = "postgres"

    def prepare(self) -> None:
        """Make or check the directory; the caller holds its lock. Raises ConfigurationError."""
        cluster.prepare(self.data, self.programs, self.account, self.sockets, self.tuning)

    def command(self) -> Command:
        """Say how it is started. The first signal ends it in order, the second without a checkpoint."""
        return Command(
            name=self.name,
            arguments=(str(self.programs.bin / "postgres"), "-D", str(self.data)),
            directory=self.data,
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            account=self.account,
            output=self.log,
            kept=self.kept,
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
            patience=timedelta(seconds=60),
        )

    def wait_until_ready(self, process: Process) -> None:
        """Return once it answers, however long it takes to recover from a crash.

        Raises Unavailable with its last words where it ends instead, or opens no socket in a minute.
        """
        deadline = time.monotonic() + _SOCKET_WITHIN.total_seconds()
        address = self._address(cluster.SUPERUSER, "postgres").encode()
        while (state := pq.PGconn.ping(address)) != pq.Ping.OK:
            if process.ended() is not None:
                raise Unavailable(f"PostgreSQL did not start:\n{last_words(self.log)}")
            if state != pq.Ping.REJECT and time.monotonic() > deadline:
                raise Unavailable(f"PostgreSQL opened no socket in {self.sockets}; see {self.log}")
            time.sleep(_PAUSE)

    def ensure_database(self) -> None:
        """Create both roles and the database where they are missing."""
        with psycopg.connect(self._address(cluster.SUPERUSER, "postgres"), autocommit=True) as connection:
            for role in (cluster.OWNER, cluster.APPLICATION):
                if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
                    connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            if not _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", cluster.DATABASE):
                create_database(connection, cluster.DATABASE)
        with psycopg.connect(self._address(cluster.SUPERUSER, cluster.DATABASE)) as connection:
            connection.execute(_GRANTS)

    def url(self, database: str = cluster.DATABASE, role: str = cluster.APPLICATION) -> str:
        """Give SQLAlchemy's address of a database, as the application unless told otherwise."""
        return f"postgresql+psycopg://{role}@/{database}?host={quote(str(self.sockets), safe='/')}"

    def superuser_dsn(self, database: str = "postgres") -> str:
        """Give libpq's address of a database, as the superuser."""
        return self._address(cluster.SUPERUSER, database)

    def _address(self, role: str, database: str) -> str:
        return psycopg.conninfo.make_conninfo(host=str(self.sockets), user=role, dbname=database)


def create_database(
    connection: psycopg.Connection, name: str, template: str | None = None, strategy: str = "wal_log"
) -> None:
    """Create a database that belongs to the owner's role; the connection commits by itself."""
    statement = sql.SQL("CREATE DATABASE {} OWNER {}").format(
        sql.Identifier(name), sql.Identifier(cluster.OWNER)
    )
    if template:
        statement += sql.SQL(" TEMPLATE {} STRATEGY {}").format(
            sql.Identifier(template), sql.Identifier(strategy)
        )
    connection.execute(statement)


def last_words(log: Path, lines: int = 8) -> str:
    """Give the end of a log, without the time and process at the head of each line."""
    text = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
    return "\n".join("  " + re.sub(r"^[-0-9]+ [0-9:.]+ UTC \[\d+\] ", "", line) for line in text)


def _exists(connection: psycopg.Connection, question: str, name: str) -> bool:
    return connection.execute(question.encode(), (name,)).fetchone() is not None


# Rights on what migrations create are given by the migrations; everybody else has none.
_GRANTS = f"""
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO {cluster.OWNER};
GRANT USAGE ON SCHEMA public TO {cluster.APPLICATION};
"""
