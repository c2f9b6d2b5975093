"""Telling workers from a process that accepts: nothing stays untold, no flood becomes a flood of wakes."""

import time

import pytest

from app import wake as waking
from app.domain.vocabulary import Priority
from app.settings import Settings
from app.wake import GatheringWake
from tests.world import wait_for


class Counting:
    """A broker whose queues are always empty; it remembers what was put into them, and each look."""

    def __init__(self):
        self.looks = 0
        self.actors = []

    def enqueue(self, message):
        self.actors.append((message.actor_name, *message.args))

    def waiting(self, _queue):
        self.looks += 1
        return 0


@pytest.fixture
def broker():
    return Counting()


@pytest.fixture
def gathering(broker):
    return GatheringWake(broker, Settings(_env_file=None).lanes, doorbell=None)


def test_a_flood_looks_into_the_queue_only_so_often(gathering, broker):
    began = time.monotonic()
    while time.monotonic() - began < 10 * waking.INBOX_GATHERED_FOR:
        gathering.inbox()
    most = (time.monotonic() - began) / waking.INBOX_GATHERED_FOR + 1
    assert 0 < broker.looks <= most


def test_what_comes_while_others_are_told_is_told_afterwards(gathering, broker):
    for _ in range(20):
        told = len(broker.actors)
        gathering.inbox()
        wait_for(lambda told=told: len(broker.actors) > told)


def test_each_lane_and_the_inbox_are_told_of(gathering, broker):
    for priority in Priority:
        gathering.lane(priority)
    gathering.inbox()
    expected = {("record_event",), *(("claim_batch", priority.value, 0) for priority in Priority)}
    wait_for(lambda: set(broker.actors) == expected)
