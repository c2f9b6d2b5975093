"""Reference data: how old it may be, and who waits while it is read anew."""

import threading

import pytest
import sqlalchemy as sa

from app.db.tables import rate_limits
from app.errors import Unavailable
from app.services import catalog as module
from app.services.limit_table import read_limits
from tests.world import wait_for

A_LONG_TIME = 3600.0


def keys(catalog):
    return {row.limit_key for row in catalog.limits()}


def add_limit(engine, key):
    with engine.begin() as conn:
        conn.execute(
            sa.insert(rate_limits).values(limit_type="domain", limit_key=key, max_per_hour=1, is_active=True)
        )


@pytest.fixture
def ageing(place, monkeypatch):
    """Let copies be old at once, but not too old to be used."""
    monkeypatch.setattr(module, "FRESH", -1.0)
    monkeypatch.setattr(module, "KEPT", A_LONG_TIME)
    yield
    # Nobody shall still read when the engine is taken down.
    wait_for(lambda: not place.catalog._renewing)


def test_a_fresh_copy_is_not_read_anew(place, monkeypatch):
    monkeypatch.setattr(module, "FRESH", A_LONG_TIME)
    monkeypatch.setattr(module, "KEPT", A_LONG_TIME)
    before = keys(place.catalog)
    add_limit(place.engine, "new.example")
    assert keys(place.catalog) == before
    place.catalog.forget()
    assert keys(place.catalog) == before | {"new.example"}


def test_a_copy_too_old_to_be_used_is_waited_for(place, monkeypatch):
    monkeypatch.setattr(module, "KEPT", -1.0)
    before = keys(place.catalog)
    add_limit(place.engine, "new.example")
    assert keys(place.catalog) == before | {"new.example"}


@pytest.mark.usefixtures("ageing")
def test_who_meets_an_ageing_copy_gets_it_at_once_and_the_next_gets_a_new_one(place):
    before = keys(place.catalog)
    add_limit(place.engine, "new.example")
    assert keys(place.catalog) == before
    wait_for(lambda: keys(place.catalog) == before | {"new.example"})


@pytest.mark.usefixtures("ageing")
def test_an_ageing_copy_is_read_anew_by_one_thread_only(place, monkeypatch):
    keys(place.catalog)
    go_on, readers = threading.Event(), []

    def slow(_conn):
        readers.append(threading.current_thread())
        go_on.wait()
        return ()

    monkeypatch.setattr(module, "read_limits", slow)
    for _ in range(10):
        keys(place.catalog)
    wait_for(lambda: readers)
    go_on.set()
    readers[0].join()
    assert len(readers) == 1


@pytest.mark.usefixtures("ageing")
def test_without_the_database_an_old_copy_serves_on_and_is_read_anew_afterwards(place, monkeypatch):
    before = keys(place.catalog)

    def down(_conn):
        raise Unavailable("the database is down")

    with monkeypatch.context() as broken:
        broken.setattr(module, "read_limits", down)
        broken.setattr(module, "KEPT", -1.0)
        assert keys(place.catalog) == before
    add_limit(place.engine, "new.example")
    wait_for(lambda: keys(place.catalog) == before | {"new.example"})


class Rounds(threading.Event):
    """Counts how often somebody looked whether to stop."""

    looks = 0

    def wait(self, timeout=None):
        self.looks += 1
        return super().wait(timeout)


@pytest.fixture
def rounds():
    return Rounds()


@pytest.fixture
def tended(place, rounds, monkeypatch):
    """Have somebody keep the copies, who looks again and again."""
    monkeypatch.setattr(module, "KEPT", A_LONG_TIME)
    monkeypatch.setattr(module, "FRESH", 0.01)
    monkeypatch.setattr(module, "TENDED", A_LONG_TIME)
    thread = threading.Thread(target=place.catalog.tend, args=(rounds,), name="tending")
    thread.start()
    wait_for(lambda: place.catalog._asked is not None)
    yield place.catalog
    rounds.set()
    thread.join()


def test_where_somebody_keeps_the_copies_whoever_asks_starts_nothing(place, tended, monkeypatch):
    readers = set()

    def read(conn):
        readers.add(threading.current_thread().name)
        return read_limits(conn)

    monkeypatch.setattr(module, "read_limits", read)
    before = keys(tended)
    add_limit(place.engine, "new.example")
    wait_for(lambda: keys(tended) == before | {"new.example"})
    assert readers == {threading.current_thread().name, "tending"}


def test_what_nobody_asks_for_is_read_anew_before_it_is_too_old(place, tended, rounds, monkeypatch):
    before = keys(tended)
    add_limit(place.engine, "new.example")
    at, _ = tended._kept["limits"]
    seen = rounds.looks
    wait_for(lambda: rounds.looks > seen + 3)
    assert tended._kept["limits"][0] == at
    monkeypatch.setattr(module, "TENDED", 0.05)
    wait_for(lambda: tended._kept["limits"][0] > at)
    assert keys(tended) == before | {"new.example"}


def test_whoever_stops_keeping_copies_leaves_it_to_those_who_ask(place, monkeypatch):
    stopping = threading.Event()
    stopping.set()
    place.catalog.tend(stopping)
    monkeypatch.setattr(module, "KEPT", A_LONG_TIME)
    monkeypatch.setattr(module, "FRESH", -1.0)
    before = keys(place.catalog)
    add_limit(place.engine, "new.example")
    wait_for(lambda: keys(place.catalog) == before | {"new.example"})
    wait_for(lambda: not place.catalog._renewing)
