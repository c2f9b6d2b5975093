"""The page Prices: everybody sees which hold, administrators set and remove them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, prices
from app.domain.vocabulary import Channel
from app.services.audit import Who
from app.services.prices import PriceDraft

TESTS = Who(actor="tests")
WHY = "the new contract"
ADMIN = "console/admin@example.com"


@pytest.fixture
def uk(app):
    """What twilio asks in the United Kingdom, since yesterday."""
    return given(app, datetime.now(UTC) - timedelta(days=1), "0.04")


def given(app, since, amount, prefix="+44"):
    draft = PriceDraft(
        channel=Channel.SMS,
        gateway="twilio",
        amount=Decimal(amount),
        currency="USD",
        valid_from=since,
        prefix=prefix,
    )
    (view,) = app.prices.save(TESTS, [draft])
    return view.id


def save(browser, **fields):
    said = {
        "channel": "sms", "gateway": "twilio", "prefix": "+49", "amount": "0.0825", "currency": "eur",
        "valid_from": "2026-12-01T00:00", "why": WHY,
    }  # fmt: skip
    return browser.post("/admin/prices/save", {**said, **fields})


def known(app):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(prices).order_by(prices.c.id)).all()


def audited(app):
    query = sa.select(audit_log.c.actor, audit_log.c.action, audit_log.c.target, audit_log.c.why)
    with app.engine.connect() as conn:
        return [tuple(row) for row in conn.execute(query.order_by(audit_log.c.id)) if row.actor != "tests"]


def test_everybody_sees_which_price_holds(as_role, app, uk):
    given(app, datetime.now(UTC) - timedelta(days=9), "0.03")
    given(app, datetime.now(UTC) + timedelta(days=9), "0.05")
    page = as_role("viewer").get("/admin/prices/").get_data(as_text=True)
    rows = page.split("<tbody>")[1].split("</tr>")[:3]
    shown = [
        (row.split(" USD")[0][-4:], row.split("state-")[1].split("</span>")[0].split(">")[1]) for row in rows
    ]
    assert shown == [("0.05", "coming"), ("0.04", "holds"), ("0.03", "past")]


def test_a_price_is_set(as_role, app):
    assert save(as_role("admin")).status_code == 302
    (row,) = known(app)
    assert (row.gateway, row.prefix, row.unit, row.amount, row.currency, row.valid_from) == (
        "twilio", "+49", "segment", Decimal("0.0825"), "EUR", datetime(2026, 12, 1, tzinfo=UTC),
    )  # fmt: skip
    assert audited(app) == [(ADMIN, "price.save", "prices", WHY)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"amount": "much"}, "must be a decimal number"),
        ({"amount": "-1"}, "must be from 0"),
        ({"prefix": "0044"}, "must be the beginning of a number"),
        ({"currency": "E1"}, "must be three capitals"),
        ({"channel": "pigeon"}, "must be one of those in the list"),
        ({"valid_from": "soon"}, "must be a day and time"),
        ({"why": ""}, "Say why"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field_and_changes_nothing(as_role, app, wrong, said):
    answer = save(as_role("admin"), **wrong)
    assert (answer.status_code, said in answer.get_data(as_text=True)) == (422, True)
    assert known(app) == []


def test_a_price_is_removed(as_role, app, uk):
    fields = {"selected": str(uk), "confirmed": "1", "why": WHY}
    as_role("admin").post("/admin/prices/do/remove", fields)
    assert known(app) == []
    assert audited(app) == [(ADMIN, "price.remove", f"price:{uk}", WHY)]


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
def test_only_administrators_change_them(as_role, app, uk, role):
    browser = as_role(role)
    answers = (
        browser.get("/admin/prices/new"),
        save(browser),
        browser.post("/admin/prices/do/remove", {"selected": str(uk), "confirmed": "1", "why": WHY}),
    )
    assert [each.status_code for each in answers] == [403] * 3
    assert (len(known(app)), audited(app)) == (1, [])
