"""Prices and costs over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, spending, spending_deltas
from app.services.upkeep.spending import fold_spending

PRICE = {
    "channel": "sms",
    "gateway": "twilio",
    "prefix": "+44",
    "amount": "0.0400",
    "currency": "USD",
    "valid_from": "2026-01-01T00:00:00Z",
}


def set_prices(api, *prices):
    return api.post("/v1/prices", {"prices": [PRICE | price for price in prices]})


def test_a_price_that_is_set_is_listed(api):
    assert set_prices(api, {}).status_code == 201
    (price,) = api.get("/v1/prices").json["items"]
    assert price["prefix"] == "+44"
    assert price["amount"] == "0.04"
    assert price["unit"] == "segment"


def test_the_same_place_from_the_same_time_is_replaced(api):
    set_prices(api, {})
    set_prices(api, {"amount": "0.05"}, {"amount": "0.06", "valid_from": "2026-02-01T00:00:00Z"})
    found = api.get("/v1/prices?channel=sms&gateway=twilio").json["items"]
    assert [price["amount"] for price in found] == ["0.06", "0.05"]


def test_other_channels_are_priced_by_the_message(api):
    set_prices(api, {"channel": "voice", "gateway": "twilio_voice"})
    assert api.get("/v1/prices").json["items"][0]["unit"] == "message"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"prefix": "44"}, "prices.0.prefix"),
        ({"amount": "-1"}, "prices.0.amount"),
        ({"amount": 1}, "prices.0.amount"),
        ({"currency": "usd"}, "prices.0.currency"),
        ({"channel": "email", "unit": "segment"}, "prices.0.unit"),
        ({"valid_from": "2026-01-01"}, "prices.0.valid_from"),
    ],
)
def test_what_cannot_be_a_price_is_refused_by_field(api, wrong, field):
    answer = set_prices(api, wrong)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json["errors"]] == [field]


def test_all_prices_of_a_request_are_set_or_none(api):
    set_prices(api, {}, {"channel": "email", "unit": "segment"})
    assert api.get("/v1/prices").json["items"] == []


def test_a_place_twice_in_one_request_is_refused(api):
    assert set_prices(api, {}, {"amount": "1"}).status_code == 422


def test_a_removed_price_is_gone_and_cannot_be_removed_again(api):
    price = set_prices(api, {}).json["items"][0]["id"]
    assert api.delete(f"/v1/prices/{price}").status_code == 204
    assert api.get("/v1/prices").json["items"] == []
    assert api.delete(f"/v1/prices/{price}").status_code == 404


def test_setting_prices_needs_the_scope(api):
    assert set_prices(api.as_key("reader"), {}).status_code == 403


def test_who_set_a_price_is_in_the_audit_log(api, app):
    set_prices(api, {})
    with app.engine.connect() as conn:
        lines = conn.execute(sa.select(audit_log).where(audit_log.c.action == "price.save")).all()
    assert [line.actor for line in lines] == ["own/everything"]


LINE = {
    "day": "2026-11-20",
    "channel": "sms",
    "gateway": "twilio",
    "currency": "USD",
    "messages": 2,
    "segments": 3,
    "amount": "0.0237",
}
PERIOD = "?since=2026-11-20&until=2026-11-21"


def spend(app, *lines):
    with app.engine.begin() as conn:
        conn.execute(sa.insert(spending_deltas), [LINE | line for line in lines])


def costs(api, query=PERIOD):
    answer = api.get(f"/v1/messages/stats/costs{query}")
    assert answer.status_code == 200
    return answer.json["items"]


def test_costs_are_summed_by_day_channel_gateway_and_currency(api, app):
    spend(app, {}, {}, {"gateway": "bird"}, {"currency": "EUR"}, {"day": "2026-11-21"})
    assert [(each["gateway"], each["currency"], each["amount"]) for each in costs(api)] == [
        ("bird", "USD", "0.0237"),
        ("twilio", "EUR", "0.0237"),
        ("twilio", "USD", "0.0474"),
    ]


@pytest.mark.parametrize("folds", [0, 1, 2])
def test_folding_changes_no_sum(api, app, folds):
    spend(app, {}, {"amount": "1"})
    for _ in range(folds):
        fold_spending(app.tools)
        spend(app, {"messages": 0, "segments": 0, "amount": "0"})
    (line,) = costs(api)
    assert (line["messages"], line["segments"], line["amount"]) == (4, 6, "1.0237")


def test_folding_leaves_one_line_a_day_and_nothing_to_fold(api, app):
    spend(app, {}, {}, {})
    assert fold_spending(app.tools) == 3
    assert fold_spending(app.tools) == 0
    with app.engine.connect() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(spending)) == 1


def test_what_had_no_price_shows_no_currency(api, app):
    spend(app, {"currency": "", "amount": "0"})
    assert [(each["currency"], each["segments"]) for each in costs(api)] == [(None, 3)]


def test_without_a_period_the_last_thirty_days_are_shown(api, app):
    today = datetime.now(UTC).date()
    spend(app, {"day": today}, {"day": today - timedelta(days=31)})
    assert len(costs(api, "")) == 1
