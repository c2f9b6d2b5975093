from collections import Counter

import orjson
import pytest

from app.cli.demonstration.scenario import AUDIENCES, make, rows
from app.domain.addresses import canonical
from app.domain.vocabulary import Channel, Priority
from app.simulator.recipients import Fate, fate_of


@pytest.fixture(params=[False, True], ids=["full", "small"])
def scenario(request):
    return make(1_795_303_027, small=request.param)


def test_the_full_mixture_has_the_size_that_it_says():
    people = make(1, small=False).people
    assert {priority: len(crowd) for priority, crowd in people.items()} == {
        "P0": 200, "P1": 500, "P2": 2_000, "P3": 10_000, "P4": 200,
    }  # fmt: skip


def test_the_small_one_is_a_tenth_of_it():
    people = make(1, small=True).people
    assert {priority: len(crowd) for priority, crowd in people.items()} == {
        "P0": 20, "P1": 50, "P2": 200, "P3": 1_000, "P4": 20,
    }  # fmt: skip


def test_every_address_is_one_and_is_there_once(scenario):
    addresses = [person.address for people in scenario.people.values() for person in people]
    assert len({address.lower() for address in addresses}) == len(addresses)
    assert all(canonical(Channel.EMAIL, address) == address for address in addresses)


def test_each_audience_has_its_fates_as_the_simulator_reads_them(scenario):
    for priority, audience in scenario.audiences.items():
        fates = Counter(fate_of(person.address) for person in scenario.people[priority])
        blocked = sum(person.blocked for person in scenario.people[priority])
        wanted = Counter({Fate(fate): number for fate, number in audience.fates.items() if fate != "blocked"})
        del fates[Fate.DELIVERED]
        assert (fates, blocked) == (wanted, audience.fates["blocked"])


def test_every_kind_of_trouble_is_in_the_mixture(scenario):
    met = {fate for audience in scenario.audiences.values() for fate in audience.fates}
    assert met >= {
        "blocked",
        "bounce",
        "soft-bounce",
        "complaint",
        "throttled",
        "silent",
        "lost",
        "open",
        "click",
    }


def test_another_run_has_other_people():
    of_run = [
        {person.address for person in make(number, small=True).people[Priority.P3]} for number in (1, 2)
    ]
    assert not of_run[0] & of_run[1]


def test_rows_have_each_person_some_twice_and_some_that_are_none():
    audience = next(audience for audience in AUDIENCES if audience.priority is Priority.P3)
    people = audience.people("x")
    given = [orjson.loads(row)["address"] for row in rows(audience, people)]
    assert len(given) == 10_030
    assert len({address.lower() for address in given}) == 10_010
    assert sum("@" not in address for address in given) == 10
