from datetime import UTC, datetime, timedelta

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.base import HttpResponse
from app.gateways.push.apns.provider_token import ProviderTokens
from app.gateways.push.apns.sending import Apns

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOKEN = "70c51200" + "0" * 56
ACCOUNT = (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)
RECIPIENT = (OutcomeClass.RECIPIENT, None)
CONTENT = (OutcomeClass.CONTENT, None)
THROTTLE = (OutcomeClass.THROTTLE, None)
TRANSIENT = (OutcomeClass.TRANSIENT, None)
UNKNOWN = (OutcomeClass.UNKNOWN, None)


@pytest.fixture
def apns():
    key = ec.generate_private_key(ec.SECP256R1())
    return Apns(topic="org.example.app", tokens=ProviderTokens(team="TEAM", key_id="KEY", key=key))


def refusal(status, reason, headers=None, **more):
    return HttpResponse(status=status, headers=headers or {}, body=orjson.dumps({"reason": reason, **more}))


def accepted(name="A-B"):
    return HttpResponse(status=200, headers={"apns-id": name}, body=b"")


def read(apns, push, response):
    (outcome,) = apns.read([push(address=TOKEN)], response)
    return outcome


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (410, "Unregistered", RECIPIENT),
        (410, "ExpiredToken", RECIPIENT),
        (400, "BadDeviceToken", RECIPIENT),
        (400, "DeviceTokenNotForTopic", RECIPIENT),
        (400, "BadTopic", ACCOUNT),
        (400, "MissingTopic", ACCOUNT),
        (400, "TopicDisallowed", ACCOUNT),
        (400, "InvalidPushType", ACCOUNT),
        (403, "BadCertificate", ACCOUNT),
        (403, "BadCertificateEnvironment", ACCOUNT),
        (403, "Forbidden", ACCOUNT),
        (403, "InvalidProviderToken", ACCOUNT),
        (403, "MissingProviderToken", ACCOUNT),
        (403, "UnrelatedKeyIdInToken", ACCOUNT),
        (403, "BadEnvironmentKeyIdInToken", ACCOUNT),
        (404, "BadPath", ACCOUNT),
        (405, "MethodNotAllowed", ACCOUNT),
        (413, "PayloadTooLarge", CONTENT),
        (400, "PayloadEmpty", CONTENT),
        (400, "BadCollapseId", CONTENT),
        (400, "BadExpirationDate", CONTENT),
        (400, "BadMessageId", CONTENT),
        (400, "BadPriority", CONTENT),
        (400, "DuplicateHeaders", CONTENT),
        (400, "MissingDeviceToken", CONTENT),
        (429, "TooManyRequests", THROTTLE),
        (429, "TooManyProviderTokenUpdates", THROTTLE),
        (500, "InternalServerError", TRANSIENT),
        (503, "ServiceUnavailable", TRANSIENT),
        (503, "Shutdown", TRANSIENT),
        (400, "IdleTimeout", TRANSIENT),
        (400, "SomethingNew", UNKNOWN),
        (502, "", UNKNOWN),
    ],
)
def test_each_reason_has_its_class(apns, push, status, reason, expected):
    outcome = read(apns, push, refusal(status, reason))
    assert (outcome.kind, outcome.scope) == expected
    assert outcome.code == (reason or "http_502")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (410, b"<html>", RECIPIENT),
        (413, b"", CONTENT),
        (429, b"{", THROTTLE),
        (503, b"[]", TRANSIENT),
        (500, b"<html>", UNKNOWN),
        (504, b"", UNKNOWN),
        (405, b"", ACCOUNT),
        (400, b'{"reason": 5}', UNKNOWN),
        (200, b"<html>", UNKNOWN),
    ],
)
def test_an_answer_without_a_reason_is_read_by_its_status(apns, push, status, body, expected):
    outcome = read(apns, push, HttpResponse(status=status, headers={}, body=body))
    assert (outcome.kind, outcome.scope) == expected


def test_an_acceptance_has_apples_name_for_it(apns, push):
    outcome = read(apns, push, accepted())
    assert (outcome.kind, outcome.external_id) == (OutcomeClass.ACCEPTED, "A-B")


