"""What can be said for one channel only, from the request to the envelope."""

import pytest
import sqlalchemy as sa

from app import settings as config
from app.api.application import create_app
from app.bootstrap import build
from app.db.tables import senders
from app.domain.routing import EVERYTHING
from app.domain.vocabulary import Channel
from app.queue.rows import Claimed
from app.services.catalog import Catalog
from app.services.sending.content import Contents
from tests.api.conftest import Api

SID = "HX" + "0" * 32
NUMBER = "+41791234567"
TOKEN = "ab" * 32
WORDS = {
    "email": {
        "track_opens": False,
        "track_clicks": True,
        "categories": ["receipts"],
        "sandbox": True,
        "template_id": "d-1",
        "template_data": {"name": "Ann", "lines": [1, 2]},
    },
    "sms": {
        "media": ["https://example.com/a.png"],
        "smart_encoding": True,
        "max_price": "0.05",
        "content_sid": SID,
        "content_variables": {"1": "Ann"},
        "messaging_service": "MG1",
    },
    "whatsapp": {
        "content_sid": SID,
        "content_variables": {"1": "Ann"},
        "media": ["https://example.com/a.png"],
    },
    "voice": {
        "voice": "alice",
        "language": "de-CH",
        "repeat": 5,
        "on_machine": "leave_message",
        "record": False,
        "confirm_digit": "1",
    },
    "push": {
        "title": "Storm",
        "image": "https://example.com/a.png",
        "data": {"id": "7"},
        "silent": False,
        "collapse_key": "storm",
        "ttl_seconds": 0,
        "badge": 3,
        "sound": "default",
        "push_type": "alert",
        "android": {"priority": "high"},
        "apns": {"headers": {"apns-priority": "10"}},
        "webpush": {},
        "dry_run": True,
    },
}
ADDRESSES = {"email": "reader@example.com", "push": TOKEN}
ORDER = {
    Channel.EMAIL: ("postal",),
    Channel.SMS: ("twilio",),
    Channel.WHATSAPP: ("twilio_whatsapp",),
    Channel.VOICE: ("twilio_voice",),
    Channel.PUSH: ("apns", "fcm"),
}


@pytest.fixture
def app(settings):
    """An application with gateways for every channel; only their names matter here."""
    app = build(settings, "test")
    able = dict.fromkeys(("postal", "twilio", "twilio_whatsapp", "twilio_voice"), EVERYTHING)
    able |= {"apns": frozenset({"apns"}), "fcm": frozenset({"fcm"})}
    app.__dict__["catalog"] = Catalog(app.engine, ORDER, able)
    with app.engine.begin() as conn:
        for channel in Channel:
            address = "house@example.com" if channel is Channel.EMAIL else "+41791112233"
            row = {"slug": "house", "channel": channel.value, "address": address, "name": ""}
            row["default_for"] = ["transactional", "newsletter"]
            conn.execute(sa.insert(senders).values(row))
    yield app
    app.engine.dispose()
    app.redis.close()
    app.broker.client.close()


def to(channel, **changes):
    message = {
        "channel": channel,
        "priority": "P4",
        "message_type": "transactional",
        "recipient_address": ADDRESSES.get(channel, NUMBER),
        "body_text": "Hello",
    }
    message |= {"subject": "Hello"} if channel == "email" else {}
    message |= {"platform": "apns"} if channel == "push" else {}
    return message | changes


def send(api, channel, **changes):
    return api.post("/v1/messages", to(channel, **changes))


def fields(answer):
    assert answer.status_code == 422, answer.json
    return [fault["field"] for fault in answer.json["errors"]]


@pytest.mark.parametrize("channel", WORDS)
def test_every_option_is_kept_under_its_channels_name(api, app, channel):
    assert send(api, channel, **{channel: WORDS[channel]}).status_code == 202
    with app.engine.connect() as conn:
        options = conn.scalar(sa.text("SELECT options FROM message_queue"))
    assert options[channel] == WORDS[channel]


@pytest.mark.parametrize("channel", WORDS)
def test_only_the_messages_own_section_is_allowed(api, channel):
    other = "sms" if channel == "email" else "email"
    section = {"email": {"sandbox": True}, "sms": {"smart_encoding": True}}[other]
    assert fields(send(api, channel, **{other: section})) == [other]


@pytest.mark.parametrize(
    ("channel", "section", "field"),
    [
        ("email", {"track_opens": "yes"}, "email.track_opens"),
        ("email", {"categories": ["x"] * 11}, "email.categories"),
        ("email", {"template": "d-1"}, "email.template"),
        ("sms", {"media": ["http://example.com/a.png"]}, "sms.media.0"),
        ("sms", {"media": []}, "sms.media"),
        ("sms", {"media": ["https://example.com/a"] * 11}, "sms.media"),
        ("sms", {"max_price": 0.05}, "sms.max_price"),
        ("sms", {"max_price": "cheap"}, "sms.max_price"),
        ("sms", {"content_sid": "HX1"}, "sms.content_sid"),
        ("whatsapp", {"content_variables": {"1": 1}}, "whatsapp.content_variables.1"),
        ("voice", {"repeat": 6}, "voice.repeat"),
        ("voice", {"repeat": 0}, "voice.repeat"),
        ("voice", {"on_machine": "shout"}, "voice.on_machine"),
        ("voice", {"confirm_digit": "12"}, "voice.confirm_digit"),
        ("voice", {"language": "Swiss German"}, "voice.language"),
        ("push", {"data": {"id": 7}}, "push.data.id"),
        ("push", {"ttl_seconds": 2_419_201}, "push.ttl_seconds"),
        ("push", {"badge": -1}, "push.badge"),
        ("push", {"push_type": "sms"}, "push.push_type"),
        ("push", {"collapse_key": "x" * 65}, "push.collapse_key"),
    ],
)
def test_what_an_option_cannot_be_is_told_by_its_name(api, channel, section, field):
    assert fields(send(api, channel, **{channel: section})) == [field]


