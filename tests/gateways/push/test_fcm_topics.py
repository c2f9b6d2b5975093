from datetime import UTC, datetime, timedelta

import orjson
import pytest

from app.domain.vocabulary import Channel, ConfigScope, OutcomeClass
from app.errors import Invalid
from app.gateways.base import HttpResponse
from app.gateways.push.fcm.access import AccessTokens, ServiceAccount
from app.gateways.push.fcm.topics import Topics
from app.simulator.accounts.fcm import PRIVATE_KEY
from app.simulator.recipients import Fate, address_for

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ACCOUNT = {"project_id": "town", "client_email": "t@town", "private_key": PRIVATE_KEY}


@pytest.fixture
def topics():
    answer = HttpResponse(status=200, headers={}, body=b'{"access_token":"ya29.a","expires_in":3599}')
    account = ServiceAccount.read(orjson.dumps(ACCOUNT).decode())
    return Topics(tokens=AccessTokens(account, lambda _: answer))


@pytest.mark.parametrize(("subscribe", "call"), [(True, "batchAdd"), (False, "batchRemove")])
def test_tokens_are_subscribed_many_at_a_time(topics, subscribe, call):
    request = topics.build("weather", ["a", "b"], NOW, subscribe=subscribe)
    assert request.url == f"https://iid.googleapis.com/iid/v1:{call}"
    assert request.headers == {
        "Authorization": "Bearer ya29.a",
        "Content-Type": "application/json",
        "access_token_auth": "true",
    }
    assert orjson.loads(request.body) == {"to": "/topics/weather", "registration_tokens": ["a", "b"]}


@pytest.mark.parametrize(
    ("topic", "tokens"), [("a b", ["t"]), ("", ["t"]), ("a", []), ("a", ["t"] * 1001), ("a/b", ["t"])]
)
def test_what_fcm_would_not_take_is_refused(topics, topic, tokens):
    with pytest.raises(Invalid):
        topics.build(topic, tokens, NOW, subscribe=True)


def test_a_thousand_tokens_fit(topics):
    assert topics.build("a", ["t"] * 1000, NOW, subscribe=True)


def test_each_token_has_its_own_result(topics):
    codes = [None, "NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL", "TOO_MANY_TOPICS", "RESOURCE_EXHAUSTED", "X"]
    results = [{"error": code} if code else {} for code in codes]
    response = HttpResponse(status=200, headers={}, body=orjson.dumps({"results": results}))
    assert [(each.kind.value, each.code) for each in topics.read(["t"] * 7, response)] == [
        ("accepted", ""),
        ("recipient", "NOT_FOUND"),
        ("recipient", "INVALID_ARGUMENT"),
        ("transient", "INTERNAL"),
        ("content", "TOO_MANY_TOPICS"),
        ("throttle", "RESOURCE_EXHAUSTED"),
        ("unknown", "X"),
    ]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b'{"results": [{}]}', OutcomeClass.UNKNOWN),
        (200, b"<html>", OutcomeClass.UNKNOWN),
        (400, b'{"error": "InvalidTopicName"}', OutcomeClass.CONTENT),
        (403, b"{}", OutcomeClass.CONFIG),
        (429, b"{}", OutcomeClass.THROTTLE),
        (500, b"{}", OutcomeClass.TRANSIENT),
        (502, b"", OutcomeClass.TRANSIENT),
        (503, b"", OutcomeClass.TRANSIENT),
    ],
)
def test_an_answer_about_all_is_each_ones(topics, status, body, kind):
    response = HttpResponse(status=status, headers={"retry-after": "9"}, body=body)
    outcomes = topics.read(["a", "b"], response)
    assert [each.kind for each in outcomes] == [kind] * 2
    assert outcomes[0].retry_after == timedelta(seconds=9)


def test_a_refused_access_token_is_renewed_once(topics):
    refusal = HttpResponse(status=401, headers={}, body=b'{"error": "Unauthorized"}')
    topics.build("a", ["t"], NOW, subscribe=True)
    assert topics.read(["t"], refusal)[0].kind is OutcomeClass.TRANSIENT
    topics.build("a", ["t"], NOW, subscribe=True)
    (outcome,) = topics.read(["t"], refusal)
    assert (outcome.kind, outcome.scope) == (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)


def test_the_double_understands_them(simulated_settings, transport):
    topics = Topics.configured(simulated_settings)
    tokens = [address_for(fate, Channel.PUSH) for fate in (Fate.DELIVERED, Fate.BOUNCE, Fate.SUPPRESSED)]
    response = transport.fetch(topics.build("news", tokens, datetime.now(UTC), subscribe=True))
    assert [each.kind.value for each in topics.read(tokens, response)] == [
        "accepted",
        "recipient",
        "recipient",
    ]
