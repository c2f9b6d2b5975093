from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from app.domain.vocabulary import Channel
from app.errors import Invalid
from app.gateways.base import Attachment
from app.gateways.twilio.messages import Twilio, TwilioWhatsApp
from tests.gateways.twilio.conftest import form_of, query_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SERVICE = "MG0123456789abcdef0123456789abcdef"
TEMPLATE = "HX0123456789abcdef0123456789abcdef"
CALLBACK = (
    "https://tocsin.example.org/webhooks/twilio?tag=019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2#rc=3&rp=all"
)


@pytest.fixture(scope="module")
def twilio(account):
    return Twilio(account=account)


@pytest.fixture(scope="module")
def whatsapp(account):
    return TwilioWhatsApp(account=account)


@pytest.fixture(scope="module")
def chat(text):
    """Makes a WhatsApp message; `options` are WhatsApp's own."""

    def make(options=None, **changes):
        message = text(channel=Channel.WHATSAPP, **changes)
        return replace(message, options={"whatsapp": options or {}})

    return make


def test_a_message_is_a_form_of_its_own(twilio, text):
    request = twilio.build([text()], NOW)
    assert request.method == "POST"
    assert request.url == (
        "https://api.twilio.com/2010-04-01/Accounts/AC00000000000000000000000000000001/Messages.json"
    )
    assert form_of(request) == {
        "To": ["+15558675310"],
        "From": ["+15017122661"],
        "Body": ["Water is back"],
        "StatusCallback": [CALLBACK],
    }


def test_the_key_signs_in_and_is_shown_nowhere(twilio, text):
    request = twilio.build([text()], NOW)
    scheme, _, credentials = request.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    assert b64decode(credentials) == b"SK00000000000000000000000000000001:s3cr3t-of-the-key"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert b"s3cr3t" not in request.body
    assert "s3cr3t" not in repr(twilio) + request.url


def test_the_callback_names_the_message_and_the_try(twilio, text, tag):
    (address,) = form_of(twilio.build([text()], NOW))["StatusCallback"]
    assert query_of(address) == {"tag": str(tag)}


def test_nobody_is_called_back_who_cannot_be_reached(unreachable_account, text):
    assert "StatusCallback" not in form_of(Twilio(account=unreachable_account).build([text()], NOW))


def test_a_messaging_service_chooses_its_own_number(twilio, text):
    form = form_of(twilio.build([text(sender=SERVICE)], NOW))
    assert form["MessagingServiceSid"] == [SERVICE]
    assert "From" not in form


def test_a_service_may_be_told_which_number_to_use(twilio, text):
    form = form_of(twilio.build([text({"messaging_service": SERVICE})], NOW))
    assert (form["From"], form["MessagingServiceSid"]) == (["+15017122661"], [SERVICE])


def test_the_service_that_is_named_takes_the_place_of_the_senders(twilio, text):
    other = SERVICE.replace("MG0", "MG1")
    form = form_of(twilio.build([text({"messaging_service": other}, sender=SERVICE)], NOW))
    assert form["MessagingServiceSid"] == [other]


@pytest.mark.parametrize("sender", ["+15017122661", "70123", "TOWNHALL", "MGM Resorts"])
def test_numbers_short_codes_and_names_are_senders(twilio, text, sender):
    form = form_of(twilio.build([text(sender=sender)], NOW))
    assert form["From"] == [sender]
    assert "MessagingServiceSid" not in form


def test_a_senders_name_for_people_stays_here(twilio, text):
    form = form_of(twilio.build([text(sender="Town Hall <+15017122661>")], NOW))
    assert form["From"] == ["+15017122661"]


def test_media_go_by_their_addresses(twilio, text):
    urls = ["https://example.org/a.jpg", "https://example.org/b.jpg?x=1&y=2"]
    form = form_of(twilio.build([text({"media": urls})], NOW))
    assert (form["MediaUrl"], form["Body"]) == (urls, ["Water is back"])


def test_media_need_no_words(twilio, text):
    form = form_of(twilio.build([text({"media": ["https://example.org/a.jpg"]}, text=None)], NOW))
    assert "Body" not in form


def test_a_template_brings_its_own_words(twilio, text):
    options = {"content_sid": TEMPLATE, "content_variables": {"1": "Bob", "2": 7}}
    form = form_of(twilio.build([text(options)], NOW))
    assert form["ContentSid"] == [TEMPLATE]
    assert orjson.loads(form["ContentVariables"][0]) == {"1": "Bob", "2": "7"}
    assert "Body" not in form


