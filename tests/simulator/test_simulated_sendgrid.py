from datetime import UTC, datetime

import orjson
import pytest

from app.domain.vocabulary import EventType
from app.gateways.base import WebhookRequest
from app.gateways.email.sendgrid.webhook import SendGridWebhook
from app.settings import load
from app.simulator.environment import environment, port_of

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"


def body(*addresses, **fields):
    return {
        "personalizations": [
            {"to": [{"email": address}], "subject": "Hi", "custom_args": {"tocsin": TAG}}
            for address in addresses
        ],
        "from": {"email": "news@example.org"},
        "content": [{"type": "text/plain", "value": "text"}],
        **fields,
    }


def post(simulated, sent, key="SG.simulator", kind="application/json", path="/v3/mail/send"):
    headers = {"content-type": kind} | ({} if key is None else {"authorization": f"Bearer {key}"})
    url = f"http://127.0.0.1:{port_of('sendgrid', simulated.base)}{path}"
    content = sent if isinstance(sent, bytes) else orjson.dumps(sent)
    return simulated.http.request("POST", url, body=content, headers=headers)


def errors(answer):
    return [(each["field"], each["message"]) for each in orjson.loads(answer.data)["errors"]]


@pytest.fixture
def webhook():
    given = {name.lower(): value for name, value in environment(8001).items()}
    return SendGridWebhook.configured(load(_env_file=None, **given))


def test_settings_lead_to_the_double():
    given = environment(8001)
    assert given["SENDGRID_URL"] == f"http://127.0.0.1:{port_of('sendgrid', 8001)}"
    assert given["SENDGRID_API_KEY"]


def test_a_whole_request_is_taken_under_one_id(simulated):
    answer = post(simulated, body("anna@example.com", "bob@example.com"))
    assert (answer.status, answer.data) == (202, b"")
    assert answer.headers["x-message-id"]
    assert [(entry["tag"], entry["gateway"], entry["address"]) for entry in simulated.entries()] == [
        (TAG, "sendgrid", "anna@example.com"),
        (TAG, "sendgrid", "bob@example.com"),
    ]


@pytest.mark.parametrize(("key", "words"), [(None, "wrong credentials"), ("SG.other", "invalid, expired")])
def test_the_key_is_looked_at_first(simulated, key, words):
    answer = post(simulated, b"nonsense", key=key)
    assert answer.status == 401
    assert words in errors(answer)[0][1]


def test_another_path_or_kind_is_refused(simulated):
    assert post(simulated, body("a@example.com"), path="/v3/mail").status == 404
    assert post(simulated, body("a@example.com"), kind="text/plain").status == 415


