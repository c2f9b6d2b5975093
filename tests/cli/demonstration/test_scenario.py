from collections import Counter

import orjson
import pytest

from app.cli.demonstration.play import CODES
from app.cli.demonstration.scenario import AUDIENCES, make, rows
from app.cli.demonstration.texts import WORDS
from app.domain.addresses import canonical
from app.simulator.recipients import Fate, fate_of


@pytest.fixture(params=[False, True], ids=["full", "small"])
def scenario(request):
    return make(1_795_303_027, small=request.param)


def sizes(scenario):
    return {crowd.audience.name: len(crowd.people) for crowd in scenario.crowds}


def test_the_full_mixture_has_the_size_that_it_says():
    assert sizes(make(1, small=False)) == {
        "P0 email": 200, "P1 email": 500, "P2 email": 2_000, "P3 email": 10_000, "P4 email": 200,
        "P1 sms": 400, "P4 whatsapp": 80, "P0 voice": 60, "P3 push fcm": 800, "P3 push apns": 400,
    }  # fmt: skip


def test_the_small_one_is_a_tenth_of_it():
    assert sizes(make(1, small=True)) == {
        name: size // 10 for name, size in sizes(make(1, small=False)).items()
    }


def test_everybody_has_an_address_of_their_own_on_their_channel(scenario):
    addresses = [person.address for person in scenario.people]
    assert len({address.lower() for address in addresses}) == len(addresses)
    for crowd in scenario.crowds:
        channel, platform = crowd.audience.channel, crowd.audience.platform
        assert all(
            canonical(channel, person.address, platform=platform) == person.address for person in crowd.people
        )


def test_each_audience_has_its_fates_as_the_simulator_reads_them(scenario):
    for crowd in scenario.crowds:
        fates = Counter(fate_of(person.address) for person in crowd.people)
        blocked = sum(person.blocked for person in crowd.people)
        wanted = Counter(
            {Fate(fate): number for fate, number in crowd.audience.fates.items() if fate != "blocked"}
        )
        del fates[Fate.DELIVERED]
        assert (fates, blocked) == (wanted, crowd.audience.fates.get("blocked", 0))


def test_every_audience_is_told_something(scenario):
    assert {crowd.audience.name for crowd in scenario.crowds} - {CODES} == set(WORDS)


def test_every_kind_of_trouble_is_in_the_mixture(scenario):
    met = {fate for crowd in scenario.crowds for fate in crowd.audience.fates}
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
        "confirmed",
        "machine",
    }


def test_the_next_run_has_other_people():
    of_run = [{person.address for person in make(number, small=True).people} for number in (1, 2)]
    assert not of_run[0] & of_run[1]


def test_rows_have_each_person_some_twice_and_some_that_are_none():
    audience = next(audience for audience in AUDIENCES if audience.listed_twice)
    people = audience.people(7)
    given = [orjson.loads(row)["address"] for row in rows(audience, people)]
    assert len(given) == 10_030
    assert len({address.lower() for address in given}) == 10_010
    assert sum("@" not in address for address in given) == 10
