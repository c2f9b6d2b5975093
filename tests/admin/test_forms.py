"""A form that is wrong in several places says all of it at once, each beside its field."""

import io
import re

import pytest

from app.services.keys import create_client
from tests.admin.conftest import TESTS

_FAULT = re.compile(r'<p class="fault"(?: id="e-(\w+)")?>([^<]+)</p>')


def faulty(answer):
    assert answer.status_code == 422
    return {name for name, _words in _FAULT.findall(answer.text)}


SUPPRESSION = {
    "channel": "sms", "address": "no number", "reason": "manual", "community_id": "many",
    "expires_at": "soon", "why": "",
}  # fmt: skip
SENDER = {"channel": "email", "slug": "Not This!", "address": "nowhere", "is_active": "yes", "why": ""}
PRICE = {
    "channel": "post", "gateway": "postal", "prefix": "abroad", "amount": "much", "currency": "euro",
    "valid_from": "soon", "why": "",
}  # fmt: skip
LIMIT = {"limit_type": "ip_pool", "limit_key": "", "max_per_minute": "many", "max_per_day": "x", "why": ""}
KEY = {
    "client": "",
    "key_name": "",
    "expires_at": "soon",
    "max_per_minute": "many",
    "allowed_addresses": "here",
}
USER = {"email": "nowhere", "role": "emperor", "name": "x" * 999}
PASSWORD = {"current": "wrong", "password": "short", "again": "other"}


@pytest.mark.parametrize(
    ("path", "fields", "names"),
    [
        ("suppressions/new", SUPPRESSION, {"address", "community_id", "expires_at", "why"}),
        ("senders/save", SENDER, {"slug", "address", "why"}),
        ("prices/save", PRICE, {"channel", "prefix", "amount", "currency", "valid_from", "why"}),
        ("limits/save", LIMIT, {"limit_key", "max_per_minute", "max_per_day", "why"}),
        ("clients/key", KEY, {"client", "key_name", "expires_at", "max_per_minute", "allowed_addresses", ""}),
        ("users/new", USER, {"email", "role", "name"}),
        ("account/password", PASSWORD, {"current", "password", "again"}),
        ("batch-upload/", {"channel": "post", "message_type": "", "scheduled_for": "soon"},
         {"channel", "message_type", "scheduled_for", "list"}),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_told_at_once(as_role, app, path, fields, names):
    create_client(app.engine, TESTS, "shop")
    assert faulty(as_role("admin").post(f"/admin/{path}", fields)) == names


def test_an_import_without_a_file_and_a_reason_says_both(as_role):
    assert faulty(as_role("operator").post("/admin/suppressions/import", {"why": ""})) == {"file", "why"}
    named = {"file": (io.BytesIO(b""), ""), "why": ""}
    assert faulty(as_role("operator").post("/admin/suppressions/import", named)) == {"file", "why"}


def test_a_question_before_an_action_says_all_that_is_missing_beside_it(as_role):
    wish = {"selected": "email/postal", "confirmed": "1", "why": "", "tier": "high", "weight": ""}
    answer = as_role("operator").post("/admin/gateways/do/weigh", wish)
    assert faulty(answer) == {"tier", "weight", "why"}
    assert 'value="high"' in answer.text


def test_a_choice_that_was_not_offered_is_told_beside_its_field(as_role):
    wish = {"selected": "all", "confirmed": "1", "why": "x", "minutes": "7", "including_p0": "perhaps"}
    assert faulty(as_role("operator").post("/admin/emergency/do/stop", wish)) == {"minutes", "including_p0"}
