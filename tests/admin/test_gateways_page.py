"""The page Gateways: each button changes what it says, with a reason, for those who run the service."""

import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, channel_health, gateways, message_queue
from app.domain.vocabulary import Channel, MessageType
from app.services.audit import Who
from app.services.gateways import GatewayView
from app.services.senders import SenderDraft, SenderService

G = gateways.c
POSTAL = "email/postal"


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"sendgrid_api_key": settings.postal_api_key})


def do(browser, action, selected=POSTAL, **fields):
    return browser.post(
        f"/admin/gateways/do/{action}",
        {"selected": selected, "confirmed": "1", "why": "it is slow", **fields},
    )


def postal(app) -> GatewayView:
    return app.gateway_control.get(Channel.EMAIL, "postal")


def test_it_lists_them_in_their_order_and_never_their_secrets(as_role, settings):
    page = as_role("viewer").get("/admin/gateways/").get_data(as_text=True)
    assert page.index("<strong>postal</strong>") < page.index("<strong>sendgrid</strong>")
    assert "no credentials" in page
    assert settings.postal_api_key.get_secret_value() not in page


@pytest.mark.parametrize(
    ("there", "back", "column"), [("drain", "undrain", "drained"), ("disable", "enable", "enabled")]
)
def test_one_is_taken_out_of_use_and_back(as_role, app, there, back, column):
    browser = as_role("operator")
    before = getattr(postal(app), column)
    do(browser, there)
    assert getattr(postal(app), column) is not before
    assert "it is slow" in browser.get("/admin/gateways/").get_data(as_text=True)
    do(browser, back)
    assert getattr(postal(app), column) is before


@pytest.mark.parametrize("path", ["/admin/gateways/", "/admin/"])
def test_one_that_fails_is_called_so_wherever_it_is_shown(as_role, app, path):
    figures = {"channel": "email", "gateway": "postal", "success_rate_1h": 0.0, "success_rate_24h": 0.4}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(channel_health).values(figures))
    page = as_role("viewer").get(path).get_data(as_text=True)
    assert ">degraded</span>" in page
    assert "0 % accepted in the last hour" in page
    assert ">healthy</span>" not in page
    assert postal(app).is_healthy is False


def test_another_one_is_made_the_first(as_role, app):
    do(as_role("operator"), "switch", "email/sendgrid")
    first, *_ = app.gateway_control.list(channel=Channel.EMAIL)
    assert first.gateway == "sendgrid"


def test_a_breaker_is_opened_and_closed(as_role, app):
    browser = as_role("operator")
    do(browser, "trip")
    assert postal(app).breaker.state == "open"
    do(browser, "reset")
    assert postal(app).breaker.state == "closed"


def test_order_and_weight_are_set(as_role, app):
    do(as_role("operator"), "weigh", tier="3", weight="7")
    assert (postal(app).tier, postal(app).weight) == (3, 7)


@pytest.mark.parametrize("weight", ["much", "-1"])
def test_a_weight_that_is_none_is_told_and_changes_nothing(as_role, app, weight):
    answer = do(as_role("operator"), "weigh", tier="3", weight=weight)
    assert answer.status_code == 422
    assert 'id="e-weight">Must be a whole number' in answer.get_data(as_text=True)
    assert postal(app).tier == 1


def test_a_test_message_goes_through_it(as_role, app):
    draft = SenderDraft(address="hello@example.com", default_for=tuple(MessageType))
    SenderService(app.engine, app.catalog).save(Who(actor="tests"), Channel.EMAIL, "hello", draft)
    do(as_role("operator"), "test", address="me@example.com")
    with app.engine.connect() as conn:
        row = conn.execute(sa.select(message_queue)).one()
    assert (row.gateway, row.recipient_address) == ("postal", "me@example.com")


def test_before_it_is_done_it_says_who_takes_over(as_role):
    browser = as_role("operator")
    page = browser.post("/admin/gateways/do/drain", {"selected": POSTAL}).get_data(as_text=True)
    assert "<dt>Besides: sendgrid</dt><dd>not tried: nothing was sent by it" in page
    assert "Why?" in page
    assert "None of the others" not in page


@pytest.mark.parametrize("action", ["drain", "disable", "trip"])
@pytest.mark.parametrize(
    ("ill", "state"), [("trip", "breaker open: "), ("drain", "drained by "), ("disable", "disabled by ")]
)
def test_it_warns_where_none_of_the_others_is_healthy(as_role, action, ill, state):
    browser = as_role("operator")
    do(browser, ill, "email/sendgrid")
    page = browser.post(f"/admin/gateways/do/{action}", {"selected": POSTAL}).get_data(as_text=True)
    assert f"<dt>Besides: sendgrid</dt><dd>{state}" in page
    assert "None of the others for email is healthy: messages would fail or wait." in page


def test_it_warns_of_making_one_first_that_does_badly(as_role):
    browser = as_role("operator")
    assert "not healthy" not in _asked_to_switch(browser)
    do(browser, "trip", "email/sendgrid")
    assert "It is not healthy itself: breaker open: " in _asked_to_switch(browser)


def _asked_to_switch(browser) -> str:
    return browser.post("/admin/gateways/do/switch", {"selected": "email/sendgrid"}).get_data(as_text=True)


def test_what_it_carries_is_said_with_the_minute_that_it_is_of(as_role, app):
    counted = {"last_check_at": sa.text("'2026-11-22 12:00:30+00'"), "current_rate_per_sec": 4.5}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(channel_health).values(channel="email", gateway="postal", **counted))
    browser = as_role("operator")
    at = '<time datetime="2026-11-22T12:00:30Z">'
    page = browser.post("/admin/gateways/do/drain", {"selected": POSTAL}).get_data(as_text=True)
    assert f"4.5 messages a second, in the minute to {at}" in page
    assert f"Counted last {at}" in browser.get("/admin/gateways/").get_data(as_text=True)


def test_what_was_done_is_said_in_a_sentence(as_role):
    browser = as_role("operator")
    page = browser.get(do(browser, "drain").headers["Location"]).get_data(as_text=True)
    assert 'href="/admin/gateways/#email-postal">postal</a> is drained.' in page


@pytest.mark.parametrize("role", ["viewer", "editor"])
@pytest.mark.parametrize("action", ["switch", "drain", "disable", "trip", "reset", "weigh", "test"])
def test_only_those_who_run_the_service_change_anything(as_role, app, role, action):
    assert do(as_role(role), action).status_code == 403
    with app.engine.connect() as conn:
        assert conn.execute(sa.select(audit_log).where(audit_log.c.action.startswith("gateway."))).all() == []


def test_one_that_is_not_there_is_told(as_role):
    browser = as_role("operator")
    for selected in ("email/nobody", "pigeon/post", "nothing"):
        answer = do(browser, "drain", selected)
        assert "here is no " in browser.get(answer.headers["Location"]).get_data(as_text=True)