@pytest.mark.parametrize(
    ("channel", "changes"),
    [
        ("sms", {"body_text": "a" * 1530}),
        ("whatsapp", {"body_text": "a" * 4096}),
        ("voice", {"body_text": "a" * 3000}),
        ("push", {"body_text": "a" * 3900}),
    ],
)
def test_as_much_as_a_channel_takes_is_accepted(api, channel, changes):
    assert send(api, channel, **changes).status_code == 202


@pytest.mark.parametrize(
    ("channel", "changes"),
    [
        ("sms", {"body_text": "a" * 1531}),
        ("sms", {"body_text": "я" * 671}),
        ("sms", {"body_text": "a" * 50_000}),
        ("whatsapp", {"body_text": "a" * 4097}),
        ("voice", {"body_text": "a" * 3001}),
        ("push", {"body_text": "a" * 4096}),
        ("push", {"push": {"data": {"a": "b" * 4096}}}),
    ],
)
def test_more_than_a_channel_takes_is_refused(api, channel, changes):
    assert fields(send(api, channel, **changes)) == ["body_text"]


def test_the_character_that_costs_segments_is_named(api):
    answer = send(api, "sms", body_text="\u2019" + "a" * 700)
    assert "takes 11 segments where 10 are allowed" in answer.json["errors"][0]["message"]
    assert "\u2019" in answer.json["errors"][0]["message"]


@pytest.mark.parametrize(
    ("channel", "section"),
    [
        ("email", {"template_id": "d-1"}),
        ("sms", {"content_sid": SID}),
        ("sms", {"media": ["https://example.com/a.png"]}),
        ("whatsapp", {"content_sid": SID}),
        ("push", {"silent": True, "data": {"id": "7"}}),
    ],
)
def test_what_speaks_for_itself_needs_no_words(api, channel, section):
    message = {**to(channel), channel: section}
    for name in ("subject", "body_text"):
        message.pop(name, None)
    assert api.post("/v1/messages", message).status_code == 202


def test_other_options_do_not_stand_for_words(api):
    message = to("sms", sms={"smart_encoding": True})
    del message["body_text"]
    assert fields(api.post("/v1/messages", message)) == ["body_text"]


@pytest.mark.parametrize("channel", ["sms", "whatsapp", "voice", "push"])
def test_attachments_are_for_email_only(api, channel):
    file = {"filename": "a.txt", "content_type": "text/plain", "content": "aGk="}
    assert fields(send(api, channel, attachments=[file])) == ["attachments"]


def test_files_may_have_more_bytes_than_a_body_without_them(api, app):
    assert app.settings.max_single_body_bytes == 64 * 1024
    file = {"filename": "plan.pdf", "content_type": "application/pdf", "content": "a" * 1_000_000}
    assert send(api, "email", attachments=[file]).status_code == 202


def test_what_no_gateway_can_express_is_refused_by_its_name(api, app):
    able = {"postal": frozenset({"attachments"})}
    app.__dict__["catalog"] = Catalog(app.engine, ORDER, able)
    api = Api(create_app(app).test_client(), api.keys)
    file = {"filename": "a.png", "content_type": "image/png", "content": "aGk=", "content_id": "logo"}
    answer = send(api, "email", attachments=[file])
    assert answer.status_code == 422
    assert "inline_images" in answer.json["detail"]
    assert send(api, "email", attachments=[file | {"content_id": None}]).status_code == 202


@pytest.mark.parametrize(
    ("platform", "address", "gateway"), [("apns", TOKEN, "apns"), ("fcm", "f" * 120, "fcm")]
)
def test_a_push_goes_to_whom_issued_the_token(api, platform, address, gateway):
    answer = send(api, "push", platform=platform, recipient_address=address)
    assert answer.json["gateway"] == gateway


def test_the_options_reach_the_envelope(api, app):
    uuid = send(api, "sms", sms=WORDS["sms"]).json["uuid"]
    with app.engine.connect() as conn:
        columns = ", ".join(Claimed._fields)
        query = sa.text(f"SELECT {columns} FROM message_queue WHERE uuid = :uuid")
        row = conn.execute(query, {"uuid": uuid}).one()
    envelope = Contents(app.engine, app.catalog).envelope(row)
    assert envelope.options["sms"] == WORDS["sms"]


def test_a_bulk_request_has_the_same_sections(api, app):
    head = to("sms", sms={"smart_encoding": True}, message_type="newsletter", priority="P2")
    del head["recipient_address"]
    answer = api.ndjson(head, {"address": NUMBER})
    assert answer.status_code == 202, answer.json
    with app.engine.connect() as conn:
        options = conn.scalar(sa.text("SELECT options FROM message_batches"))
    assert options["sms"] == {"smart_encoding": True}
    assert fields(api.ndjson(head | {"email": {}}, {"address": NUMBER})) == ["email"]


def test_the_most_segments_and_the_largest_attachments_are_settings(settings):
    changed = config.load(_env_file=None, max_sms_segments=2, max_attachments_bytes=3)
    assert (settings.max_sms_segments, settings.max_attachments_bytes) == (10, 10 * 1024 * 1024)
    assert (changed.max_sms_segments, changed.max_attachments_bytes) == (2, 3)
