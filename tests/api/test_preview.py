"""Seeing a message, its segments and its cost before it is sent."""

import pytest
import sqlalchemy as sa

from app.db.tables import senders
from app.domain.vocabulary import Channel
from app.services.catalog import Catalog

NUMBER = "+447700900123"
SMS = {
    "channel": "sms",
    "priority": "P4",
    "message_type": "transactional",
    "recipient_address": NUMBER,
    "body_text": "Hello",
}


@pytest.fixture
def priced(api, app):
    """Two gateways for SMS, of which one has a price for Britain."""
    app.__dict__["catalog"] = Catalog(app.engine, {Channel.SMS: ("twilio", "bird")})
    row = {"slug": "house", "channel": "sms", "address": "+41791112233", "default_for": ["transactional"]}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(senders).values(row))
    price = {
        "channel": "sms",
        "gateway": "twilio",
        "prefix": "+44",
        "amount": "0.04",
        "currency": "USD",
        "valid_from": "2026-01-01T00:00:00Z",
    }
    assert api.post("/v1/prices", {"prices": [price]}).status_code == 201
    app.catalog.forget()
    return api


def preview(api, **changes):
    return api.post("/v1/messages/preview", SMS | changes)


def test_segments_encoding_and_cost_are_told(priced):
    told = preview(priced, body_text="a" * 161).json
    assert (told["encoding"], told["segments"], told["forced_by"]) == ("gsm7", 2, [])
    assert told["gateways"] == ["twilio", "bird"]
    assert told["costs"] == [{"gateway": "twilio", "amount": "0.08", "currency": "USD"}]


def test_the_characters_that_force_another_encoding_are_named(priced):
    told = preview(priced, body_text="It\u2019s " + "a" * 70).json
    assert (told["encoding"], told["segments"], told["forced_by"]) == ("ucs2", 2, ["\u2019"])


def test_where_there_is_no_price_no_cost_is_told(priced):
    assert preview(priced, recipient_address="+41791234567").json["costs"] == []


def test_a_template_is_measured_as_it_is_filled_in(priced):
    template = {"slug": "code", "channel": "sms", "name": "Code", "body_text": "{{ code }} is it"}
    assert priced.post("/v1/templates", template).status_code == 201
    words = {"body_text": None, "template": "code", "data": {"code": "a" * 200}}
    told = preview(priced, **words).json
    assert told["text"] == "a" * 200 + " is it"
    assert told["segments"] == 2
    refused = preview(priced, **words | {"data": {"code": "a" * 2000}})
    assert [fault["field"] for fault in refused.json["errors"]] == ["body_text"]


def test_a_mail_has_no_segments(api, message):
    told = api.post("/v1/messages/preview", message).json
    assert (told["subject"], told["segments"], told["encoding"]) == ("Your code", None, None)


def test_nothing_is_kept(priced, app):
    preview(priced)
    with app.engine.connect() as conn:
        assert conn.scalar(sa.text("SELECT count(*) FROM message_queue")) == 0


def test_what_could_not_be_sent_cannot_be_previewed(priced):
    assert preview(priced, recipient_address="12").status_code == 422
    assert priced.as_key("reader").post("/v1/messages/preview", SMS).status_code == 403
