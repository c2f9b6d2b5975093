"""A gateway with each of its faults, and well again: nobody is lost, nobody gets it twice unmarked."""

from datetime import timedelta

import pytest

from app.domain.vocabulary import Channel, Priority
from app.limits.breaker import Breakers, Rule
from app.services.sending import lane
from app.simulator.faults import FaultMode
from tests.faults.counting import agree
from tests.world import wait_for

QUICK = Rule(wait=timedelta(milliseconds=50), longest_wait=timedelta(milliseconds=50))
TIMEOUT = timedelta(seconds=0.5)
# Of these nobody can know whether it took the message: it may go twice, and says so.
UNKNOWN = {FaultMode.TIMEOUT, FaultMode.LOST, FaultMode.GARBAGE, FaultMode.SLOW}


@pytest.fixture
def impatient(world):
    """A worker that waits half a second for an answer, and a moment for a breaker."""
    breakers = Breakers(world.app.redis, rules={Channel.EMAIL: QUICK})
    return world.with_tools(breakers=breakers, gateway_timeout=TIMEOUT)


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"gateway_timeout_seconds": TIMEOUT.total_seconds()})


def work(world, messages):
    """Send, and do what failing over asks for, until all have left."""

    def are_sent():
        lane.work(world.tools, Priority.P1, sweep=True)
        while world.wake.failed_over:
            priority, ids = world.wake.failed_over.pop(0)
            lane.work_these(world.tools, priority, ids)
        for message in messages:
            if world.row(message).status == "pending":
                world.change(message, scheduled_for=world.clock() - timedelta(seconds=1))
        return world.statuses(messages) == {"sent": len(messages)}

    wait_for(are_sent, within=30)


@pytest.mark.parametrize("mode", list(FaultMode))
def test_with_any_fault_all_leave_and_afterwards_the_first_gateway_is_back(impatient, mode):
    world = impatient
    world.gateways.break_("postal", mode.value)
    messages = world.add("P1", 6)
    work(world, messages)
    times = agree(world, messages)
    if mode not in UNKNOWN:
        assert set(times.values()) == {1}
        assert not any(world.row(message).possible_duplicate for message in messages)
    world.gateways.mend()

    def is_back():
        probe = world.one("P1")
        work(world, [probe])
        return world.gateways.taken(probe.uuid) == ["postal"]

    wait_for(is_back, within=20)
