from base64 import b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest

from app.domain.facts import Tag
from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass, Priority
from app.errors import ConfigurationError, Invalid
from app.gateways.base import Attachment, HttpResponse, Joining
from app.gateways.email.sendgrid.sending import SendGrid
from app.settings import Settings

NOW = datetime(2026, 11, 21, tzinfo=UTC)
KEY = "SG.q8Zk2LmN0pXs7vTd"
TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"


@pytest.fixture(scope="module")
def sendgrid():
    return SendGrid(
        url="https://api.sendgrid.example",
        api_key=KEY,
        pools=frozenset(["campaigns"]),
        timeout=timedelta(seconds=9),
    )


def body_of(sendgrid, *messages):
    return orjson.loads(sendgrid.build(messages, NOW).body)


def crowd(envelope, count, **changes):
    """So many messages to different people that say the same."""
    return [
        envelope(
            address=f"reader{number}@example.com",
            tag=Tag(uuid=UUID(int=number), priority=Priority.P3, attempt=1),
            **changes,
        )
        for number in range(count)
    ]


def test_a_request_carries_recipient_content_and_our_tag(sendgrid, envelope):
    request = sendgrid.build([envelope()], NOW)
    assert (request.method, request.url) == ("POST", "https://api.sendgrid.example/v3/mail/send")
    assert request.timeout == timedelta(seconds=9)
    assert orjson.loads(request.body) == {
        "personalizations": [
            {"to": [{"email": "rcpt@example.com"}], "subject": "Hello", "custom_args": {"tocsin": TAG}}
        ],
        "from": {"email": "news@example.org", "name": "Town Hall"},
        "content": [
            {"type": "text/plain", "value": "Plain words"},
            {"type": "text/html", "value": "<p>Rich words</p>"},
        ],
    }


