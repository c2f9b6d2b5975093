"""The page Webhooks: who calls, what came, and processing it once more, audited."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, webhook_inbox
from app.services.rejects import note_reject

WHY = "the vendor mended it"
NOW = datetime.now(UTC)
FAILED = {"processed_at": NOW, "tries": 10, "result": "failed: ValueError"}
DONE = {"processed_at": NOW, "tries": 1, "result": "recorded 1, repeated 0, parked 0"}
OPERATOR = "console/operator@example.com"


@pytest.fixture
def settings(settings):
    return settings.model_copy(
        update={
            "twilio_account_sid": "AC1",
            "twilio_auth_token": settings.postal_api_key,
            "public_base_url": "http://a.example",
        }
    )


def came(app, gateway="twilio", **values):
    """Keep a webhook; gives its id."""
    row = {
        "gateway": gateway,
        "url": "http://a.example/webhooks/twilio?token=abc123",
        "headers": {"content-type": "application/json", "x-twilio-signature": "c2lnbmVk"},
        "body": b'{"to": "anna@example.com", "AuthToken": "hidden1"}',
        **values,
    }
    with app.engine.begin() as conn:
        return conn.scalar(sa.insert(webhook_inbox).values(row).returning(webhook_inbox.c.id))


def do(browser, action, *selected, **fields):
    return browser.post(
        f"/admin/webhooks/do/{action}", {"selected": list(selected), "confirmed": "1", "why": WHY, **fields}
    )


def waiting(app):
    query = sa.select(webhook_inbox.c.id).where(webhook_inbox.c.processed_at.is_(None))
    with app.engine.connect() as conn:
        return list(conn.execute(query.order_by(webhook_inbox.c.id)).scalars())


def audited(app):
    query = sa.select(audit_log.c.actor, audit_log.c.action, audit_log.c.target, audit_log.c.why)
    with app.engine.connect() as conn:
        return [tuple(row) for row in conn.execute(query.order_by(audit_log.c.id))]


def test_it_says_who_calls_and_what_came_without_proof(as_role, app):
    came(app, received_at=NOW - timedelta(seconds=4), **DONE)
    note_reject(app.redis, "twilio", "signature", NOW)
    page = as_role("viewer").get("/admin/webhooks/").get_data(as_text=True)
    assert f"{NOW - timedelta(seconds=4):%Y-%m-%d %H:%M:%S} UTC" in page
    assert '1 <span class="quiet">signature</span>' in page
    assert "recorded 1, repeated 0, parked 0" in page


def test_failed_ones_are_found_and_pages_go_on(as_role, app):
    for _ in range(51):
        came(app, **FAILED)
    came(app, **DONE)
    browser = as_role("viewer")
    first = browser.get("/admin/webhooks/?state=failed&gateway=twilio").get_data(as_text=True)
    assert (first.count("put aside</span>"), "recorded 1" in first) == (50, False)
    following = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    assert browser.get(following).get_data(as_text=True).count("put aside</span>") == 1


def test_one_is_replayed(as_role, app):
    webhook = came(app, **FAILED)
    do(as_role("operator"), "replay", str(webhook))
    assert waiting(app) == [webhook]
    assert audited(app) == [(OPERATOR, "webhook.replay", f"webhook:{webhook}", WHY)]


def test_of_those_selected_the_ones_that_can_be_are_replayed(as_role, app):
    failed, erased = came(app, **FAILED), came(app, **DONE, erased_at=NOW, body=None)
    browser = as_role("operator")
    preview = browser.post("/admin/webhooks/do/replay", {"selected": [str(failed), str(erased)]})
    assert "Process 1 of 2 webhooks once more?" in preview.get_data(as_text=True)
    do(browser, "replay", str(failed), str(erased))
    assert waiting(app) == [failed]


def test_all_that_failed_are_replayed_by_gateway(as_role, app):
    mine = [came(app, **FAILED), came(app, **FAILED)]
    came(app, "gone", **FAILED)
    came(app, **DONE)
    browser = as_role("operator")
    preview = browser.post("/admin/webhooks/do/replay_failed", {"selected": "all"}).get_data(as_text=True)
    assert "2 failed" in preview
    do(browser, "replay_failed", "all", gateway="twilio")
    assert waiting(app) == mine
    assert audited(app) == [(OPERATOR, "webhook.replay", "webhooks:twilio", WHY)]


def test_nothing_is_replayed_without_a_reason(as_role, app):
    webhook = came(app, **FAILED)
    do(as_role("operator"), "replay", str(webhook), why=" ")
    assert (waiting(app), audited(app)) == ([], [])


def test_what_one_says_is_opened_by_a_post_that_is_audited_and_shows_no_secret(as_role, app):
    path = f"/admin/webhooks/{came(app, **DONE)}"
    browser = as_role("operator")
    assert "anna@example.com" not in browser.get(path).get_data(as_text=True)
    assert audited(app) == []
    page = browser.post(path).get_data(as_text=True)
    assert "anna@example.com" in page
    assert [each for each in ("abc123", "c2lnbmVk", "hidden1") if each in page] == []
    assert [entry[:2] for entry in audited(app)] == [(OPERATOR, "webhook.open")]


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_only_those_who_run_the_service_open_or_replay_anything(as_role, app, role):
    webhook = came(app, **FAILED)
    browser = as_role(role)
    assert browser.get(f"/admin/webhooks/{webhook}").status_code == 200
    answers = (
        browser.post(f"/admin/webhooks/{webhook}"),
        do(browser, "replay", str(webhook)),
        do(browser, "replay_failed", "all", gateway="all"),
    )
    assert [each.status_code for each in answers] == [403] * 3
    assert (waiting(app), audited(app)) == ([], [])


@pytest.mark.parametrize("selected", ["0", "x", "9" * 30])
def test_one_that_is_not_there_is_told(as_role, selected):
    answer = as_role("operator").post("/admin/webhooks/do/replay", {"selected": selected})
    assert answer.status_code == 404


def test_a_wrong_filter_is_told(as_role):
    page = as_role("viewer").get("/admin/webhooks/?state=lost").get_data(as_text=True)
    assert "must be one of those in the list" in page
