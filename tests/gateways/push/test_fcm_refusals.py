from datetime import UTC, datetime, timedelta

import orjson
import pytest

from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.base import HttpResponse
from app.gateways.push.fcm.access import AccessTokens, ServiceAccount
from app.gateways.push.fcm.sending import Fcm
from app.simulator.accounts.fcm import PRIVATE_KEY

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
ACCOUNT = {"project_id": "town", "client_email": "t@town", "private_key": PRIVATE_KEY}


@pytest.fixture
def fcm():
    numbers = iter(range(100))

    def fetch(_):
        body = orjson.dumps({"access_token": f"t{next(numbers)}", "expires_in": 3599})
        return HttpResponse(status=200, headers={}, body=body)

    account = ServiceAccount.read(orjson.dumps(ACCOUNT).decode())
    return Fcm(project="town", tokens=AccessTokens(account, fetch))


def error(status, name, code=None, text="words", fields=(), *, headers=None):
    details = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
    if fields:
        violations = [{"field": field, "description": "no"} for field in fields]
        details.append({"@type": BAD_REQUEST, "fieldViolations": violations})
    told = {"error": {"code": status, "message": text, "status": name, "details": details}}
    return HttpResponse(status=status, headers=headers or {}, body=orjson.dumps(told))


@pytest.fixture
def outcome(fcm, push):
    def read(response, **changes):
        message = push(**changes)
        (outcome,) = fcm.read([message], response)
        return outcome

    return read


INVALID = (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")
WRONG_TOKEN = "The registration token is not a valid FCM registration token"


@pytest.mark.parametrize(
    ("response", "kind", "scope"),
    [
        (error(404, "NOT_FOUND", "UNREGISTERED"), OutcomeClass.RECIPIENT, None),
        (error(404, "NOT_FOUND"), OutcomeClass.CONFIG, ConfigScope.ACCOUNT),
        (error(*INVALID, WRONG_TOKEN), OutcomeClass.RECIPIENT, None),
        (error(*INVALID, "no", ["message.token"]), OutcomeClass.RECIPIENT, None),
        (error(*INVALID, "no"), OutcomeClass.CONTENT, None),
        (error(400, "INVALID_ARGUMENT", None, WRONG_TOKEN), OutcomeClass.CONTENT, None),
        (error(*INVALID, WRONG_TOKEN, ["message.data[0].value"]), OutcomeClass.CONTENT, None),
        (error(*INVALID, "no", ["message.token", "message.android.ttl"]), OutcomeClass.CONTENT, None),
        (error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), OutcomeClass.RECIPIENT, None),
        (error(403, "PERMISSION_DENIED"), OutcomeClass.CONFIG, ConfigScope.ACCOUNT),
        (error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), OutcomeClass.THROTTLE, None),
        (error(429, "RESOURCE_EXHAUSTED"), OutcomeClass.THROTTLE, None),
        (error(503, "UNAVAILABLE", "UNAVAILABLE"), OutcomeClass.TRANSIENT, None),
        (error(500, "INTERNAL", "INTERNAL"), OutcomeClass.TRANSIENT, None),
        (
            error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
            OutcomeClass.CONFIG,
            ConfigScope.DESTINATION,
        ),
        (error(401, "UNAUTHENTICATED", "APNS_AUTH_ERROR"), OutcomeClass.CONFIG, ConfigScope.DESTINATION),
        (error(504, "DEADLINE_EXCEEDED"), OutcomeClass.UNKNOWN, None),
        (error(502, "UNAVAILABLE", "UNAVAILABLE"), OutcomeClass.UNKNOWN, None),
        (error(418, "NEW", "NEWER"), OutcomeClass.UNKNOWN, None),
        (HttpResponse(status=503, headers={}, body=b"<html>"), OutcomeClass.TRANSIENT, None),
        (HttpResponse(status=500, headers={}, body=b"<html>"), OutcomeClass.UNKNOWN, None),
        (HttpResponse(status=404, headers={}, body=b"[]"), OutcomeClass.UNKNOWN, None),
        (HttpResponse(status=200, headers={}, body=b'{"na'), OutcomeClass.UNKNOWN, None),
        (HttpResponse(status=200, headers={}, body=b'{"name": {}}'), OutcomeClass.UNKNOWN, None),
        (
            HttpResponse(status=400, headers={}, body=b'{"error": {"details": [1, null]}}'),
            OutcomeClass.UNKNOWN,
            None,
        ),
    ],
)
def test_each_answer_has_its_class(outcome, response, kind, scope):
    result = outcome(response)
    assert (result.kind, result.scope) == (kind, scope)


