from datetime import UTC, datetime, timedelta

import orjson
import pytest

from app.domain.vocabulary import Channel
from app.simulator import environment
from app.simulator.accounts.fcm import PRIVATE_KEY
from app.simulator.recipients import Fate, address_for

jwt = pytest.importorskip("jwt")

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"
EMAIL = "tocsin@tocsin-simulator.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"

pytestmark = pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long")


def assertion(**changes):
    now = datetime.now(UTC)
    claims = {"iss": EMAIL, "scope": SCOPE, "aud": "https://oauth2.googleapis.com/token", "iat": now}
    key = changes.pop("key", PRIVATE_KEY)
    claims |= {"exp": now + timedelta(hours=1)} | changes
    return jwt.encode(claims, key, algorithm="RS256")


def post(simulated, path, *, headers=None, body=b"", fields=None):
    url = environment(simulated.base)["FCM_URL"]
    answer = simulated.http.request(
        "POST", f"{url}{path}", headers=headers or {}, body=body, **({"fields": fields} if fields else {})
    )
    return answer.status, orjson.loads(answer.data), answer.headers


def token_answer(simulated, **changes):
    fields = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion(**changes)}
    url = environment(simulated.base)["FCM_TOKEN_URL"]
    answer = simulated.http.request("POST", url, fields=fields, encode_multipart=False)
    return answer.status, orjson.loads(answer.data)


@pytest.fixture
def fcm(simulated):
    """Sends one message; a status, the answer, and its headers."""
    _, told = token_answer(simulated)

    def send(*, bearer=None, project="tocsin-simulator", validate_only=False, **message):
        message = {"token": address_for(Fate.DELIVERED, Channel.PUSH), "data": {"tocsin": TAG}} | message
        if "topic" in message or "condition" in message:
            del message["token"]
        return post(
            simulated,
            f"/v1/projects/{project}/messages:send",
            headers={"authorization": f"Bearer {bearer or told['access_token']}"},
            body=orjson.dumps({"validate_only": validate_only, "message": message}),
        )

    return send


def code_of(told):
    details = told["error"].get("details", [])
    return next((each["errorCode"] for each in details if "errorCode" in each), told["error"]["status"])


def test_a_signed_assertion_is_worth_an_access_token(simulated):
    status, told = token_answer(simulated)
    assert (status, told["token_type"], told["expires_in"]) == (200, "Bearer", 3599)
    assert told["access_token"].startswith("ya29.")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"iss": "somebody@else"}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"exp": datetime(2020, 1, 1, tzinfo=UTC)}, "invalid_grant"),
        ({"exp": datetime(2090, 1, 1, tzinfo=UTC)}, "invalid_grant"),
        ({"aud": "https://example.com"}, "invalid_grant"),
    ],
)
def test_another_assertion_is_worth_nothing(simulated, changes, error):
    status, told = token_answer(simulated, **changes)
    assert (status, told["error"]) == (400, error)


def test_a_message_is_taken_and_named(fcm, simulated):
    status, told, _ = fcm(notification={"title": "T"})
    assert status == 200
    assert told["name"].startswith("projects/tocsin-simulator/messages/0:")
    [entry] = simulated.entries()
    assert (entry["tag"], entry["gateway"], entry["fate"]) == (TAG, "fcm", "delivered")


@pytest.mark.parametrize("target", [{"topic": "news"}, {"condition": "'a' in topics"}])
def test_topics_and_conditions_are_delivered(fcm, simulated, target):
    assert fcm(**target)[0] == 200
    assert simulated.entries()[0]["address"] == ":".join(*target.items())


def test_a_dry_run_takes_nothing(fcm, simulated):
    status, told, _ = fcm(validate_only=True)
    assert (status, told["name"]) == (200, "projects/tocsin-simulator/messages/fake_message_id")
    assert simulated.entries() == []


