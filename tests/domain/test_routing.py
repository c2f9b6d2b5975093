"""Who may take a message, and in which order."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.routing import EVERYTHING, POOLS, Needs, Route, chain, fits, lot, needed
from app.domain.vocabulary import Channel, MessageType

EMAIL, SMS, WHATSAPP = Channel.EMAIL, Channel.SMS, Channel.WHATSAPP


def route(gateway, **fields):
    return Route(channel=fields.pop("channel", EMAIL), gateway=gateway, **fields)


def names(routes, needs=None, pick=lambda: 0.5):
    return chain(routes, needs or Needs(channel=EMAIL)).order(lambda _: pick())


def test_lower_tiers_come_first_whatever_their_order_in_the_table():
    routes = [route("sendgrid", tier=3), route("postal", tier=1), route("ses", tier=2)]
    assert names(routes) == ("postal", "ses", "sendgrid")


@pytest.mark.parametrize(
    "unfit",
    [
        {"enabled": False},
        {"weight": 0},
        {"channel": SMS},
        {"pools": frozenset({"campaigns"})},
    ],
)
def test_a_gateway_that_does_not_fit_is_left_out(unfit):
    needs = Needs(channel=EMAIL, pool="newsletters")
    assert names([route("postal", **unfit), route("ses")], needs) == ("ses",)


def test_a_sender_goes_only_where_it_is_verified():
    needs = Needs(channel=EMAIL, verified=frozenset({"ses"}))
    assert names([route("postal"), route("ses", tier=2)], needs) == ("ses",)


def test_a_sender_that_is_verified_nowhere_fits_nowhere():
    assert names([route("postal")], Needs(channel=EMAIL, verified=frozenset())) == ()


def test_a_gateway_without_a_capability_is_left_out():
    routes = [route("a"), route("b", capabilities=frozenset({"attachments", "amp"}))]
    assert names(routes, Needs(channel=EMAIL, capabilities=frozenset({"amp"}))) == ("b",)


def test_a_gateway_that_names_countries_reaches_no_other():
    routes = [route("bandwidth", capabilities=frozenset({"country:US", "country:CA"})), route("twilio")]
    assert names(routes, Needs(channel=EMAIL, country="US")) == ("bandwidth", "twilio")
    assert names(routes, Needs(channel=EMAIL, country="CH")) == ("twilio",)


def test_where_the_country_is_not_known_nobody_is_left_out_for_it():
    routes = [route("bandwidth", capabilities=frozenset({"country:US"}))]
    assert names(routes, Needs(channel=EMAIL)) == ("bandwidth",)


@pytest.mark.parametrize(
    ("channel", "options", "needs"),
    [
        (EMAIL, {}, set()),
        (EMAIL, {"email": {"track_opens": False}}, set()),
        (EMAIL, {"attachments": [{"filename": "a.pdf"}]}, {"attachments"}),
        (EMAIL, {"attachments": [{"content_id": "logo"}]}, {"attachments", "inline_images"}),
        (EMAIL, {"email": {"template_id": "d-1"}}, {"provider_template"}),
        (SMS, {"sms": {"media": ["https://example.com/a.png"]}}, {"media"}),
        (SMS, {"sms": {"content_sid": "HX1"}}, {"provider_template"}),
        (WHATSAPP, {"whatsapp": {"content_sid": "HX1", "media": ["x"]}}, {"media", "provider_template"}),
        # Another channel's section says nothing about this one.
        (SMS, {"whatsapp": {"media": ["https://example.com/a.png"]}}, set()),
        (Channel.PUSH, {"platform": "apns"}, {"apns"}),
        (Channel.PUSH, {"platform": "fcm"}, {"fcm"}),
        (Channel.PUSH, {}, set()),
    ],
)  # fmt: skip
def test_a_messages_options_tell_what_it_needs(channel, options, needs):
    assert needed(channel, options) == needs


@pytest.mark.parametrize("address", ["topic:news", "condition:'a' in topics"])
def test_only_fcm_has_topics(address):
    assert needed(Channel.PUSH, {}, address) == {"fcm"}


def test_a_chain_is_as_long_as_there_are_gateways():
    order = ("postal", "ses", "sendgrid", "smtp", "mailgun")
    assert names([route(name, tier=tier) for tier, name in enumerate(order)]) == order


def test_inside_a_tier_weights_are_shares():
    dice = random.Random(7)  # noqa: S311 - a fair one will do
    routes = [route("heavy", weight=3), route("light", weight=1)]
    first = Counter(names(routes, pick=dice.random)[0] for _ in range(4000))
    assert 0.72 < first["heavy"] / 4000 < 0.78


def test_a_message_has_the_same_lot_at_each_try_and_another_for_each_thing():
    uuid = UUID(int=7)
    assert lot(uuid)("postal") == lot(uuid)("postal")
    assert lot(uuid)("postal") != lot(uuid)("ses")
    assert lot(uuid)("postal") != lot(UUID(int=8))("postal")


def test_inside_a_tier_messages_lots_are_as_the_weights_say():
    found = chain([route("heavy", weight=3), route("light", weight=1)], Needs(channel=EMAIL))
    first = Counter(found.order(lot(UUID(int=number)))[0] for number in range(4000))
    assert 0.72 < first["heavy"] / 4000 < 0.78


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_slow_gateway_is_first_for_its_share_and_last_for_the_others(share):
    routes = [route("slow", share=share), route("second", tier=2), route("third", tier=3)]
    found = chain(routes, Needs(channel=EMAIL))
    orders = Counter(found.order(lot(UUID(int=number))) for number in range(4000))
    assert set(orders) == {("slow", "second", "third"), ("second", "third", "slow")}
    assert abs(orders["slow", "second", "third"] / 4000 - share) < 0.03


def test_what_is_spared_a_slow_gateway_at_a_tenth_is_spared_it_at_less():
    def takes(share, number):
        found = chain([route("slow", share=share), route("other", tier=2)], Needs(channel=EMAIL))
        return found.order(lot(UUID(int=number)))[0] == "slow"

    assert all(takes(0.5, number) for number in range(500) if takes(0.1, number))


def test_how_slow_a_gateway_is_does_not_matter_when_a_message_is_accepted():
    found = chain([route("slow", share=0.1), route("other", tier=2)], Needs(channel=EMAIL))
    assert found.as_accepted(lambda _: 0.99) == ("slow", "other")


def test_a_drained_gateway_takes_only_what_names_it():
    drained = route("postal", drained=True)
    assert not fits(drained, Needs(channel=EMAIL))
    assert fits(drained, Needs(channel=EMAIL), named=True)


EARLY, LATE = datetime(2027, 1, 15, tzinfo=UTC), datetime(2027, 1, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("routes", "kept"),
    [
        ([route("ses"), route("postal", tier=2)], True),
        ([route("ses"), route("postal", tier=2, ordered_at=EARLY)], True),
        ([route("ses"), route("postal", tier=2, ordered_at=LATE + timedelta(days=1))], False),
        ([route("ses"), route("postal", tier=2, share=0.4)], False),
        ([route("ses"), route("postal", tier=2, share=0.6)], True),
        ([route("ses"), route("postal")], False),
        ([route("ses")], False),
    ],
)
def test_a_message_keeps_its_gateway_unless_something_is_against_it(routes, kept):
    found = chain(routes, Needs(channel=EMAIL))
    assert found.keeps("postal", LATE, lambda _: 0.5) is kept


@pytest.mark.parametrize(
    ("message_type", "pool"),
    [
        (MessageType.EMERGENCY, "emergency"),
        (MessageType.ALERT, "alerts"),
        (MessageType.NEWSLETTER, "newsletters"),
        (MessageType.CAMPAIGN, "campaigns"),
        (MessageType.TRANSACTIONAL, "transactional"),
    ],
)
def test_each_kind_of_message_has_a_pool_of_its_own(message_type, pool):
    assert POOLS[message_type] == pool


routes = st.lists(
    st.builds(
        Route,
        channel=st.sampled_from([EMAIL, SMS]),
        gateway=st.sampled_from(["postal", "ses", "sendgrid", "twilio"]),
        tier=st.integers(1, 3),
        weight=st.integers(0, 5),
        enabled=st.booleans(),
        pools=st.frozensets(st.sampled_from(["alert", "campaigns"])),
        capabilities=st.frozensets(st.sampled_from([*EVERYTHING, "country:US", "country:CH"])),
    ),
    unique_by=lambda each: each.gateway,
)
needs = st.builds(
    Needs,
    channel=st.sampled_from([EMAIL, SMS]),
    pool=st.sampled_from([None, "alert", "campaigns"]),
    verified=st.one_of(st.none(), st.frozensets(st.sampled_from(["postal", "ses"]))),
    capabilities=st.frozensets(st.sampled_from(sorted(EVERYTHING)), max_size=2),
    country=st.sampled_from([None, "US", "DE"]),
)


@given(routes, needs, st.randoms(use_true_random=False))
def test_the_chain_holds_all_that_fit_once_and_in_order_of_tiers(routes, needs, dice):
    found = names(routes, needs, dice.random)
    tiers = {each.gateway: each.tier for each in routes}
    assert sorted(found) == sorted(each.gateway for each in routes if fits(each, needs))
    assert [tiers[name] for name in found] == sorted(tiers[name] for name in found)


@given(routes, needs, st.randoms(use_true_random=False))
def test_no_gateway_is_in_the_chain_that_lacks_anything(routes, needs, dice):
    by_name = {each.gateway: each for each in routes}
    for name in names(routes, needs, dice.random):
        able = by_name[name].capabilities
        reached = {word for word in able if word.startswith("country:")}
        assert needs.capabilities <= able
        assert not reached or needs.country is None or f"country:{needs.country}" in reached
        assert needs.verified is None or name in needs.verified
        assert by_name[name].enabled
        assert by_name[name].weight > 0


@given(routes, needs, st.randoms(use_true_random=False))
def test_asking_for_less_never_loses_a_gateway(routes, needs, dice):
    less = replace(needs, capabilities=frozenset(), country=None, verified=None)
    assert set(names(routes, needs, dice.random)) <= set(names(routes, less, dice.random))
