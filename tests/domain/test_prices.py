"""Which price holds for whom, and what a message costs by it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from app.domain.prices import Price, PriceTable, Unit, cost
from app.domain.vocabulary import Channel

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def price(amount, prefix="*", *, since=BEGIN, gateway="twilio", channel=Channel.SMS, unit=Unit.SEGMENT):
    return Price(
        channel=channel,
        gateway=gateway,
        amount=Decimal(amount),
        currency="USD",
        valid_from=since,
        prefix=prefix,
        unit=unit,
    )


def amount(prices, address, *, at=BEGIN, gateway="twilio", channel=Channel.SMS):
    found = PriceTable(prices).price(channel, gateway, address, at)
    return found and str(found.amount)


def test_the_longest_prefix_decides():
    prices = [price("1"), price("2", "+44"), price("3", "+447"), price("4", "+1")]
    assert amount(prices, "+447700900123") == "3"
    assert amount(prices, "+442079460123") == "2"
    assert amount(prices, "+41791234567") == "1"


def test_a_gateway_without_a_price_for_the_place_has_none():
    assert amount([price("2", "+44")], "+41791234567") is None
    assert amount([price("2")], "+41791234567", gateway="bandwidth") is None
    assert amount([price("2")], "+41791234567", channel=Channel.VOICE) is None


def test_the_latest_price_that_has_begun_is_in_force():
    day = timedelta(days=1)
    prices = [price("1"), price("3", since=BEGIN + 2 * day), price("2", since=BEGIN + day)]
    assert amount(prices, "+41791234567", at=BEGIN + day) == "2"
    assert amount(prices, "+41791234567", at=BEGIN + 3 * day) == "3"
    assert amount(prices, "+41791234567", at=BEGIN - day) is None


def test_until_a_longer_prefix_has_begun_the_shorter_one_holds():
    later = BEGIN + timedelta(days=1)
    prices = [price("1"), price("2", "+44", since=later)]
    assert amount(prices, "+447700900123") == "1"
    assert amount(prices, "+447700900123", at=later) == "2"


def test_a_price_for_segments_counts_each_and_one_for_the_message_does_not():
    assert cost(price("0.0079"), 3).amount == Decimal("0.0237")
    assert cost(price("0.0079", unit=Unit.MESSAGE), 3).amount == Decimal("0.0079")


digits = st.text(st.sampled_from("12"), min_size=1, max_size=4)
some_prices = st.lists(
    st.builds(
        price,
        st.integers(0, 99).map(str),
        st.one_of(st.just("*"), digits.map("+{}".format)),
        since=st.integers(0, 3).map(lambda days: BEGIN + timedelta(days=days)),
    ),
    unique_by=lambda each: (each.prefix, each.valid_from),
    max_size=12,
)


@given(some_prices, digits.map("+{}".format), st.integers(0, 4))
def test_no_price_in_force_fits_better_than_the_one_that_is_found(prices, address, days):
    at = BEGIN + timedelta(days=days)
    fitting = [
        each
        for each in prices
        if each.valid_from <= at and (each.prefix == "*" or address.startswith(each.prefix))
    ]
    best = max(fitting, key=lambda each: (len(each.prefix.removeprefix("*")), each.valid_from), default=None)
    assert PriceTable(prices).price(Channel.SMS, "twilio", address, at) == best