@pytest.mark.parametrize(("chosen", "written"), [(True, "true"), (False, "false")])
def test_smart_encoding_is_as_chosen(twilio, text, chosen, written):
    assert form_of(twilio.build([text({"smart_encoding": chosen})], NOW))["SmartEncoded"] == [written]


def test_a_highest_price_goes_along(twilio, text):
    assert form_of(twilio.build([text({"max_price": "0.05"})], NOW))["MaxPrice"] == ["0.05"]


@pytest.mark.parametrize(
    ("left", "seconds"),
    [
        (timedelta(minutes=5), "300"),
        (timedelta(seconds=1.9), "1"),
        (timedelta(milliseconds=200), "1"),
        (timedelta(seconds=-3), "1"),
        (timedelta(hours=10), "36000"),
        (timedelta(days=1), "36000"),
    ],
)
def test_a_message_is_valid_until_it_expires_within_twilios_bounds(twilio, text, left, seconds):
    assert form_of(twilio.build([text(expires_at=NOW + left)], NOW))["ValidityPeriod"] == [seconds]


PICTURE = Attachment(filename="a.png", content_type="image/png", content=b"x")


@pytest.mark.parametrize(
    ("options", "changes", "missing"),
    [
        ({}, {"text": "x" * 1601}, "more than 1600 characters"),
        ({}, {"text": ""}, "without text"),
        ({}, {"text": None}, "without text"),
        ({}, {"attachments": [PICTURE]}, "attachments"),
        ({"media": ["https://example.org/a"] * 11}, {}, "more media than 10"),
        ({"content_sid": "HX1"}, {}, "content_sid"),
    ],
)
def test_what_cannot_be_expressed_is_not_built(twilio, text, options, changes, missing):
    message = text(options, **changes)
    assert missing in twilio.cannot_express(message)
    with pytest.raises(Invalid, match=missing):
        twilio.build([message], NOW)


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({}, {"text": "x" * 1600}),
        ({"media": ["https://example.org/a"] * 10}, {}),
        ({"content_sid": TEMPLATE}, {"text": None}),
        ({"content_sid": TEMPLATE}, {"text": "x" * 9999}),
    ],
)
def test_what_is_just_allowed_can_be_expressed(twilio, text, options, changes):
    assert twilio.cannot_express(text(options, **changes)) is None


def test_other_channels_options_say_nothing(twilio, text):
    message = replace(text(), options={"whatsapp": {"content_sid": TEMPLATE}, "sms": None})
    assert "ContentSid" not in form_of(twilio.build([message], NOW))


def test_whatsapp_has_its_prefix_on_both_sides(whatsapp, chat):
    form = form_of(whatsapp.build([chat()], NOW))
    assert form == {
        "To": ["whatsapp:+15558675310"],
        "From": ["whatsapp:+15017122661"],
        "Body": ["Water is back"],
        "StatusCallback": [CALLBACK],
    }


def test_whatsapp_may_go_through_a_service(whatsapp, chat):
    form = form_of(whatsapp.build([chat(sender=SERVICE)], NOW))
    assert form["MessagingServiceSid"] == [SERVICE]
    assert "From" not in form


def test_whatsapp_takes_templates(whatsapp, chat):
    form = form_of(whatsapp.build([chat({"content_sid": TEMPLATE, "content_variables": {"1": "Bob"}})], NOW))
    assert (form["ContentSid"], form["ContentVariables"]) == ([TEMPLATE], ['{"1":"Bob"}'])


def test_whatsapp_takes_one_file(whatsapp, chat):
    assert whatsapp.cannot_express(chat({"media": ["https://example.org/a"]})) is None
    assert whatsapp.cannot_express(chat({"media": ["https://example.org/a"] * 2})) == "more media than 1"


def test_a_whatsapp_message_expires_too(whatsapp, chat):
    form = form_of(whatsapp.build([chat(expires_at=NOW + timedelta(hours=1))], NOW))
    assert form["ValidityPeriod"] == ["3600"]


def test_each_gateway_has_its_name_and_channel(twilio, whatsapp):
    assert (twilio.name, twilio.channel, twilio.batch) == ("twilio", Channel.SMS, 1)
    assert (whatsapp.name, whatsapp.channel, whatsapp.batch) == ("twilio_whatsapp", Channel.WHATSAPP, 1)