@pytest.mark.parametrize(
    ("fate", "status", "code"),
    [
        (Fate.BOUNCE, 404, "UNREGISTERED"),
        (Fate.SUPPRESSED, 403, "SENDER_ID_MISMATCH"),
        (Fate.REJECTED, 400, "INVALID_ARGUMENT"),
        (Fate.HELD, 401, "THIRD_PARTY_AUTH_ERROR"),
        (Fate.THROTTLED, 429, "QUOTA_EXCEEDED"),
        (Fate.DOWN, 503, "UNAVAILABLE"),
    ],
)
def test_each_fate_is_answered_in_fcms_words(fcm, simulated, fate, status, code):
    got, told, headers = fcm(token=address_for(fate, Channel.PUSH))
    assert (got, code_of(told)) == (status, code)
    assert (headers.get("retry-after") is not None) == (fate is Fate.THROTTLED)
    assert simulated.entries() == []


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"topic": "a b"}, "message.topic"),
        ({"data": {"n": 1}}, "message.data[n]"),
        ({"data": {"from": "x"}}, "message.data[from]"),
        ({"data": {"google.x": "x"}}, "message.data[google.x]"),
        ({"android": {"ttl": "soon"}}, "message.android.ttl"),
        ({"android": {"loud": True}}, "message.android.loud"),
        ({"android": {"priority": "MAX"}}, "message.android.priority"),
        ({"fcm_options": {"analytics_label": "x" * 51}}, "message.fcm_options.analytics_label"),
        ({"apns": {"headers": {"apns-priority": 5}}}, "message.apns.headers"),
        ({"sms": {}}, "message.sms"),
        ({"data": {"a": "x" * 4096}}, "message.data"),
        ({"topic": "a", "data": {"a": "x" * 2048}}, "message.data"),
    ],
)
def test_a_wrong_field_is_named(fcm, message, field):
    status, told, _ = fcm(**message)
    [violation] = [v for each in told["error"]["details"] for v in each.get("fieldViolations", [])]
    assert (status, violation["field"]) == (400, field)


def test_a_token_of_another_shape_is_wrong_without_a_field(fcm):
    status, told, _ = fcm(token="short")
    assert (status, code_of(told)) == (400, "INVALID_ARGUMENT")
    assert "registration token" in told["error"]["message"]


def test_an_unknown_access_token_is_refused(fcm):
    status, told, _ = fcm(bearer="ya29.other")
    assert (status, code_of(told)) == (401, "UNAUTHENTICATED")


def test_another_project_is_not_found(fcm):
    status, told, _ = fcm(project="other")
    assert (status, code_of(told)) == (404, "NOT_FOUND")


def test_each_token_of_a_topic_has_its_own_result(simulated):
    _, told = token_answer(simulated)
    fates = [Fate.DELIVERED, Fate.BOUNCE, Fate.SUPPRESSED, Fate.HELD]
    tokens = [address_for(fate, Channel.PUSH) for fate in fates]
    headers = {"authorization": f"Bearer {told['access_token']}", "access_token_auth": "true"}
    body = orjson.dumps({"to": "/topics/news", "registration_tokens": tokens})
    status, told, _ = post(simulated, "/iid/v1:batchAdd", headers=headers, body=body)
    assert (status, told) == (
        200,
        {
            "results": [
                {},
                {"error": "NOT_FOUND"},
                {"error": "INVALID_ARGUMENT"},
                {"error": "TOO_MANY_TOPICS"},
            ]
        },
    )


@pytest.mark.parametrize(
    ("to", "number", "error"),
    [
        ("news", 1, "InvalidTopicName"),
        ("/topics/news", 0, "InvalidArgument"),
        ("/topics/n", 1001, "InvalidArgument"),
    ],
)
def test_a_wrong_topic_or_too_many_tokens_are_refused_whole(simulated, to, number, error):
    _, told = token_answer(simulated)
    headers = {"authorization": f"Bearer {told['access_token']}", "access_token_auth": "true"}
    body = orjson.dumps({"to": to, "registration_tokens": ["t"] * number})
    status, told, _ = post(simulated, "/iid/v1:batchAdd", headers=headers, body=body)
    assert (status, told) == (400, {"error": error})


def test_the_app_reports_what_became_of_it(telling, receiver):
    simulated = telling()
    _, told = token_answer(simulated)
    message = {"token": address_for(Fate.OPEN, Channel.PUSH), "data": {"t": TAG}}
    post(
        simulated,
        "/v1/projects/tocsin-simulator/messages:send",
        headers={"authorization": f"Bearer {told['access_token']}"},
        body=orjson.dumps({"message": message}),
    )
    reports = receiver.take(2)
    assert {report.path for report in reports} == {"/webhooks/firebase"}
    assert sorted(entry["event"] for report in reports for entry in report.json) == ["delivered", "opened"]
    assert {entry["tag"] for report in reports for entry in report.json} == {TAG}
