"""What is wrong with a request is noted part by part, and told at once."""

import pytest

from app.errors import Faults, Invalid


def refuse(field):
    raise Invalid.of(field, "is wrong")


def test_all_that_was_noted_is_told_at_once_and_in_order():
    faults = Faults()
    faults.of(refuse, "one")
    faults.add("two", "is missing")
    with pytest.raises(Invalid) as raised:
        faults.end()
    assert [(each.field, each.message) for each in raised.value.faults] == [
        ("one", "is wrong"), ("two", "is missing"),
    ]  # fmt: skip


def test_of_several_faults_of_a_field_the_first_is_told():
    faults = Faults()
    for message in ("is missing", "is too short"):
        faults.add("why", message)
    with pytest.raises(Invalid) as raised:
        faults.end()
    assert [each.message for each in raised.value.faults] == ["is missing"]


def test_what_is_well_is_given_back_and_nothing_is_raised():
    faults = Faults()
    assert faults.of(int, "7") == 7
    faults.end()