def test_the_api_key_is_in_its_header_and_nowhere_else(sendgrid, envelope):
    request = sendgrid.build([envelope()], NOW)
    assert request.headers == {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    assert KEY.encode() not in request.body
    assert KEY not in repr(sendgrid)


def test_headers_are_each_messages_own_and_in_ascii(sendgrid, envelope):
    body = body_of(sendgrid, envelope(headers={"List-Id": "<news.example.org>", "X-Ort": "Köln"}))
    (own,) = body["personalizations"]
    assert own["headers"] == {"List-Id": "<news.example.org>", "X-Ort": "=?utf-8?b?S8O2bG4=?="}
    assert "headers" not in body


@pytest.mark.parametrize("name", ["X-SG-EID", "X-SMTPAPI", "Bcc", "Content-Type"])
def test_headers_that_sendgrid_goes_by_are_not_the_callers(sendgrid, envelope, name):
    assert name in sendgrid.cannot_express(envelope(headers={name: "1"}))


def test_a_reply_address_goes_along(sendgrid, envelope):
    body = body_of(sendgrid, envelope(reply_to="Büro <office@example.org>"))
    assert body["reply_to"] == {"email": "office@example.org", "name": "Büro"}


def test_pictures_inside_a_text_keep_their_content_id(sendgrid, envelope):
    files = [
        Attachment(filename="a.png", content_type="image/png", content=b"\x89PNG", content_id="<logo>"),
        Attachment(filename="ä.pdf", content_type="application/pdf", content=b"%PDF\0"),
    ]
    assert body_of(sendgrid, envelope(attachments=files))["attachments"] == [
        {
            "content": b64encode(b"\x89PNG").decode(),
            "type": "image/png",
            "filename": "a.png",
            "disposition": "inline",
            "content_id": "logo",
        },
        {
            "content": b64encode(b"%PDF\0").decode(),
            "type": "application/pdf",
            "filename": "ä.pdf",
            "disposition": "attachment",
        },
    ]


def test_categories_are_the_messages_and_those_asked_for(sendgrid, envelope):
    options = {"email": {"categories": ["spring", "offers", "sale"]}}
    assert body_of(sendgrid, envelope(category="offers", options=options))["categories"] == [
        "offers",
        "spring",
        "sale",
    ]


def test_eleven_categories_are_too_many(sendgrid, envelope):
    options = {"email": {"categories": [f"c{n}" for n in range(10)]}}
    assert sendgrid.cannot_express(envelope(options=options)) is None
    fault = sendgrid.cannot_express(envelope(category="one more", options=options))
    assert fault == "more than 10 categories"


def test_tracking_is_said_only_where_the_caller_says_it(sendgrid, envelope):
    options = {"email": {"track_opens": False, "track_clicks": True}}
    assert body_of(sendgrid, envelope(options=options))["tracking_settings"] == {
        "open_tracking": {"enable": False},
        "click_tracking": {"enable": True, "enable_text": False},
    }
    assert "tracking_settings" not in body_of(sendgrid, envelope())


def test_sandbox_mode_is_asked_for_and_its_answer_is_acceptance(sendgrid, envelope):
    message = envelope(options={"email": {"sandbox": True}})
    assert body_of(sendgrid, message)["mail_settings"] == {"sandbox_mode": {"enable": True}}
    (outcome,) = sendgrid.read([message], HttpResponse(status=200, headers={}, body=b""))
    assert (outcome.kind, outcome.external_id) == (OutcomeClass.ACCEPTED, None)


def test_without_sandbox_mode_200_says_nothing(sendgrid, envelope):
    (outcome,) = sendgrid.read([envelope()], HttpResponse(status=200, headers={}, body=b""))
    assert outcome.kind == OutcomeClass.UNKNOWN


def test_only_pools_that_the_account_has_are_named(sendgrid, envelope):
    assert body_of(sendgrid, envelope(ip_pool="campaigns"))["ip_pool_name"] == "campaigns"
    assert "ip_pool_name" not in body_of(sendgrid, envelope(ip_pool="alerts"))


def test_a_dynamic_template_gets_its_data_and_needs_no_content(sendgrid, envelope):
    options = {"email": {"template_id": "d-1", "template_data": {"first": "Ada", "items": [1, 2]}}}
    body = body_of(sendgrid, envelope(text=None, html=None, subject=None, options=options))
    assert body["template_id"] == "d-1"
    assert "content" not in body
    assert body["personalizations"][0]["dynamic_template_data"] == {"first": "Ada", "items": [1, 2]}


def test_an_older_template_is_filled_in_by_substitution(sendgrid, envelope):
    options = {"email": {"template_id": "13b8f94f-bcae", "template_data": {"-first-": "Ada", "-age-": 36}}}
    body = body_of(sendgrid, envelope(options=options))
    assert body["template_id"] == "13b8f94f-bcae"
    assert body["personalizations"][0]["substitutions"] == {"-first-": "Ada", "-age-": "36"}
    assert body["content"][0] == {"type": "text/plain", "value": "Plain words"}


def test_what_cannot_be_expressed_is_not_built(sendgrid, envelope):
    with pytest.raises(Invalid, match="subject"):
        sendgrid.build([envelope(), envelope(address="b@example.com", subject="a\nb")], NOW)


def test_a_message_needs_a_subject(sendgrid, envelope):
    assert sendgrid.cannot_express(envelope(subject=None)) == "a message without a subject"


def test_thirty_megabytes_are_the_most(sendgrid, envelope):
    def big(size):
        return envelope(attachments=[Attachment(filename="a", content_type="a/b", content=bytes(size))])

    assert sendgrid.cannot_express(big(22 * 1024 * 1024)) is None
    assert sendgrid.cannot_express(big(24 * 1024 * 1024)) == "more than 30 MB"


def test_a_thousand_messages_share_a_request(sendgrid, envelope):
    messages = crowd(envelope, 1001)
    assert isinstance(sendgrid, Joining)
    assert sendgrid.batch == 1000
    assert sendgrid.joint(messages) == 1000
    body = body_of(sendgrid, *messages[:1000])
    assert len(body["personalizations"]) == 1000
    assert body["personalizations"][7]["custom_args"] == {"tocsin": str(messages[7].tag)}
    assert all("substitutions" not in each for each in body["personalizations"])


def test_each_message_keeps_its_subject(sendgrid, envelope):
    messages = [envelope(), envelope(address="b@example.com", subject="Hello, Bob")]
    assert sendgrid.joint(messages) == 2
    subjects = [each["subject"] for each in body_of(sendgrid, *messages)["personalizations"]]
    assert subjects == ["Hello", "Hello, Bob"]


def test_each_message_keeps_its_template_data(sendgrid, envelope):
    messages = [
        envelope(
            address=f"{name}@example.com",
            options={"email": {"template_id": "d-1", "template_data": {"n": name}}},
        )
        for name in ("ada", "bob")
    ]
    assert sendgrid.joint(messages) == 2
    told = [each["dynamic_template_data"] for each in body_of(sendgrid, *messages)["personalizations"]]
    assert told == [{"n": "ada"}, {"n": "bob"}]


@pytest.mark.parametrize(
    "change",
    [
        {"sender": "Other <other@example.org>"},
        {"reply_to": "office@example.org"},
        {"ip_pool": "alerts"},
        {"category": "offers"},
        {"text": None},
        {"html": None},
        {"attachments": [Attachment(filename="a", content_type="a/b", content=b"x")]},
        {"options": {"email": {"track_opens": True}}},
        {"options": {"email": {"sandbox": True}}},
        {"options": {"email": {"template_id": "d-1"}}},
        {"headers": {"X-Long": "x" * 5000}},
        {"text": "I know of %tocsin_t0%"},
        {"subject": "I know of %tocsin_t0%"},
    ],
    ids=str,
)
def test_what_cannot_differ_inside_of_a_request_ends_it(sendgrid, envelope, change):
    messages = [envelope(), envelope(address="b@example.com"), envelope(address="c@example.com", **change)]
    assert sendgrid.joint(messages) == 2


def test_options_that_are_none_of_emails_may_differ(sendgrid, envelope):
    messages = [envelope(options={"sms": {"a": 1}}), envelope(address="b@example.com")]
    assert sendgrid.joint(messages) == 2


def test_an_address_comes_once_in_a_request(sendgrid, envelope):
    messages = [envelope(), envelope(address="b@example.com"), envelope(address="RCPT@example.com")]
    assert sendgrid.joint(messages) == 2


def test_two_large_messages_go_apart(sendgrid, envelope):
    big = [Attachment(filename="a", content_type="a/b", content=bytes(10 * 1024 * 1024))]
    messages = [envelope(attachments=big), envelope(address="b@example.com", attachments=big)]
    assert sendgrid.joint(messages) == 1


def test_accepted_messages_have_ids_of_their_own(sendgrid, envelope):
    messages = crowd(envelope, 3)
    response = HttpResponse(status=202, headers={"x-message-id": "14c5d75ce93"}, body=b"")
    outcomes = sendgrid.read(messages, response)
    assert [each.kind for each in outcomes] == [OutcomeClass.ACCEPTED] * 3
    ids = [each.external_id for each in outcomes]
    assert len(set(ids)) == 3
    assert {each.partition(".")[0] for each in ids} == {"14c5d75ce93"}
    assert not any("reader" in each for each in ids)


def test_acceptance_without_an_id_is_acceptance(sendgrid, envelope):
    response = HttpResponse(status=202, headers={}, body=b"")
    assert sendgrid.read([envelope()], response) == [Outcome(kind=OutcomeClass.ACCEPTED)]


def settings(**chosen):
    return Settings(_env_file=None, **chosen)


def test_the_gateway_is_the_one_that_settings_describe():
    made = SendGrid.configured(
        settings(
            sendgrid_api_key=KEY,
            sendgrid_url="https://api.eu.sendgrid.com/",
            sendgrid_ip_pools="alerts, campaigns",
            gateway_timeout_seconds=7,
        )
    )
    assert made == SendGrid(
        url="https://api.eu.sendgrid.com",
        api_key=KEY,
        pools=frozenset(["alerts", "campaigns"]),
        timeout=timedelta(seconds=7),
    )


def test_the_vendors_own_address_needs_no_setting():
    assert SendGrid.configured(settings(sendgrid_api_key=KEY)).url == "https://api.sendgrid.com"


def test_without_a_key_there_is_no_gateway():
    assert SendGrid.configured(settings()) is None


def test_webhooks_of_an_account_that_nobody_sends_by_are_a_mistake():
    with pytest.raises(ConfigurationError, match="SENDGRID_API_KEY"):
        SendGrid.configured(settings(sendgrid_webhook_public_keys="key"))