@pytest.mark.parametrize("code", ["UNREGISTERED", "SENDER_ID_MISMATCH", "INVALID_ARGUMENT"])
def test_a_topic_is_nobody_who_could_be_gone(outcome, code):
    result = outcome(error(400, "INVALID_ARGUMENT", code, WRONG_TOKEN), address="topic:a")
    assert result.kind is OutcomeClass.CONTENT


def test_an_acceptance_has_fcms_name_for_the_message(outcome):
    name = "projects/town/messages/0:1500415314455276%31bd1c9631bd1c96"
    result = outcome(HttpResponse(status=200, headers={}, body=orjson.dumps({"name": name})))
    assert (result.kind, result.external_id) == (OutcomeClass.ACCEPTED, name)


def test_a_dry_run_has_no_name_of_its_own(outcome):
    body = b'{"name": "projects/town/messages/fake_message_id"}'
    result = outcome(HttpResponse(status=200, headers={}, body=body), push={"dry_run": True})
    assert (result.kind, result.external_id, result.code) == (OutcomeClass.ACCEPTED, None, "dry_run")


@pytest.mark.parametrize(
    ("status", "code", "headers", "wait"),
    [
        (429, "QUOTA_EXCEEDED", {"retry-after": "120"}, timedelta(seconds=120)),
        (429, "QUOTA_EXCEEDED", {}, timedelta(seconds=60)),
        (503, "UNAVAILABLE", {"retry-after": "7"}, timedelta(seconds=7)),
        (503, "UNAVAILABLE", {}, None),
        (404, "UNREGISTERED", {"retry-after": "7"}, None),
    ],
)
def test_the_wait_that_fcm_asks_for_is_kept(outcome, status, code, headers, wait):
    assert outcome(error(status, "X", code, headers=headers)).retry_after == wait


def test_what_fcm_says_is_kept_without_the_token(outcome, push):
    address = push().address
    result = outcome(error(404, "NOT_FOUND", "UNREGISTERED", f"no such {address} here"))
    assert (result.code, result.detail) == ("UNREGISTERED", "no such <removed> here")


# The access token


UNAUTHENTICATED = error(401, "UNAUTHENTICATED")
TAKEN = HttpResponse(status=200, headers={}, body=b'{"name": "n"}')


def exchanged(fcm, message, response):
    bearer = fcm.build([message], NOW).headers["Authorization"]
    (outcome,) = fcm.read([message], response)
    return bearer, outcome.kind, outcome.scope


def test_a_refused_token_is_renewed_once_and_then_it_is_our_configuration(fcm, push):
    assert exchanged(fcm, push(), UNAUTHENTICATED) == ("Bearer t0", OutcomeClass.TRANSIENT, None)
    assert exchanged(fcm, push(), UNAUTHENTICATED) == ("Bearer t1", OutcomeClass.CONFIG, ConfigScope.ACCOUNT)


def test_a_token_that_has_worked_may_be_renewed_again(fcm, push):
    exchanged(fcm, push(), UNAUTHENTICATED)
    assert exchanged(fcm, push(), TAKEN)[:2] == ("Bearer t1", OutcomeClass.ACCEPTED)
    assert exchanged(fcm, push(), UNAUTHENTICATED) == ("Bearer t1", OutcomeClass.TRANSIENT, None)


def test_late_answers_to_the_old_token_do_not_condemn_the_new_one(fcm, push, tag):
    messages = [push(tag=type(tag)(uuid=tag.uuid, priority=tag.priority, attempt=n)) for n in range(5)]
    for message in messages:
        fcm.build([message], NOW)
    kinds = {fcm.read([message], UNAUTHENTICATED)[0].kind for message in messages[:3]}
    assert fcm.build([push()], NOW).headers["Authorization"] == "Bearer t1"
    kinds |= {fcm.read([message], UNAUTHENTICATED)[0].kind for message in messages[3:]}
    assert kinds == {OutcomeClass.TRANSIENT}
    assert fcm.build([push()], NOW).headers["Authorization"] == "Bearer t1"


def test_apples_missing_key_says_nothing_about_our_token(fcm, push):
    exchanged(fcm, push(), error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"))
    assert exchanged(fcm, push(), TAKEN)[0] == "Bearer t0"
