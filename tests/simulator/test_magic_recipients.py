import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simulator.recipients import STORIES, Fate, fate_of

NAMES = [
    "delivered", "open", "click", "unsubscribe", "complaint", "deferred", "soft-bounce", "bounce",
    "late-bounce", "suppressed", "rejected", "held", "throttled", "slow", "lost", "silent", "down", "garbage",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pattern", ["{}@example.com", "{}+x-9@example.com", "{}-17@example.com", "{}+@a.b"])
def test_the_local_part_decides(name, pattern):
    assert fate_of(pattern.format(name)) == name


@pytest.mark.parametrize(
    "address",
    ["anna@example.com", "bouncer@example.com", "bounce-x@example.com", "my-bounce@example.com", ""],
)
def test_any_other_address_is_delivered(address):
    assert fate_of(address) is Fate.DELIVERED


def test_capitals_do_not_matter():
    assert fate_of("Soft-Bounce+7@EXAMPLE.com") is Fate.SOFT_BOUNCE


@given(st.text())
def test_no_address_breaks_it(address):
    assert fate_of(address) in Fate


def test_every_fate_has_its_story():
    assert set(STORIES) == set(Fate) == set(NAMES)
