"""What is told of sending to people and other tools: where it breaks, no message is lost or sent twice."""

import pytest

from app.domain.vocabulary import Priority
from app.services.sending import lane, release


class Broken:
    """Takes nothing of what it is told."""

    def add(self, *_tally, **_options):
        raise RuntimeError("no more of this")

    def tried(self, *_try, **_times):
        raise RuntimeError("no more of this")


def test_what_was_taken_is_sent_though_nothing_can_be_counted(world):
    message = world.one("P3")
    with pytest.raises(RuntimeError, match="no more"):
        lane.work(world.with_tools(names=Broken()).tools, Priority.P3, sweep=True)
    assert world.row(message).status == "sent"


@pytest.mark.parametrize("priority", ["P0", "P3"])
def test_what_was_taken_is_known_though_nothing_can_be_traced(world, priority):
    message = world.one(priority)
    with pytest.raises(RuntimeError, match="no more"):
        lane.work(world.with_tools(traces=Broken()).tools, Priority(priority), sweep=True)
    world.lapse()
    release.release(world.tools, Priority(priority))
    row = world.row(message)
    assert (row.status, row.possible_duplicate) == ("sent", False)
    assert world.gateways.taken(message.uuid) == ["postal"]
