"""Connections that the server closed meanwhile, and those lent to single statements."""

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from app.db import engine as engines
from app.db.engine import bare, make_engine, unavailable_when_down
from app.errors import Unavailable
from tests.world import wait_for

_OF_THE_POOL = (
    "FROM pg_stat_activity WHERE application_name = 'tocsin victim' AND datname = current_database()"
)
CLOSE = f"SELECT pg_terminate_backend(pid) {_OF_THE_POOL}"
LEFT = f"SELECT count(*) {_OF_THE_POOL}"


@pytest.fixture
def engine(database_url):
    engine = make_engine(database_url, pool=1, name="victim")
    yield engine
    engine.dispose()


@pytest.fixture
def cut(database_url, engine):
    """A function after which the server has closed every connection of the pool."""
    other = make_engine(database_url, pool=1, name="killer")

    def cut():
        with other.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
            assert conn.exec_driver_sql(CLOSE).all()
            wait_for(lambda: conn.exec_driver_sql(LEFT).scalar_one() == 0)

    yield cut
    other.dispose()


def backend(engine):
    with engine.connect() as conn:
        return conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()


def test_a_connection_that_the_server_closed_costs_no_error(engine, cut):
    first = backend(engine)
    cut()
    assert backend(engine) != first


def test_a_bare_connection_that_the_server_closed_costs_no_error(engine, cut):
    backend(engine)
    cut()
    with bare(engine) as conn:
        assert conn.execute("SELECT 1 AS one").fetchall()[0].one == 1


def test_a_connection_that_is_well_is_used_again_without_asking_the_server(engine):
    first = backend(engine)
    asking = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    with engine.connect() as conn:
        assert conn.exec_driver_sql(asking).scalar_one() == asking
    assert backend(engine) == first


def test_a_connection_that_was_quiet_for_long_is_asked_first(database_url, monkeypatch):
    asked = []
    monkeypatch.setattr(PGDialect_psycopg, "do_ping", lambda _, connection: asked.append(connection))
    engine = make_engine(database_url, pool=1, name="victim")
    backend(engine)
    monkeypatch.setattr(engines, "_QUIET", -1.0)
    asked.clear()
    backend(engine)
    engine.dispose()
    assert len(asked) == 1


def test_statements_on_a_bare_connection_commit_by_themselves(engine):
    with bare(engine) as conn:
        conn.execute("CREATE TEMPORARY TABLE kept (n int)")
        conn.execute("INSERT INTO kept VALUES (1)")
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_bare_connection_goes_back_as_it_came(engine):
    with bare(engine) as conn:
        conn.execute("SELECT 1")
    with engine.begin() as conn:
        assert conn.connection.driver_connection.autocommit is False
        assert conn.exec_driver_sql("SELECT 1").one() == (1,)


def test_a_bare_connection_that_dies_is_unavailable_and_does_not_go_back(engine, cut):
    def use_it_until_it_dies():
        with unavailable_when_down(), bare(engine) as conn:
            conn.execute("SELECT 1")
            cut()
            conn.execute("SELECT 1")

    with pytest.raises(Unavailable):
        use_it_until_it_dies()
    assert backend(engine)


def test_a_fault_of_the_statement_is_not_taken_for_an_outage(engine):
    with pytest.raises(psycopg.errors.DivisionByZero), unavailable_when_down(), bare(engine) as conn:
        conn.execute("SELECT 1 / 0")
    with pytest.raises(sa.exc.DataError), unavailable_when_down(), engine.connect() as conn:
        conn.exec_driver_sql("SELECT 1 / 0")
