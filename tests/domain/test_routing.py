"""Who may take a message, and in which order."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.routing import POOLS, Needs, Route, chain, fits
from app.domain.vocabulary import Channel, MessageType

EMAIL, SMS = Channel.EMAIL, Channel.SMS


def route(gateway, **fields):
    return Route(channel=fields.pop("channel", EMAIL), gateway=gateway, **fields)


def names(routes, needs=None, pick=lambda: 0.5):
    return chain(routes, needs or Needs(channel=EMAIL), pick)


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


def test_inside_a_tier_weights_are_shares():
    dice = random.Random(7)  # noqa: S311 - a fair one will do
    routes = [route("heavy", weight=3), route("light", weight=1)]
    first = Counter(names(routes, pick=dice.random)[0] for _ in range(4000))
    assert 0.72 < first["heavy"] / 4000 < 0.78


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
    ),
    unique_by=lambda each: each.gateway,
)
needs = st.builds(
    Needs,
    channel=st.sampled_from([EMAIL, SMS]),
    pool=st.sampled_from([None, "alert", "campaigns"]),
    verified=st.one_of(st.none(), st.frozensets(st.sampled_from(["postal", "ses"]))),
)


@given(routes, needs, st.randoms(use_true_random=False))
def test_the_chain_holds_all_that_fit_once_and_in_order_of_tiers(routes, needs, dice):
    found = names(routes, needs, dice.random)
    tiers = {each.gateway: each.tier for each in routes}
    assert sorted(found) == sorted(each.gateway for each in routes if fits(each, needs))
    assert [tiers[name] for name in found] == sorted(tiers[name] for name in found)
