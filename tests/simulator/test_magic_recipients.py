import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.addresses import canonical
from app.domain.vocabulary import Channel
from app.simulator.recipients import STORIES, Fate, address_for, fate_of, fates_of

NAMES = [
    "delivered", "open", "click", "unsubscribe", "complaint", "deferred", "soft-bounce", "bounce",
    "late-bounce", "suppressed", "rejected", "held", "throttled", "slow", "lost", "silent", "down", "garbage",
]  # fmt: skip

CALLS = ["confirmed", "machine", "busy", "no-answer"]
PHONES = [Channel.SMS, Channel.WHATSAPP, Channel.VOICE]
NUMBERS = [
    ("+15552000000", "delivered"), ("+15552010000", "open"), ("+15552020000", "click"),
    ("+15552050000", "unsubscribe"), ("+15552060000", "complaint"), ("+15554510000", "deferred"),
    ("+15554520000", "soft-bounce"), ("+15555500000", "bounce"), ("+15555510000", "late-bounce"),
    ("+15555530000", "suppressed"), ("+15555540000", "rejected"), ("+15554230000", "held"),
    ("+15554290000", "throttled"), ("+15554080000", "slow"), ("+15554990000", "lost"),
    ("+15555040000", "silent"), ("+15555030000", "down"), ("+15555020000", "garbage"),
    ("+15552100000", "confirmed"), ("+15552110000", "machine"), ("+15554860000", "busy"),
    ("+15554800000", "no-answer"),
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
    assert set(STORIES) == set(Fate) == {*NAMES, *CALLS}


@pytest.mark.parametrize(("number", "name"), NUMBERS)
def test_three_digits_of_a_number_decide(number, name):
    assert fate_of(number) == name
    assert fate_of(number[:-4] + "9999") == name


def test_a_number_may_lack_its_plus_or_have_a_prefix():
    assert fate_of("15555500000") is Fate.BOUNCE
    assert fate_of("whatsapp:+15555500000") is Fate.BOUNCE


@pytest.mark.parametrize("number", ["+447700900550", "+15005550006", "+155555000001", "+15550100199"])
def test_any_other_number_is_delivered(number):
    assert fate_of(number) is Fate.DELIVERED


@pytest.mark.parametrize("name", CALLS)
def test_an_email_address_has_no_fate_of_a_call(name):
    assert fate_of(f"{name}@example.com") is Fate.DELIVERED


def test_the_start_of_a_token_decides():
    assert fate_of("soft-bounce-17:" + "A" * 130) is Fate.SOFT_BOUNCE
    assert fate_of("bouncer:" + "A" * 130) is Fate.DELIVERED
    assert fate_of("70c51550" + "0" * 56) is Fate.BOUNCE
    assert fate_of("70c51999" + "0" * 56) is Fate.DELIVERED
    assert fate_of("a1b2" * 16) is Fate.DELIVERED


@pytest.mark.parametrize("target", ["topic:bounce", "condition:'bounce' in topics || 'down' in topics"])
def test_topics_and_conditions_are_delivered(target):
    assert fate_of(target) is Fate.DELIVERED


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("platform", ["fcm", "apns"])
def test_addresses_can_be_made_for_every_fate_of_a_channel(channel, platform):
    for fate in fates_of(channel):
        made = [address_for(fate, channel, number, platform=platform) for number in (0, 1, 9_999)]
        assert len(set(made)) == 3
        assert {fate_of(address) for address in made} == {fate}
        assert [canonical(channel, address, platform=platform) for address in made] == made


@pytest.mark.parametrize("channel", PHONES)
def test_a_million_numbers_are_delivered_and_ten_thousand_have_any_other_fate(channel):
    assert fate_of(address_for(Fate.DELIVERED, channel, 999_999)) is Fate.DELIVERED
    with pytest.raises(ValueError, match="10,000"):
        address_for(Fate.BOUNCE, channel, 10_000)
    with pytest.raises(ValueError, match="1,000,000"):
        address_for(Fate.DELIVERED, channel, 1_000_000)


def test_a_text_message_finds_nobody_busy():
    with pytest.raises(ValueError, match="busy is no fate of a message by sms"):
        address_for(Fate.BUSY, Channel.SMS)
