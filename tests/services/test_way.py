"""Bulk work gives way to emergencies on the same machine."""

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from app.domain.callers import SCOPES, Caller
from app.domain.vocabulary import Channel, Priority
from app.errors import Forbidden
from app.services import way as ways
from app.services.messages import MessageService
from app.services.requests import BulkHead, Row, SendRequest
from app.services.sending import lane
from app.services.way import Way
from app.wake import NoWake
from tests.world import TYPES

WORDS = {"channel": Channel.EMAIL, "subject": "Spring", "body_text": "It is here."}


@pytest.fixture
def caller(world):
    return Caller(client_id=world.client(), name="tests", scopes=frozenset(SCOPES))


@pytest.fixture
def long_taken(monkeypatch):
    """Let the way be taken for as long as a busy machine needs to look."""
    monkeypatch.setattr(ways, "TAKEN_FOR", 3600.0)


def service(world, way):
    return MessageService(world.tools.engine, world.tools.catalog, NoWake(), world.app.settings, way)


@contextmanager
def flood(way):
    """Emergencies without a pause while the block runs."""
    over = threading.Event()

    def run():
        while not over.wait(0.01):
            way.take()

    way.take()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.usefixtures("long_taken")
def test_another_process_of_the_machine_sees_that_the_way_is_taken(tmp_path):
    mine, other = Way(tmp_path), Way(tmp_path)
    assert not other.is_taken
    mine.take()
    assert other.is_taken


@pytest.mark.usefixtures("long_taken")
def test_without_a_folder_to_share_it_is_each_processs_own_matter():
    mine, other = Way(None), Way(None)
    mine.take()
    assert (mine.is_taken, other.is_taken) == (True, False)


def test_whoever_gives_way_goes_on_once_the_emergency_is_out(monkeypatch):
    monkeypatch.setattr(ways, "LONGEST_WAIT", 60.0)
    way = Way(None)
    way.take()
    way.give()
    assert not way.is_taken


@pytest.mark.usefixtures("long_taken")
def test_under_a_flood_of_emergencies_bulk_goes_on_slowly():
    way = Way(None)
    with flood(way):
        began = time.monotonic()
        way.give()
    assert time.monotonic() - began >= ways.LONGEST_WAIT


def test_where_emergencies_came_lately_uploads_rest_longer_than_they_worked(monkeypatch):
    slept = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=time.monotonic)
    monkeypatch.setattr(ways, "time", clock)
    monkeypatch.setattr(ways, "TAKEN_FOR", 0.0)
    way = Way(None)
    way.go_slowly(0.01)
    assert slept == []
    way.take()
    way.go_slowly(0.01)
    way.go_slowly(60.0)
    assert slept == [0.02, ways.LONGEST_WAIT]
    monkeypatch.setattr(ways, "LATELY", 0.0)
    way.go_slowly(0.01)
    assert len(slept) == 2


def test_where_the_machine_was_started_anew_nothing_waits_for_what_was_before(tmp_path):
    way = Way(tmp_path)
    # The clock of a machine that was up for longer.
    way._until[0] = time.monotonic() + 1_000_000
    assert not Way(tmp_path).is_taken


@pytest.mark.usefixtures("long_taken")
def test_an_emergency_takes_the_way_when_it_is_claimed(world):
    message = world.one("P0")
    lane.work_these(world.tools, Priority.P0, [message.id])
    assert world.tools.way.is_taken


@pytest.mark.parametrize(("priority", "waits"), [("P1", False), ("P2", True), ("P3", True), ("P4", False)])
def test_newsletters_and_campaigns_give_way_and_nobody_else(world, priority, waits, monkeypatch):
    given = []
    monkeypatch.setattr(world.tools.way, "give", lambda: given.append(True))
    world.one(priority)
    lane.work(world.tools, Priority(priority), sweep=False)
    assert bool(given) is waits
    assert not world.tools.way.is_taken


@pytest.mark.usefixtures("long_taken")
@pytest.mark.parametrize(("priority", "takes"), [("P0", True), ("P1", False), ("P4", False)])
def test_an_emergency_takes_the_way_from_when_it_comes(world, caller, priority, takes):
    way = Way(None)
    request = SendRequest(message_type=TYPES[Priority(priority)], recipient_address="a@example.com", **WORDS)
    service(world, way).send(caller, request)
    assert way.is_taken is takes


def test_who_may_not_send_emergencies_stops_nobody(world, caller):
    way = Way(None)
    request = SendRequest(message_type=TYPES[Priority.P0], recipient_address="a@example.com", **WORDS)
    with pytest.raises(Forbidden):
        service(world, way).send(replace(caller, scopes=frozenset({"messages:send"})), request)
    assert not way.is_taken


@pytest.mark.parametrize(("priority", "waits"), [("P0", False), ("P1", False), ("P2", True), ("P3", True)])
def test_an_upload_gives_way_unless_it_is_urgent_itself(world, caller, priority, waits):
    given = []
    way = Way(None)
    way.go_slowly = given.append
    head = BulkHead(message_type=TYPES[Priority(priority)], **WORDS)
    rows = [Row(n, f"reader{n}@example.com") for n in range(600)]
    service(world, way).send_bulk(caller, head, rows, request_hash=lambda: b"")
    assert len(given) == (3 if waits else 0)
    assert all(worked > 0 for worked in given)