def test_one_bad_address_refuses_all_and_is_named(simulated):
    answer = post(simulated, body("anna@example.com", "b..b@example.com", "cy@example.com"))
    assert answer.status == 400
    assert errors(answer) == [("personalizations.1.to.0.email", "Does not contain a valid address.")]
    assert simulated.entries() == []


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (body(), "personalizations"),
        (body(*(f"r{n}@example.com" for n in range(1001))), "personalizations"),
        (body("a@example.com", "A@example.com"), "personalizations.1.to.0.email"),
        (body("a@example.com", content=[]), "content"),
        (body("a@example.com", content=[{"type": "text/html", "value": ""}]), "content.0.value"),
        (
            body(
                "a@example.com",
                content=[{"type": "text/html", "value": "a"}, {"type": "text/plain", "value": "a"}],
            ),
            "content",
        ),
        (body("a@example.com", categories=[str(n) for n in range(11)]), "categories"),
        (body("a@example.com", ip_pool_name="another"), "ip_pool_name"),
        (body("a@example.com", **{"from": {"email": "nobody"}}), "from.email"),
        (
            body("a@example.com", personalizations=[{"to": [{"email": "a@example.com"}]}]),
            "personalizations.0.subject",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_field(simulated, sent, field):
    answer = post(simulated, sent)
    assert answer.status == 400
    assert field in [name for name, _ in errors(answer)]


@pytest.mark.parametrize("name", ["substitutions", "custom_args"])
def test_ten_thousand_bytes_of_texts_are_too_much(simulated, name):
    sent = body("a@example.com")
    sent["personalizations"][0][name] = {"-a-": "x" * 9_900}
    assert post(simulated, sent).status == 202
    sent["personalizations"][0][name] = {"-a-": "x" * 10_000}
    assert errors(post(simulated, sent))[0][0] == f"personalizations.0.{name}"


def test_headers_of_its_own_are_reserved(simulated):
    sent = body("a@example.com")
    sent["personalizations"][0]["headers"] = {"X-SG-EID": "1"}
    assert errors(post(simulated, sent))[0][0] == "personalizations.0.headers.X-SG-EID"


def test_a_sender_that_is_not_verified_is_forbidden(simulated):
    answer = post(simulated, body("a@example.com", **{"from": {"email": "n@unverified.example"}}))
    assert (answer.status, errors(answer)[0][0]) == (403, "from")


def test_the_sandbox_takes_nothing(simulated):
    sent = body("a@example.com", mail_settings={"sandbox_mode": {"enable": True}})
    assert post(simulated, sent).status == 200
    assert simulated.entries() == []


def test_too_fast_says_when_it_is_over(simulated):
    answer = post(simulated, body("throttled@example.com", "anna@example.com"))
    assert answer.status == 429
    assert int(answer.headers["x-ratelimit-reset"]) > datetime.now(UTC).timestamp()
    assert simulated.entries() == []


def test_down_is_a_page_of_html(simulated):
    answer = post(simulated, body("down@example.com"))
    assert answer.status == 503
    assert answer.data.startswith(b"<html>")


def told(webhook, receiver, number):
    """Take so many webhooks, prove them, and give the facts in each."""
    requests = [
        WebhookRequest(method="POST", url=got.path, headers=got.headers, body=got.body)
        for got in receiver.take(number)
    ]
    for request in requests:
        webhook.verify(request, None, datetime.now(UTC))
    return [webhook.events(request) for request in requests]


def test_webhooks_are_arrays_that_our_reader_believes(telling, receiver, webhook):
    simulated = telling()
    post(simulated, body(*(f"r{n}@example.com" for n in range(50))))
    processed, delivered = told(webhook, receiver, 2)
    assert [len(processed), len(delivered)] == [50, 50]
    assert {fact.event_type for fact in processed} == {EventType.SENT}
    assert {fact.event_type for fact in delivered} == {EventType.DELIVERED}
    assert {str(fact.tag) for fact in delivered} == {TAG}
    assert len({fact.external_id for fact in delivered}) == 50


def test_the_body_ends_with_a_line_break(telling, receiver):
    post(telling(), body("a@example.com"))
    assert receiver.take()[0].body.endswith(b"]\r\n")


@pytest.mark.parametrize(
    ("recipient", "story"),
    [
        ("open", ["sent", "delivered", "opened"]),
        ("click", ["sent", "delivered", "opened", "clicked"]),
        ("unsubscribe", ["sent", "delivered", "unsubscribed"]),
        ("complaint", ["sent", "delivered", "complained"]),
        ("deferred", ["sent", "deferred", "delivered"]),
        ("soft-bounce", ["sent", "deferred", "bounced/unreachable"]),
        ("bounce", ["sent", "bounced/recipient"]),
        ("late-bounce", ["sent", "delivered", "bounced/recipient"]),
        ("suppressed", ["failed/recipient"]),
        ("rejected", ["failed/content"]),
        ("held", ["failed/config"]),
    ],
)
def test_each_magic_recipient_has_its_story(telling, receiver, webhook, recipient, story):
    post(telling(), body(f"{recipient}@example.com"))
    facts = [fact for request in told(webhook, receiver, len(story)) for fact in request]
    spelt = [
        f"{fact.event_type}/{fact.outcome}"
        if fact.event_type in ("bounced", "failed")
        else fact.event_type.value
        for fact in facts
    ]
    assert spelt == story


def test_what_is_told_twice_is_one_fact(telling, receiver, webhook):
    post(telling(duplicate=1.0), body("a@example.com", "b@example.com"))
    facts = [fact for request in told(webhook, receiver, 4) for fact in request]
    assert len(facts) == 8
    assert len({fact.key for fact in facts}) == 4
