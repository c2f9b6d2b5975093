"""What the breakers hear of a claim's answers, and when."""

from datetime import timedelta

import pytest

from app.domain.vocabulary import BreakerState, Channel, OutcomeClass
from app.limits.breaker import Breakers, Rule
from app.services.sending import reports
from app.services.sending.reports import Reports
from tests.world import wait_for

POSTAL = (Channel.EMAIL, "postal")
GOOD = OutcomeClass.ACCEPTED
FAULT = OutcomeClass.TRANSIENT


class Listening(Breakers):
    """Breakers that keep what they were told."""

    told: list[tuple[int, int, int]]

    def record(self, channel, gateway, *, good, faults, probes=0, **rest):
        self.told.append((good, faults, probes))
        return super().record(channel, gateway, good=good, faults=faults, probes=probes, **rest)


@pytest.fixture
def listening(world):
    rule = Rule(wait=timedelta(milliseconds=50), longest_wait=timedelta(milliseconds=50))
    breakers = Listening(world.app.redis, rules={Channel.EMAIL: rule})
    breakers.told = []
    return world.with_tools(breakers=breakers)


@pytest.fixture
def an_hour(monkeypatch):
    """Let good news wait for longer than the test takes."""
    monkeypatch.setattr(reports, "GOOD_NEWS_WITHIN", 3600.0)


def of_probes(listening):
    breakers = listening.tools.breakers
    breakers.trip(*POSTAL, "for the test")
    wait_for(lambda: breakers.states([POSTAL])[POSTAL].state is BreakerState.HALF_OPEN)
    admission = breakers.admit(*POSTAL, 10)
    assert admission.probes == 3
    heard = Reports(listening.tools)
    heard.admitted({"postal": admission.probes}, [])
    return heard


@pytest.mark.usefixtures("an_hour")
def test_good_news_is_gathered_and_told_at_the_end(listening):
    heard = Reports(listening.tools)
    for _ in range(3):
        assert not heard.add("postal", [[GOOD]] * 20)
    assert listening.tools.breakers.told == []
    heard.finish()
    assert listening.tools.breakers.told == [(60, 0, 0)]


def test_good_news_does_not_wait_for_ever(listening, monkeypatch):
    monkeypatch.setattr(reports, "GOOD_NEWS_WITHIN", -1.0)
    Reports(listening.tools).add("postal", [[GOOD]] * 20)
    assert listening.tools.breakers.told == [(20, 0, 0)]


@pytest.mark.usefixtures("an_hour")
def test_a_fault_is_told_at_once_with_all_good_news_before_it(listening):
    heard = Reports(listening.tools)
    heard.add("postal", [[GOOD]] * 20)
    assert not heard.add("postal", [[GOOD], [FAULT]])
    assert listening.tools.breakers.told == [(21, 1, 0)]


def test_the_faults_that_open_the_breaker_make_the_gateway_ill(listening):
    assert Reports(listening.tools).add("postal", [[FAULT]] * 5)


def test_a_request_that_fails_with_all_its_messages_is_one_fault(listening):
    heard = Reports(listening.tools)
    assert not heard.add("postal", [[FAULT] * 1000])
    heard.add("postal", [[GOOD] * 2 + [FAULT] * 2, [GOOD] + [FAULT] * 2])
    assert listening.tools.breakers.told == [(0, 1, 0), (1, 1, 0)]


@pytest.mark.usefixtures("an_hour")
def test_probes_in_one_request_are_all_told_back(listening):
    heard = of_probes(listening)
    heard.add("postal", [[GOOD] * 3])
    assert listening.tools.breakers.told == [(1, 0, 3)]
    assert listening.tools.breakers.admit(*POSTAL, 10).probes == 3


@pytest.mark.usefixtures("an_hour")
def test_each_probes_answer_is_told_at_once_and_counts_once(listening):
    heard = of_probes(listening)
    for _ in range(3):
        heard.add("postal", [[GOOD]])
    heard.add("postal", [[GOOD]])
    heard.finish()
    assert listening.tools.breakers.told == [(1, 0, 1)] * 3 + [(1, 0, 0)]
    assert listening.tools.breakers.states([POSTAL])[POSTAL].state is BreakerState.CLOSED


@pytest.mark.usefixtures("an_hour")
def test_probes_that_were_never_sent_are_told_back(listening):
    heard = of_probes(listening)
    heard.add("postal", [[GOOD]])
    heard.finish()
    assert listening.tools.breakers.told == [(1, 0, 1), (0, 0, 2)]
    assert listening.tools.breakers.admit(*POSTAL, 10).probes == 3


def test_without_redis_nothing_is_told_and_nothing_breaks(listening, outages):
    heard = Reports(listening.tools)
    with outages.without_valkey():
        assert not heard.add("postal", [[FAULT]] * 5)
        heard.finish()
