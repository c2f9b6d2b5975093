"""Processes that say they live, and how they get on."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.engine import make_engine
from app.db.tables import process_beats
from app.services.beats import Heart, forget_the_gone, read_beats
from app.services.pulse import Pulse
from tests.world import Clock


@pytest.fixture
def engine(database_url):
    engine = make_engine(database_url, pool=2, name="test")
    yield engine
    engine.dispose()


def beats(engine):
    with engine.connect() as conn:
        return read_beats(conn)


def heart(engine, pulse=None, clock=None, **more):
    return Heart(engine, pulse or Pulse(), clock or Clock(), kind="workers", lanes=["alerts"], **more)


def test_a_process_that_beats_is_alive_and_says_what_it_does(engine):
    heart(engine, threads=5).beat()
    (beat,) = beats(engine)
    assert (beat.kind, beat.lanes, beat.threads, beat.busy, beat.alive) == (
        "workers",
        ("alerts",),
        5,
        0,
        True,
    )


def test_a_second_beat_takes_the_place_of_the_first(engine):
    one = heart(engine)
    one.beat()
    one.beat()
    assert len(beats(engine)) == 1


def test_a_process_that_is_idle_is_never_still(engine):
    heart(engine).beat()
    assert beats(engine)[0].still_for is None


def test_a_busy_process_tells_since_when_nothing_was_done(engine, monkeypatch):
    pulse = Pulse()
    with pulse.working():
        monkeypatch.setattr(pulse, "_moved", pulse._moved - 90)
        heart(engine, pulse).beat()
    (beat,) = beats(engine)
    assert beat.busy == 1
    assert timedelta(seconds=90) <= beat.still_for < timedelta(seconds=95)


def test_a_clock_that_is_ahead_shows_as_skew(engine):
    heart(engine, clock=Clock(ahead=timedelta(seconds=20))).beat()
    assert timedelta(seconds=19) < beats(engine)[0].skew < timedelta(seconds=21)


def test_who_is_not_heard_of_is_dead_after_thirty_seconds_and_forgotten_after_a_day(engine):
    heart(engine).beat()
    with engine.begin() as conn:
        conn.execute(sa.update(process_beats).values(beat_at=sa.func.now() - timedelta(seconds=31)))
    assert not beats(engine)[0].alive
    with engine.begin() as conn:
        assert forget_the_gone(conn) == 0
        conn.execute(sa.update(process_beats).values(beat_at=sa.func.now() - timedelta(hours=25)))
        assert forget_the_gone(conn) == 1


def test_a_process_that_ends_on_purpose_leaves_no_row(engine, eventually):
    one = heart(engine)
    one.start()
    eventually(lambda: beats(engine))
    one.stop()
    assert beats(engine) == ()


def test_threads_within_threads_count_once_and_leave_nothing_behind():
    pulse = Pulse()
    with pulse.working(), pulse.working():
        assert pulse.busy == 1
    assert pulse.busy == 0
