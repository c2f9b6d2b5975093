"""No secret is in what is shown of foreign texts, by whatever name or wherever it stands."""

import json

import pytest

from app import settings as config
from app.services.withholding import WITHHELD, Withholding, secret_values

SECRET = "hunter2hunter2"
HIDDEN = "nobody-may-see-this"


@pytest.fixture
def withholding():
    return Withholding([SECRET])


def test_a_secret_is_taken_out_wherever_it_stands(withholding):
    assert withholding.text(f"Bearer {SECRET}, or {SECRET}") == f"Bearer {WITHHELD}, or {WITHHELD}"


def test_a_secret_that_begins_as_another_leaves_nothing_of_the_longer_one():
    settings = config.Settings(_env_file=None, postal_api_key=SECRET, sendgrid_api_key=f"{SECRET}-and-more")
    assert Withholding(secret_values(settings)).text(f"key {SECRET}-and-more") == f"key {WITHHELD}"


def test_what_is_too_short_to_be_a_secret_is_shown():
    assert Withholding(["on", ""]).text("sent on Monday") == "sent on Monday"


def test_headers_are_known_by_their_names(withholding):
    headers = {"X-Twilio-Signature": HIDDEN, "Cookie": HIDDEN, "Host": "a.example", "X-Note": SECRET}
    assert withholding.headers(headers) == {
        "X-Twilio-Signature": WITHHELD,
        "Cookie": WITHHELD,
        "Host": "a.example",
        "X-Note": WITHHELD,
    }


def test_an_address_has_neither_a_password_nor_a_token_in_it(withholding):
    shown = withholding.url(f"https://ann:{HIDDEN}@a.example/hooks?token={HIDDEN}&batch=7")
    assert HIDDEN not in shown
    assert "ann" not in shown
    assert shown.startswith("https://a.example/hooks?")
    assert shown.endswith("batch=7")


def test_json_is_looked_into_also_within_json(withholding):
    inner = json.dumps({"Token": HIDDEN, "to": "anna@example.com"})
    body = json.dumps({"Message": inner, "SubscribeURL": HIDDEN, "list": [{"api_key": HIDDEN}], "n": SECRET})
    shown = withholding.body(body)
    assert HIDDEN not in shown
    assert SECRET not in shown
    assert "anna@example.com" in shown


def test_a_form_is_shown_field_by_field_without_secrets(withholding):
    assert withholding.body(f"To=%2B1555&AuthToken={HIDDEN}&Body=").splitlines() == [
        "To=+1555",
        f"AuthToken={WITHHELD}",
        "Body=",
    ]


def test_a_secret_that_is_not_there_is_shown_as_that(withholding):
    assert json.loads(withholding.body('{"token": null}')) == {"token": None}
