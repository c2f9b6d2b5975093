import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.errors import ConfigurationError
from app.gateways.base import HttpFailure, HttpResponse
from app.gateways.push.fcm.access import AccessTokens, ServiceAccount
from app.simulator.accounts.fcm import PRIVATE_KEY

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOLD = {
    "project_id": "town",
    "client_email": "t@town.iam.gserviceaccount.com",
    "private_key_id": "kid",
    "private_key": PRIVATE_KEY,
}
DOWN = HttpFailure(written=False, detail="refused")


class Google:
    """Answers in order, then with a new token each time; keeps what was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        return self.answers.pop(0) if self.answers else token(f"t{len(self.asked)}")


def token(text, seconds=3599):
    return HttpResponse(
        status=200, headers={}, body=orjson.dumps({"access_token": text, "expires_in": seconds})
    )


def account(**changes):
    return ServiceAccount.read(orjson.dumps(TOLD | changes).decode())


def tokens(google):
    return AccessTokens(account(), google)


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_the_request_is_the_jwt_grant_that_google_knows():
    jwt = pytest.importorskip("jwt")
    google, key = Google(), rsa.generate_private_key(public_exponent=65537, key_size=2048)
    AccessTokens(account(private_key=pem(key)), google).current(NOW)
    (request,) = google.asked
    form = parse_qs(request.body.decode())
    assert request.url == "https://oauth2.googleapis.com/token"
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    (assertion,) = form["assertion"]
    claims = jwt.decode(
        assertion,
        key.public_key(),
        algorithms=["RS256"],
        options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
    )
    assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "typ": "JWT", "kid": "kid"}
    assert claims == {
        "iss": "t@town.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": 1795348800,
        "exp": 1795352400,
    }


def test_a_token_is_asked_for_once_while_it_holds():
    google = Google()
    asking = tokens(google)
    assert {asking.current(NOW + timedelta(minutes=m)).text for m in range(54)} == {"t1"}
    assert len(google.asked) == 1


def test_it_is_renewed_before_it_ends():
    asking = tokens(Google())
    asking.current(NOW)
    assert asking.current(NOW + timedelta(minutes=56)).text == "t2"


def test_the_old_one_is_used_while_no_other_can_be_had():
    google = Google(token("old"), DOWN, HttpResponse(status=503, headers={}, body=b"<html>"))
    asking = tokens(google)
    asking.current(NOW)
    assert asking.current(NOW + timedelta(minutes=56)).text == "old"
    assert asking.current(NOW + timedelta(minutes=57)).text == "old"
    assert len(google.asked) == 3


def test_the_old_one_is_used_as_long_as_it_holds_where_google_refuses_another():
    refusal = HttpResponse(status=400, headers={}, body=b'{"error":"invalid_grant"}')
    asking = tokens(Google(token("old"), refusal))
    asking.current(NOW)
    assert asking.current(NOW + timedelta(minutes=56)).text == "old"


def test_without_any_requests_go_out_bare_and_google_is_not_stormed():
    google = Google(DOWN, DOWN)
    asking = tokens(google)
    numbers = [asking.current(NOW + timedelta(seconds=seconds)) for seconds in (0, 1, 4)]
    assert [each.headers for each in numbers] == [{}] * 3
    assert len(google.asked) == 1
    assert all(asking.refused(each.number) for each in numbers)
    assert asking.current(NOW + timedelta(seconds=6)).headers == {}
    assert asking.current(NOW + timedelta(seconds=12)).text == "t3"


def test_an_account_that_google_refuses_is_hopeless_until_it_does_not():
    body = b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'
    asking = tokens(Google(HttpResponse(status=400, headers={}, body=body)))
    refused = asking.current(NOW)
    assert refused.headers == {}
    assert asking.refused(refused.number) is False
    assert asking.refused(asking.current(NOW + timedelta(seconds=1)).number) is False
    assert asking.current(NOW + timedelta(seconds=6)).headers == {"Authorization": "Bearer t2"}


def test_a_token_in_place_of_a_refused_one_is_not_replaced_at_once():
    google = Google()
    asking = tokens(google)
    assert asking.refused(asking.current(NOW).number) is True
    assert asking.refused(asking.current(NOW).number) is False
    bare = asking.current(NOW + timedelta(seconds=1))
    assert (bare.headers, asking.refused(bare.number), len(google.asked)) == ({}, False, 2)
    again = asking.current(NOW + timedelta(seconds=6))
    assert (again.text, asking.refused(again.number)) == ("t3", False)


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(status=400, headers={}, body=b"<html>"),
        HttpResponse(status=500, headers={}, body=b'{"error":"internal_failure"}'),
        HttpResponse(status=200, headers={}, body=b"{}"),
        HttpResponse(status=200, headers={}, body=b'{"access_token":"a\\r\\nb"}'),
    ],
)
def test_an_answer_that_says_nothing_is_no_refusal(answer):
    asking = tokens(Google(answer))
    bare = asking.current(NOW)
    assert (bare.headers, asking.refused(bare.number)) == ({}, True)


def test_one_thread_asks_while_the_others_wait():
    entered, leave = threading.Semaphore(0), threading.Event()
    asked = []

    def slow(request):
        asked.append(request)
        entered.release()
        assert leave.wait(20)
        return token("t")

    asking, got = AccessTokens(account(), slow), []
    threads = [threading.Thread(target=lambda: got.append(asking.current(NOW).text)) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert entered.acquire(timeout=20)
    leave.set()
    for thread in threads:
        thread.join()
    assert (got, len(asked)) == (["t"] * 8, 1)


def test_while_one_thread_renews_the_others_use_the_old_one():
    leave, entered = threading.Event(), threading.Event()

    def renewing_one():
        entered.set()
        assert leave.wait(20)
        return token("new")

    answers = [lambda: token("old"), renewing_one]
    asking = AccessTokens(account(), lambda _: answers.pop(0)())
    asking.current(NOW)
    later, got = NOW + timedelta(minutes=56), []
    renewing = threading.Thread(target=lambda: got.append(asking.current(later).text))
    renewing.start()
    assert entered.wait(20)
    assert asking.current(later).text == "old"
    leave.set()
    renewing.join()
    assert (got, asking.current(later).text) == (["new"], "new")


def test_the_account_may_be_a_file(tmp_path):
    (tmp_path / "key.json").write_bytes(orjson.dumps(TOLD))
    read = ServiceAccount.read(str(tmp_path / "key.json"))
    assert (read.project, read.email) == ("town", "t@town.iam.gserviceaccount.com")
    assert "PRIVATE" not in repr(read)


@pytest.mark.parametrize(
    "changes",
    [
        {"project_id": ""},
        {"client_email": None},
        {"private_key": "none"},
        {"private_key": pem(ec.generate_private_key(ec.SECP256R1()))},
    ],
)
def test_an_account_that_cannot_be_used_is_a_mistake_of_the_settings(changes):
    with pytest.raises(ConfigurationError, match="FCM_SERVICE_ACCOUNT"):
        account(**changes)


@pytest.mark.parametrize("setting", ["/nonexistent/key.json", "{", "\0", "[]"])
def test_neither_json_nor_a_file_is_a_mistake_of_the_settings(setting):
    with pytest.raises(ConfigurationError, match="FCM_SERVICE_ACCOUNT"):
        ServiceAccount.read(setting)


def test_another_key_signs_otherwise():
    one, other = (
        account(),
        account(private_key=pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))),
    )
    assert one.assertion(NOW).split(".")[:2] == other.assertion(NOW).split(".")[:2]
    assert one.assertion(NOW) != other.assertion(NOW)
