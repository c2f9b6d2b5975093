"""Claims behind each other on one thread's wire."""

import pytest

from app.domain.vocabulary import Priority
from app.errors import Unavailable
from app.services.sending import lane
from tests.world import meanwhile


@pytest.fixture
def small(world):
    """The world with claims of ten campaign messages, and 16 requests in flight."""
    few = world.tools.lanes[Priority.P3].changed(claim_size=10)
    return world.with_tools(lanes={**world.tools.lanes, Priority.P3: few})


def work(world):
    return lane.work(world.tools, Priority.P3, sweep=False)


def states(world):
    return sorted(claim.state for claim in world.claims())


def test_the_next_claims_requests_leave_before_the_last_ones_are_answered(small):
    messages = small.add("P3", 20)
    small.gateways.slow_down(1000)
    seen = []
    with meanwhile(lambda: small.gateways.requests("postal") >= 16, lambda: seen.append(states(small))):
        work(small)
    assert seen == [["sending", "sending"]]
    assert small.statuses(messages) == {"sent": 20}
    assert states(small) == ["closed", "closed"]


def test_a_claim_is_settled_when_its_own_answers_are_there_whatever_the_next_one_waits_for(small):
    first = small.add("P3", 10)
    slow = small.one("P3", recipient_address="slow@example.com")
    seen = []
    with meanwhile(
        lambda: small.statuses(first) == {"sent": 10}, lambda: seen.append(small.row(slow).status)
    ):
        work(small)
    (status,) = seen
    assert status != "sent"
    assert small.row(slow).status == "sent"


def test_a_gateway_that_hangs_on_one_of_each_claim_does_not_make_a_thread_hold_them_all(small):
    for _ in range(6):
        small.add("P3", 9)
        small.one("P3", recipient_address="slow@example.com")
    most = []
    with meanwhile(
        lambda: small.gateways.requests("postal") >= 40,
        lambda: most.append(states(small).count("sending")),
    ):
        assert work(small) == 60
    assert most == [4]
    assert set(states(small)) == {"closed"}


def test_where_the_database_fails_the_next_claim_the_last_ones_answers_are_kept(small, monkeypatch):
    messages = small.add("P3", 30)
    claim, asked = lane._Stint._claim, []

    def fails_once(self, channels, from_beginning):
        asked.append(from_beginning)
        if len(asked) == 2:
            raise Unavailable("PostgreSQL does not answer")
        return claim(self, channels, from_beginning)

    monkeypatch.setattr(lane._Stint, "_claim", fails_once)
    assert work(small) == 10
    assert small.statuses(messages) == {"sent": 10, "pending": 20}
    assert states(small) == ["closed"]


class _FirstFails:
    """A gateway for which the first requests cannot be made."""

    def __init__(self, gateway, failing):
        self._gateway = gateway
        self._failing = failing

    def __getattr__(self, name):
        return getattr(self._gateway, name)

    def build(self, envelopes, now):
        if self._failing:
            self._failing -= 1
            raise Unavailable("no credentials yet")
        return self._gateway.build(envelopes, now)


def test_messages_behind_some_that_leave_no_request_leave_all_the_same(world, monkeypatch):
    monkeypatch.setattr(world.tools.places, "each", 1)
    few = _FirstFails(world.tools.gateways["postal"], 2)
    poor = world.with_tools(gateways={**world.tools.gateways, "postal": few})
    messages = poor.add("P3", 6)
    work(poor)
    assert poor.statuses(messages) == {"pending": 2, "sent": 4}