@pytest.mark.parametrize(
    ("timestamp", "as_of"),
    [
        (1795348800123, datetime(2026, 11, 22, 12, 0, 0, 123_000, tzinfo=UTC)),
        (None, None),
        ("soon", None),
        (True, None),
        (10**18, None),
    ],
)
def test_a_token_that_is_gone_says_since_when(apns, push, timestamp, as_of):
    outcome = read(apns, push, refusal(410, "Unregistered", timestamp=timestamp))
    assert (outcome.kind, outcome.as_of) == (OutcomeClass.RECIPIENT, as_of)


def test_the_wait_that_apple_asks_for_is_kept(apns, push):
    outcome = read(apns, push, refusal(429, "TooManyRequests", {"retry-after": "7"}))
    assert outcome.retry_after == timedelta(seconds=7)
    assert read(apns, push, refusal(429, "TooManyRequests")).retry_after is None


# Tokens that are refused far and wide


@pytest.mark.parametrize("reason", ["BadDeviceToken", "DeviceTokenNotForTopic"])
def test_where_most_tokens_are_refused_it_is_our_environment_that_is_wrong(apns, push, reason):
    outcomes = [read(apns, push, refusal(400, reason)) for _ in range(8)]
    assert [outcome.kind for outcome in outcomes[:4]] == [OutcomeClass.RECIPIENT] * 4
    assert {(outcome.kind, outcome.scope) for outcome in outcomes[4:]} == {ACCOUNT}


def test_some_wrong_tokens_among_many_good_ones_are_just_wrong(apns, push):
    kinds = set()
    for _ in range(150):
        read(apns, push, accepted())
        kinds.add(read(apns, push, refusal(400, "BadDeviceToken")).kind)
    assert kinds == {OutcomeClass.RECIPIENT}


def test_a_mended_environment_is_believed_again(apns, push):
    for _ in range(200):
        read(apns, push, refusal(400, "BadDeviceToken"))
    for _ in range(101):
        read(apns, push, accepted())
    assert read(apns, push, refusal(400, "BadDeviceToken")).kind is OutcomeClass.RECIPIENT


def test_tokens_that_are_gone_are_gone_however_many(apns, push):
    kinds = {read(apns, push, refusal(410, "Unregistered")).kind for _ in range(50)}
    assert kinds == {OutcomeClass.RECIPIENT}


# Our own token


EXPIRED = refusal(403, "ExpiredProviderToken")
# Forty minutes into one of the fifty-minute periods that tokens are issued for.
LATE = datetime(2026, 11, 22, 12, 10, tzinfo=UTC)


def exchanged(apns, push, response, now):
    message = push(address=TOKEN)
    text = apns.build([message], now).headers["authorization"]
    (outcome,) = apns.read([message], response)
    return text, (outcome.kind, outcome.scope)


def test_a_token_that_expired_too_early_is_renewed_once_and_then_a_clock_is_wrong(apns, push):
    first, outcome = exchanged(apns, push, EXPIRED, LATE)
    assert outcome == TRANSIENT
    second, outcome = exchanged(apns, push, EXPIRED, LATE)
    assert (outcome, first != second) == (ACCOUNT, True)


def test_a_young_token_is_not_renewed(apns, push):
    young = datetime(2026, 11, 22, 11, 45, tzinfo=UTC)
    first, outcome = exchanged(apns, push, EXPIRED, young)
    second, _ = exchanged(apns, push, accepted(), young + timedelta(minutes=5))
    assert (outcome, first == second) == (ACCOUNT, True)


def test_late_answers_to_the_old_token_do_not_condemn_the_new_one(apns, push, tag):
    messages = [
        push(address=TOKEN, tag=type(tag)(uuid=tag.uuid, priority=tag.priority, attempt=n))
        for n in range(10, 14)
    ]
    for message in messages:
        apns.build([message], LATE)
    kinds = [apns.read([messages[0]], EXPIRED)[0].kind]
    apns.build([push(address=TOKEN)], LATE)
    kinds += [apns.read([message], EXPIRED)[0].kind for message in messages[1:]]
    assert set(kinds) == {OutcomeClass.TRANSIENT}


def test_told_that_it_changes_too_often_the_token_stays(apns, push):
    before, _ = exchanged(apns, push, EXPIRED, LATE)
    _, outcome = exchanged(apns, push, refusal(429, "TooManyProviderTokenUpdates"), LATE)
    assert outcome == THROTTLE
    texts = {exchanged(apns, push, accepted(), LATE + timedelta(minutes=m))[0] for m in (0, 3, 6)}
    assert texts == {before}
