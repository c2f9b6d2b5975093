"""Keys, scopes, limits of keys, and addresses."""

import pytest

from app.api.access import address_of
from app.api.application import create_app
from app.bootstrap import App

SEARCH = "/v1/messages"


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "Bearer tcs_unknown", "Basic YTpi", "tcs_x"]
)
def test_without_a_valid_key_it_is_401_with_a_challenge(api, value):
    headers = {} if value is None else {"Authorization": value}
    answer = api.as_key(None).get(SEARCH, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json["type"] == "/problems/unauthenticated"


def test_the_scheme_may_be_written_in_any_case(api, keys):
    headers = {"Authorization": f"bearer {keys['reader']}"}
    assert api.as_key(None).get(SEARCH, headers=headers).status_code == 200


def test_a_key_without_the_scope_is_403_and_the_scope_is_named(api, message):
    answer = api.as_key("reader").post("/v1/messages", message)
    assert answer.status_code == 403
    assert "messages:send" in answer.json["detail"]


def test_a_key_is_judged_before_the_body_is_read(api):
    answer = api.as_key(None).call("POST", "/v1/messages", data=b"{", content_type="application/json")
    assert answer.status_code == 401


def test_a_key_that_is_used_too_often_is_429_with_the_seconds_left(api):
    slowed = api.as_key("slowed")
    answers = [slowed.get(SEARCH) for _ in range(5)]
    refused = [answer for answer in answers if answer.status_code == 429]
    # Two of five pass; four, where a minute began between them.
    assert 1 <= len(refused) <= 3
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    assert refused[0].json["type"] == "/problems/too-many-requests"


def test_without_redis_keys_are_not_counted_and_all_may_pass(app, settings, keys, api):
    broken = App(
        settings=settings.model_copy(update={"redis_url": "redis://127.0.0.1:9"}), engine=app.engine, name="x"
    )
    client = create_app(broken).test_client()
    headers = {"Authorization": f"Bearer {keys['slowed']}"}
    assert {client.get(SEARCH, headers=headers).status_code for _ in range(3)} == {200}


def test_a_key_is_refused_from_an_address_that_it_may_not_be_used_from(api):
    answer = api.as_key("elsewhere").get(SEARCH)
    assert answer.status_code == 403


def test_a_trusted_proxy_tells_the_address(app, settings, keys):
    behind = App(settings=settings.model_copy(update={"trusted_proxies": 1}), engine=app.engine, name="x")
    client = create_app(behind).test_client()
    headers = {"Authorization": f"Bearer {keys['elsewhere']}", "X-Forwarded-For": "8.8.8.8, 192.0.2.7"}
    assert client.get(SEARCH, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("told", "proxies", "address"),
    [
        ("192.0.2.7", 0, "10.0.0.1"),
        ("192.0.2.7", 1, "192.0.2.7"),
        ("6.6.6.6, 192.0.2.7", 1, "192.0.2.7"),
        ("6.6.6.6, 192.0.2.7, 10.0.0.9", 2, "192.0.2.7"),
        ("192.0.2.7", 2, "10.0.0.1"),
        ("", 1, "10.0.0.1"),
    ],
)
def test_only_what_our_own_proxies_say_about_the_address_is_believed(told, proxies, address):
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": told}
    assert address_of(environ, proxies) == address
