"""How a process hears of stops: by Redis at once, by PostgreSQL in time, by neither not at all."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from app.db.redis import quick_client
from app.domain.stops import NOTHING_STOPPED
from app.domain.vocabulary import Priority
from app.errors import Unavailable
from app.services.sending import lane, stops
from app.services.sending.stops import StopWatch
from tests.world import wait_for


def deaf_bell(seconds):
    """Rings never, as where Redis is gone."""
    raise Unavailable("no Redis")


@pytest.fixture
def other(world, settings):
    """What another process knows."""
    watch = StopWatch(world.app.engine, quick_client(settings.redis_url))
    yield watch
    watch._client.close()


@contextmanager
def following(watch, bell, *, changed=lambda: None, resumed=lambda: None):
    stopping = threading.Event()
    told = {"changed": changed, "resumed": resumed}
    thread = threading.Thread(target=watch.follow, args=(bell, stopping), kwargs=told)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def is_stopped(watch, priority=Priority.P3):
    return watch.of_lane(priority).whole is not None


@pytest.mark.parametrize("with_redis", [True, False])
def test_another_process_knows_of_a_stop_within_a_second(world, desk, other, with_redis):
    bell = world.app.bell_of_stops() if with_redis else deaf_bell
    with following(other, bell):
        wait_for(lambda: other._known.is_fresh)
        desk.stop()
        pressed = time.monotonic()
        wait_for(lambda: is_stopped(other))
        assert time.monotonic() - pressed < (0.3 if with_redis else 0.9)
    if with_redis:
        bell.close()


def test_whoever_follows_is_told_after_a_stop_has_ended(world, desk, other):
    told = threading.Event()
    desk.stop()
    with following(other, deaf_bell, resumed=told.set):
        wait_for(lambda: is_stopped(other))
        assert not told.is_set()
        desk.resume()
        wait_for(told.is_set)


def test_whoever_follows_is_told_of_changes_by_the_bell_alone(world, desk, other):
    told, bell = threading.Event(), world.app.bell_of_stops()
    with following(other, bell, changed=told.set):
        wait_for(lambda: bell._heard is not None and world.app.redis.pubsub_numsub("stops")[0][1])
        asked = other._known.asked_at
        wait_for(lambda: other._known.asked_at > asked)
        assert not told.is_set()
        world.app.catalog.changed()
        wait_for(told.is_set, within=5)
    bell.close()


def test_a_stop_is_known_before_whoever_follows_reads_the_rest(world, desk, other):
    seen, bell = [], world.app.bell_of_stops()
    with following(other, bell, changed=lambda: seen.append(is_stopped(other))):
        wait_for(lambda: bell._heard is not None and world.app.redis.pubsub_numsub("stops")[0][1])
        desk.stop()
        wait_for(lambda: seen)
    assert seen[0] is True
    bell.close()


def test_nobody_is_told_of_an_end_when_a_stop_begins(world, desk, other):
    told, looks = threading.Event(), []

    def bell(seconds):
        looks.append(seconds)
        deaf_bell(seconds)

    with following(other, bell, resumed=told.set):
        desk.stop()
        wait_for(lambda: is_stopped(other))
        seen = len(looks)
        wait_for(lambda: len(looks) > seen + 1)
        assert not told.is_set()


def test_where_nobody_follows_whoever_looks_asks(desk, other):
    assert other.of_lane(Priority.P3) is NOTHING_STOPPED
    desk.stop()
    wait_for(lambda: is_stopped(other), within=1)


class SlowlyAnswered(StopWatch):
    """A process whose database takes half of the time that an answer holds."""

    asked = 0

    def _of_postgres(self):
        self.asked += 1
        threading.Event().wait(stops.HOLDS / 2)
        return super()._of_postgres()


def test_threads_that_wait_for_a_slow_database_share_its_answer(world):
    watch = SlowlyAnswered(world.app.engine, world.app.redis)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(watch.of_lane, [Priority.P3] * 8))
    assert found == [NOTHING_STOPPED] * 8
    assert watch.asked == 1


def test_where_somebody_follows_an_emergency_asks_nobody(world, monkeypatch):
    watch = SlowlyAnswered(world.app.engine, world.app.redis)
    watch.refresh()
    watch._followed = True
    for name in ("LOOK", "HOLDS"):
        monkeypatch.setattr(stops, name, -1.0)
    assert watch.of_lane(Priority.P0) is NOTHING_STOPPED
    assert watch.asked == 1


class Stuck(StopWatch):
    """A process whose database has stopped answering in the middle of a question."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.goes_on = threading.Event()
        self.goes_on.set()

    def _of_postgres(self):
        self.goes_on.wait()
        return super()._of_postgres()


