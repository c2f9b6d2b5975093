from datetime import UTC, datetime, timedelta

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.domain.vocabulary import Channel
from app.simulator import environment
from app.simulator.recipients import Fate, address_for

jwt = pytest.importorskip("jwt")

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"
ID = "0192f0c0-0000-7000-8000-000000000001"


def provider_token(*, age=timedelta(0), team="TOCSINTEAM", key_id="TOCSINKEY1", key=None):
    key = key or environment(1)["APNS_KEY"].replace("\\n", "\n")
    claims = {"iss": team, "iat": datetime.now(UTC) - age}
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": key_id})


@pytest.fixture
def apns(simulated):
    """Sends one notification; a status, the answer, and its headers."""
    token = provider_token()

    def send(device=None, *, bearer=None, payload=None, method="POST", path=None, **headers):
        device = address_for(Fate.DELIVERED, Channel.PUSH, platform="apns") if device is None else device
        given = {
            "authorization": f"bearer {bearer or token}",
            "apns-topic": "com.example.tocsin",
            "apns-id": ID,
            "apns-push-type": "alert",
        } | {f"apns-{name.replace('_', '-')}": value for name, value in headers.items()}
        answer = simulated.http.request(
            method,
            environment(simulated.base)["APNS_URL"] + (path or f"/3/device/{device}"),
            headers={name: value for name, value in given.items() if value is not None},
            body=orjson.dumps({"aps": {"alert": "Hi"}, "tocsin": TAG}) if payload is None else payload,
        )
        return answer.status, orjson.loads(answer.data or b"{}"), answer.headers

    return send


def test_a_notification_is_taken_with_its_id_and_an_empty_body(apns, simulated):
    status, told, headers = apns()
    assert (status, told, headers["apns-id"]) == (200, {}, ID)
    [entry] = simulated.entries()
    assert (entry["tag"], entry["gateway"]) == (TAG, "apns")


def test_without_an_id_it_is_given_one(apns):
    assert len(apns(id=None)[2]["apns-id"]) == 36


@pytest.mark.parametrize(
    ("fate", "status", "reason"),
    [
        (Fate.BOUNCE, 410, "Unregistered"),
        (Fate.SUPPRESSED, 400, "DeviceTokenNotForTopic"),
        (Fate.REJECTED, 413, "PayloadTooLarge"),
        (Fate.HELD, 400, "TopicDisallowed"),
        (Fate.THROTTLED, 429, "TooManyRequests"),
        (Fate.DOWN, 503, "ServiceUnavailable"),
    ],
)
def test_each_fate_is_answered_in_apples_words(apns, simulated, fate, status, reason):
    got, told, _ = apns(address_for(fate, Channel.PUSH, platform="apns"))
    assert (got, told["reason"]) == (status, reason)
    assert simulated.entries() == []


def test_a_device_that_is_gone_says_since_when_in_milliseconds(apns):
    _, told, _ = apns(address_for(Fate.BOUNCE, Channel.PUSH, platform="apns"))
    since = datetime.fromtimestamp(told["timestamp"] / 1000, UTC)
    assert timedelta(hours=23) < datetime.now(UTC) - since < timedelta(hours=25)


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        ({"device": "xyz"}, 400, "BadDeviceToken"),
        ({"device": ""}, 400, "MissingDeviceToken"),
        ({"topic": None}, 400, "MissingTopic"),
        ({"topic": "com.other"}, 400, "TopicDisallowed"),
        ({"push_type": "voip"}, 400, "BadTopic"),
        ({"push_type": "loud"}, 400, "InvalidPushType"),
        ({"push_type": "background", "priority": "10"}, 400, "BadPriority"),
        ({"priority": "7"}, 400, "BadPriority"),
        ({"expiration": "soon"}, 400, "BadExpirationDate"),
        ({"collapse_id": "k" * 65}, 400, "BadCollapseId"),
        ({"id": "42"}, 400, "BadMessageId"),
        ({"payload": b""}, 400, "PayloadEmpty"),
        ({"payload": b"{}"}, 400, "PayloadEmpty"),
        ({"payload": orjson.dumps({"a": "x" * 4096})}, 413, "PayloadTooLarge"),
        ({"path": "/3/elsewhere"}, 404, "BadPath"),
        ({"method": "GET"}, 405, "MethodNotAllowed"),
    ],
)
def test_what_apple_would_not_take_is_refused(apns, given, status, reason):
    got, told, _ = apns(**given)
    assert (got, told["reason"]) == (status, reason)


def test_a_call_may_be_longer(apns):
    payload = orjson.dumps({"a": "x" * 5000})
    assert apns(push_type="voip", topic="com.example.tocsin.voip", payload=payload)[0] == 200


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (lambda: "no.token.atall", "InvalidProviderToken"),
        (lambda: provider_token(team="OTHER"), "InvalidProviderToken"),
        (lambda: provider_token(key_id="OTHER"), "InvalidProviderToken"),
        (lambda: provider_token(key=ec.generate_private_key(ec.SECP256R1())), "InvalidProviderToken"),
        (lambda: provider_token(age=timedelta(minutes=-5)), "InvalidProviderToken"),
        (lambda: provider_token(age=timedelta(minutes=61)), "ExpiredProviderToken"),
    ],
)
def test_another_provider_is_not_believed(apns, token, reason):
    status, told, _ = apns(bearer=token())
    assert (status, told["reason"]) == (403, reason)


def test_a_token_that_changes_too_often_is_refused_and_the_old_one_still_holds(apns):
    old = provider_token(age=timedelta(minutes=15))
    assert apns(bearer=old)[0] == 200
    status, told, _ = apns(bearer=provider_token())
    assert (status, told["reason"]) == (429, "TooManyProviderTokenUpdates")
    assert apns(bearer=old)[0] == 200


def test_after_twenty_minutes_another_token_is_welcome(apns):
    assert apns(bearer=provider_token(age=timedelta(minutes=30)))[0] == 200
    assert apns(bearer=provider_token())[0] == 200


def test_the_app_reports_what_became_of_it(telling, receiver):
    simulated = telling()
    simulated.http.request(
        "POST",
        f"{environment(simulated.base)['APNS_URL']}/3/device/"
        + address_for(Fate.OPEN, Channel.PUSH, platform="apns"),
        headers={"authorization": f"bearer {provider_token()}", "apns-topic": "com.example.tocsin"},
        body=orjson.dumps({"aps": {"alert": "Hi"}, "t": TAG}),
    )
    reports = receiver.take(2)
    assert {report.path for report in reports} == {"/webhooks/firebase"}
    assert sorted(entry["event"] for report in reports for entry in report.json) == ["delivered", "opened"]
