"""Keeping webhooks: many threads, few commits, and none is told that its letter is safe before it is."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy as sa

from app.db.tables import webhook_inbox
from app.errors import Unavailable
from app.services.recording import keeping
from app.services.recording.keeping import Keeper, Letter


def letter(number=0, **changes):
    fields = {
        "gateway": "ses",
        "request_id": f"r{number}",
        "url": 'http://localhost/webhooks/ses?a=\\"',
        "headers": '{"content-type": "text/plain; \\"x\\""}',
        "body": b"\x00\xff\\" + str(number).encode(),
    }
    return Letter(**(fields | changes))


def kept(world):
    return world.all(sa.select(webhook_inbox).order_by(webhook_inbox.c.id))


@pytest.fixture
def keeper(world):
    return Keeper(world.tools.engine)


class Slow(Keeper):
    """Writes its first round only when it is told to, and counts rounds."""

    def __init__(self, engine):
        super().__init__(engine)
        self.rounds = []
        self.began, self.go_on = threading.Event(), threading.Event()

    def _error_of(self, together):
        self.rounds.append(len(together))
        if len(self.rounds) == 1:
            self.began.set()
            assert self.go_on.wait(10)
        return super()._error_of(together)


@pytest.fixture
def slow(world):
    return Slow(world.tools.engine)


def beside(slow, letters):
    """Keep a first letter, and the others while it is being written; give what came of each."""
    with ThreadPoolExecutor(len(letters) + 1) as pool:
        first = pool.submit(slow.keep, letter(-1))
        assert slow.began.wait(10)
        others = [pool.submit(slow.keep, each) for each in letters]
        while len(slow._waiting) < len(letters):
            assert not first.done()
        slow.go_on.set()
        return [each.exception(10) for each in (first, *others)]


def test_a_letter_is_kept_as_it_came(keeper, world):
    keeper.keep(letter(7))
    (row,) = kept(world)
    assert (row.gateway, row.request_id, row.url) == ("ses", "r7", 'http://localhost/webhooks/ses?a=\\"')
    assert row.headers == {"content-type": 'text/plain; "x"'}
    assert bytes(row.body) == b"\x00\xff\\7"


def test_those_that_come_while_one_is_written_are_written_together(slow, world):
    assert beside(slow, [letter(n) for n in range(7)]) == [None] * 8
    assert slow.rounds == [1, 7]
    assert {row.request_id for row in kept(world)} == {f"r{n}" for n in range(-1, 7)}


def test_who_comes_alone_waits_for_nobody(keeper, world, monkeypatch):
    monkeypatch.setattr(keeping, "GATHERED_FOR", 600.0)
    for number in range(3):
        keeper.keep(letter(number))
    assert len(kept(world)) == 3


def test_after_a_crowd_a_round_waits_for_those_who_follow(slow, monkeypatch):
    monkeypatch.setattr(keeping, "GATHERED_FOR", 0.5)
    assert beside(slow, [letter(n) for n in range(3)]) == [None] * 4
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(slow.keep, [letter(10), letter(11)]))
    assert slow.rounds == [1, 3, 2]


def test_a_round_that_has_many_waits_no_longer(slow, monkeypatch):
    monkeypatch.setattr(keeping, "GATHERED_FOR", 600.0)
    monkeypatch.setattr(keeping, "MANY", 7)
    assert beside(slow, [letter(n) for n in range(7)]) == [None] * 8
    assert slow.rounds == [1, 7]


def test_a_round_takes_only_so_much(slow, monkeypatch):
    monkeypatch.setattr(keeping, "MOST_TOGETHER", 2)
    assert beside(slow, [letter(n) for n in range(5)]) == [None] * 6
    assert slow.rounds == [1, 2, 2, 1]


def test_large_ones_are_written_one_by_one(slow, monkeypatch):
    monkeypatch.setattr(keeping, "MOST_BYTES", 100)
    assert beside(slow, [letter(n, body=bytes(200)) for n in range(3)]) == [None] * 4
    assert slow.rounds == [1, 1, 1, 1]


def test_one_that_cannot_be_written_keeps_no_other_back(slow, world):
    told = beside(slow, [letter(1), letter(2, headers="no JSON"), letter(3)])
    assert [error for error in told if error is None] == [None] * 3
    assert len([error for error in told if isinstance(error, psycopg.errors.DataError)]) == 1
    assert {row.request_id for row in kept(world)} == {"r-1", "r1", "r3"}


def test_everybody_hears_that_the_database_is_gone(slow, world, outages):
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(slow.keep, letter(-1))
        assert slow.began.wait(10)
        others = [pool.submit(slow.keep, letter(n)) for n in range(3)]
        with outages.without_postgres():
            slow.go_on.set()
            errors = [each.exception(20) for each in (first, *others)]
    assert {type(error) for error in errors} == {Unavailable}
    slow.keep(letter(9))
    assert [row.request_id for row in kept(world)] == ["r9"]


def test_many_threads_lose_nothing(keeper, world):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: keeper.keep(letter(n)), range(400)))
    assert {row.request_id for row in kept(world)} == {f"r{n}" for n in range(400)}
    assert len(kept(world)) == 400
