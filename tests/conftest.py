"""Real servers for tests: one PostgreSQL and one Valkey for each xdist worker, made when first asked for."""

import gc
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import sql

from app.db.migrate import upgrade
from app.embedded import accounts, binaries, cluster, tuning
from app.embedded.guard import Guard
from app.embedded.postgres import Postgres, create_database
from app.embedded.process import Process, start
from app.embedded.valkey import Valkey
from tests.plain_logs import write_plainly

_names = count(1)
_ENOUGH_MEMORY = 2 * 1024**3


@dataclass(frozen=True, kw_only=True)
class Urls:
    """Addresses of one database: as the application's role, and as the owner of the tables."""

    application: str
    owner: str


@dataclass(frozen=True, kw_only=True)
class Databases:
    """Makes a database for each test. A test's own is dropped by the next: at once it takes 0.1 s more."""

    server: Postgres
    connection: psycopg.Connection
    used: list[str] = field(default_factory=list)

    def fresh(self, template: str | None = None) -> Urls:
        for name in self.used:
            self.connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        self.used[:] = [f"test_{next(_names)}"]
        # Copying files costs half as much as writing each page to the log, which nobody is to recover from.
        create_database(self.connection, self.used[0], template=template, strategy="file_copy")
        return self.urls(self.used[0])

    def urls(self, name: str) -> Urls:
        return Urls(
            application=self.server.url(name, cluster.APPLICATION),
            owner=self.server.url(name, cluster.OWNER),
        )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector off what stays to the end: libraries, and ten thousand tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    write_plainly()


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a test does to the environment ends with it."""
    before = dict(os.environ)
    yield
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def server_account() -> accounts.Account:
    """Who runs the servers: we ourselves, or `nobody` where we are root."""
    return accounts.for_servers(Path("/nonexistent"))


@pytest.fixture(scope="session")
def quick_disk() -> Path | None:
    """A directory in memory where there is room; None stands for the usual one for temporary files.

    A database is a thousand small files: made in memory, a clone takes 20 ms instead of 120.
    """
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a directory there that is ours alone.
    if not memory.is_dir() or shutil.disk_usage(memory).free < _ENOUGH_MEMORY:
        return None
    return memory


@pytest.fixture(scope="session")
def server_root(server_account, quick_disk) -> Iterator[Path]:
    """A short directory for servers, which their account may use; pytest's own are root's alone."""
    root = Path(tempfile.mkdtemp(prefix="tocsin-test-", dir=quick_disk))
    os.chown(root, server_account.uid, server_account.gid)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def guard() -> Iterator[Guard]:
    """Stops the servers also where pytest itself is killed."""
    guard = Guard()
    yield guard
    guard.close()


@pytest.fixture(scope="session")
def postgres(server_root, server_account, guard) -> Iterator[Postgres]:
    """A running PostgreSQL with both roles, without fsync."""
    found = binaries.find_postgres()
    server = Postgres(
        data=server_root / "postgres",
        sockets=server_root,
        log=server_root / "postgres.log",
        programs=binaries.postgres_for(found, server_account, server_root / "programs"),
        account=server_account,
        tuning=tuning.of_this_machine(durable=False),
    )
    with running(server, guard):
        server.ensure_database()
        yield server


@pytest.fixture(scope="session")
def valkey(server_root, server_account, guard) -> Iterator[Valkey]:
    """A running Valkey that writes nothing to disk."""
    found = binaries.find_valkey()
    server = Valkey(
        data=server_root / "valkey",
        socket=server_root / "valkey.sock",
        log=server_root / "valkey.log",
        program=binaries.valkey_for(found, server_account, server_root / "programs"),
        account=server_account,
        durable=False,
    )
    with running(server, guard):
        yield server


@pytest.fixture
def redis_url(valkey) -> str:
    """The address of an empty Valkey."""
    with redis.Redis.from_url(valkey.url()) as client:
        client.flushall()
    return valkey.url()


@pytest.fixture(scope="session")
def databases(postgres) -> Iterator[Databases]:
    """Makes databases, and removes the ones of earlier tests."""
    with psycopg.connect(postgres.superuser_dsn(), autocommit=True) as connection:
        yield Databases(server=postgres, connection=connection)


@pytest.fixture(scope="session")
def template_database(databases) -> str:
    """The name of a database that is migrated and that nobody is connected to."""
    name = "template_tocsin"
    create_database(databases.connection, name)
    urls = databases.urls(name)
    upgrade(urls.owner, application_url=urls.application)
    return name


@pytest.fixture
def database(databases, template_database) -> Urls:
    """The addresses of a fresh, migrated database."""
    return databases.fresh(template_database)


@pytest.fixture
def empty_database(databases) -> Urls:
    """The addresses of a fresh database without any table, for migrations."""
    return databases.fresh()


@pytest.fixture
def database_url(database) -> str:
    """The application's address of a fresh, migrated database."""
    return database.application


@pytest.fixture
def owner_url(database) -> str:
    """The owner's address of the same database."""
    return database.owner


@contextmanager
def running(server: Postgres | Valkey, guard: Guard) -> Iterator[Process]:
    """Have a server run inside the block, and gone after it."""
    server.prepare()
    process = start(server.command(), guard.environment)
    guard.watch(process)
    try:
        server.wait_until_ready(process)
        yield process
    finally:
        process.stop()
        guard.forget(process)


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits until a condition holds; fails where it does not within so many seconds."""
    return _wait_for


def _wait_for(condition: Callable[[], object], *, within: float = 15) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.01)
