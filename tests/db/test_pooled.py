"""Behind PgBouncer, which lends a connection for each transaction, and rarely the same one twice."""

import os
import shutil
import subprocess

import psycopg
import pytest
import sqlalchemy as sa

from app.bootstrap import build
from app.db.engine import bare, make_engine
from app.domain.vocabulary import Priority
from app.embedded import cluster
from app.services.sending import lane
from bench.ports import free_port
from tests.world import gateways, settings, wait_for, world

__all__ = ["gateways", "settings", "world"]

PROGRAM = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer (apt install pgbouncer)")
CONFIG = """
[databases]
* = host={sockets} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture
def pooled_url(postgres, databases, database_url, server_account, server_root):
    """The address of the test's database by way of a pooler with two connections."""
    port = free_port()
    config = server_root / "pgbouncer.ini"
    config.write_text(CONFIG.format(sockets=postgres.sockets, port=port, user=cluster.APPLICATION), "utf-8")
    dsn = f"postgresql://{cluster.APPLICATION}@127.0.0.1:{port}/{databases.used[0]}"
    pooler = subprocess.Popen(
        [PROGRAM, "-q", str(config)], user=server_account.uid, stderr=subprocess.DEVNULL, cwd="/"
    )
    try:
        wait_for(lambda: _answers(dsn))
        yield dsn.replace("postgresql://", "postgresql+psycopg://")
    finally:
        pooler.terminate()
        pooler.wait()


def _answers(dsn):
    try:
        with psycopg.connect(dsn) as connection:
            return connection.execute("SELECT 1").fetchone()
    except psycopg.OperationalError:
        return None


def test_statements_repeated_on_borrowed_connections_are_understood(pooled_url):
    engines = [make_engine(pooled_url, pool=4, name="pooled", pooled=True) for _ in range(3)]
    for number in range(20):
        for engine in engines:
            with engine.begin() as conn:
                assert conn.execute(sa.text("SELECT :n + 1"), {"n": number}).scalar_one() == number + 1
            with bare(engine) as connection:
                assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)
    for engine in engines:
        engine.dispose()


def test_messages_are_claimed_sent_and_settled_by_way_of_a_pooler(pooled_url, settings, world):
    by_pooler = settings.model_copy(update={"database_url": pooled_url, "database_pooled": True})
    app = build(by_pooler, "pooled", connections=6)
    messages = []
    for _ in range(8):
        messages += world.add("P3", 5)
        lane.work(app.tools, Priority.P3, sweep=True)
    assert world.statuses(messages) == {"sent": 40}
    app.engine.dispose()
    app.redis.close()
    app.broker.close()
