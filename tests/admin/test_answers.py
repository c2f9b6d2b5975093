"""What is said after something was done names it, and leads to where it is shown."""

import re

import pytest
import sqlalchemy as sa

from admin.answers import link, message_links, told
from app.db.tables import api_clients, message_queue

_SAID = re.compile(r'<p class="note note-success" role="status">(.*?)</p>', re.DOTALL)
_LINK = re.compile(r'<a href="([^"]+)">([^<]+)</a>')


def said(answer):
    assert answer.status_code == 200, answer.text
    (found,) = _SAID.findall(answer.text)
    return found


def done(browser, place, selected, **fields):
    wish = {"selected": selected, "confirmed": "1", "why": "for the test", **fields}
    return browser.post(f"/admin/{place}", wish, follow_redirects=True)


def a_message(app):
    row = {
        "priority": "P1", "message_type": "alert", "channel": "email", "gateway": "postal",
        "recipient_address": "reader@example.com", "subject": "Parcel", "body_text": "It is here.",
        "status": "pending", "scheduled_for": sa.func.now(), "max_attempts": 3,
        "expires_at": sa.func.now() + sa.text("interval '1 hour'"),
    }  # fmt: skip
    with app.engine.begin() as conn:
        client = conn.execute(
            sa.insert(api_clients).values(name="shop").returning(api_clients.c.id)
        ).scalar_one()
        made = sa.insert(message_queue).values(row | {"client_id": client}).returning(message_queue.c.uuid)
        return str(conn.execute(made).scalar_one())


WHY = {"why": "for the test"}
SENDER = {
    "channel": "email", "slug": "hello", "address": "hello@example.com", "is_active": "yes",
    "default_for": "transactional",
}  # fmt: skip
PRICE = {
    "channel": "email", "gateway": "postal", "prefix": "*", "amount": "0.001", "currency": "EUR",
    "valid_from": "2026-01-01T00:00",
}  # fmt: skip
LIMIT = {"limit_type": "gateway", "limit_key": "postal", "max_per_minute": "100", "is_active": "yes"}
SUPPRESSION = {"channel": "email", "address": "bo@example.com", "reason": "manual"}


@pytest.mark.parametrize(
    ("path", "fields", "name"),
    [
        ("senders/save", SENDER, "hello"),
        ("prices/save", PRICE, "The price of postal to *"),
        ("limits/save", LIMIT, "gateway postal"),
        ("suppressions/new", SUPPRESSION, "Suppression 1"),
        ("clients/client", {"name": "till"}, "till"),
        ("diagnostics/run", {}, "findings"),
    ],
)
def test_what_a_form_made_is_named_and_linked(as_role, path, fields, name):
    browser = as_role("admin")
    answer = said(browser.post(f"/admin/{path}", {**fields, **WHY}, follow_redirects=True))
    ((address, label),) = _LINK.findall(answer)
    assert name in label
    assert browser.get(address.replace("&amp;", "&")).status_code == 200


@pytest.mark.parametrize(
    ("place", "selected", "fields"),
    [
        ("gateways/do/drain", "email/postal", {}),
        ("emergency/do/stop", "channel:email", {"minutes": "0", "including_p0": "no"}),
        ("emergency/do/stop", "all", {"minutes": "0", "including_p0": "no"}),
        ("emergency/do/stop", "client:shop", {"minutes": "0", "including_p0": "no"}),
        ("messages/do/cancel", None, {}),
        ("messages/do/suppress", None, {}),
    ],
)
def test_what_an_action_changed_is_linked(as_role, app, place, selected, fields):
    message, browser = a_message(app), as_role("operator")
    answer = said(done(browser, place, selected or message, **fields))
    found = _LINK.findall(answer)
    assert found
    for address, _label in found:
        assert browser.get(address.replace("&amp;", "&")).status_code == 200
    if selected is None:
        assert found[0][0] == f"/admin/messages/{message}"


def test_a_name_is_shown_and_never_run():
    evil = "<script>alert(1)</script>"
    assert evil not in told("{} by {}.", link(evil, f"/admin/?{evil}"), evil)


def test_of_many_only_the_first_are_linked():
    uuids = [f"0199e6b0-2f3c-7a51-8d1e-{number:012}" for number in range(12)]
    shown = message_links(uuids)
    assert shown.count("<a ") == 5
    assert shown.endswith(" and 7 more")