def test_an_emergency_does_not_wait_while_another_thread_asks(world, desk, monkeypatch):
    watch = Stuck(world.app.engine, world.app.redis)
    desk.stop(including_p0=True)
    watch.refresh()
    monkeypatch.setattr(stops, "LOOK", -1.0)
    watch.goes_on.clear()
    with ThreadPoolExecutor(2) as threads:
        asking = threads.submit(watch.refresh)
        wait_for(watch._asking.locked)
        try:
            assert threads.submit(is_stopped, watch, Priority.P0).result(timeout=5)
            assert not asking.done()
        finally:
            watch.goes_on.set()


def test_a_stop_outlives_an_emptied_redis_and_a_new_process(world, desk, other):
    desk.stop()
    world.app.redis.flushall()
    assert is_stopped(other)
    assert lane.work(world.tools, Priority.P3, sweep=True) == 0


def test_without_postgres_the_copy_in_redis_counts(world, desk, other, outages):
    desk.stop(including_p0=True)
    with outages.without_postgres():
        assert is_stopped(other)
        assert is_stopped(other, Priority.P0)


def test_whoever_reaches_neither_starts_nothing_but_emergencies(world, other, outages):
    other.refresh()
    with outages.without_postgres(), outages.without_valkey():
        other._known = stops._NOBODY_KNOWS
        with pytest.raises(Unavailable):
            other.of_lane(Priority.P4)
        assert other.of_lane(Priority.P0) is NOTHING_STOPPED


def test_what_was_known_a_second_ago_starts_nothing(world, other, outages, monkeypatch):
    other.refresh()
    with outages.without_postgres(), outages.without_valkey():
        monkeypatch.setattr(stops, "HOLDS", 0.0)
        with pytest.raises(Unavailable):
            other.of_lane(Priority.P3)


def test_a_stop_of_emergencies_is_remembered_where_nobody_can_be_asked(world, desk, other, outages):
    desk.stop(including_p0=True)
    other.refresh()
    with outages.without_postgres(), outages.without_valkey():
        wait_for(lambda: not other._known.is_fresh)
        assert is_stopped(other, Priority.P0)


def test_an_older_copy_never_replaces_a_newer_one(world, desk, other):
    old = other.refresh()
    desk.stop()
    newer = world.app.stops.refresh()
    other._copied = (float("-inf"), ())
    other._copy(old)
    assert world.app.redis.hget("stops:copy", "stops") != "[]"
    assert other._of_redis().stops == newer.stops


def test_a_copy_from_before_the_clock_was_set_back_gives_way(world, desk, other):
    ahead = time.time() + 120
    world.app.redis.hset("stops:copy", mapping={"at": ahead, "stops": "[]"})
    desk.stop()
    assert other._of_redis().stops == other.refresh().stops != ()


def test_a_copy_is_made_again_before_it_is_gone(world, desk, other, monkeypatch):
    desk.stop()
    other.refresh()
    world.app.redis.delete("stops:copy")
    monkeypatch.setattr(stops, "_COPY_AGAIN", -1.0)
    other.refresh()
    assert other._of_redis().stops != ()


def test_what_is_known_grows_older_by_the_time_that_passes():
    at = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
    known = stops.Known(stops=(), at=at, asked_at=time.monotonic() - 5)
    assert timedelta(seconds=5) <= known.now() - at < timedelta(seconds=6)


def test_a_copy_tells_the_same_as_postgres(world, desk, other):
    desk.stop("channel", "email", until=world.clock() + stops._COPY_KEPT)
    desk.resume(over=stops._COPY_KEPT)
    assert other._of_redis().stops == other.refresh().stops != ()


def test_the_bell_comes_back_with_redis(world, desk):
    bell = world.app.bell_of_stops()
    bell(0.01)
    world.app.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    with pytest.raises(Unavailable):
        bell(1.0)
    bell(0.01)
    desk.stop()
    assert bell(1.0)
    bell.close()
