"""What is called most does without Flask's routing; nobody may notice but by the time."""

from dataclasses import replace

import pytest
from flask import Flask, Response
from werkzeug.test import Client

from app.api import application, messages, webhooks
from app.api.application import create_app
from app.api.paths import pattern
from app.api.shortcut import Shortcut
from tests.api.conftest import MESSAGE

JSON = "application/json"
LARGE = b'{"subject": "' + b"x" * 2_000_000 + b'"}'

REQUESTS = [
    ("POST", "/v1/messages", {"json": MESSAGE}),
    ("POST", "/v1/messages", {"json": {"channel": "pigeon"}}),
    ("POST", "/v1/messages", {"data": b"{", "content_type": JSON}),
    ("POST", "/v1/messages", {"data": b"a=1", "content_type": "text/plain"}),
    ("POST", "/v1/messages", {"data": LARGE, "content_type": JSON}),
    ("POST", "/v1/messages/", {"json": MESSAGE}),
    ("POST", "//v1/messages", {"json": MESSAGE}),
    ("PATCH", "/v1/messages", {"json": MESSAGE}),
    ("OPTIONS", "/v1/messages", {}),
    ("HEAD", "/v1/messages", {}),
    ("POST", "/webhooks/postal", {"json": {}}),
    ("POST", "/webhooks/nobody", {"json": {}}),
    ("POST", "/webhooks/no%20body", {"json": {}}),
    ("POST", "/webhooks/postal/more", {"json": {}}),
    ("POST", "/webhooks/", {"json": {}}),
    ("PUT", "/webhooks/postal", {"json": {}}),
]


@pytest.fixture
def both(app, monkeypatch):
    """The application as it is, and the same with Flask's routing for everything."""
    quick = create_app(app)
    for resource in (messages.resource, webhooks.resource):
        monkeypatch.setattr(
            resource, "operations", [replace(each, hot=False) for each in resource.operations]
        )
    return Client(quick), Client(create_app(app))


def told(answer):
    body = answer.get_json(silent=True) or {}
    # What differs between any two requests.
    changing = {
        name: body.get(name) is not None for name in ("id", "uuid", "request_id", "links", "instance")
    }
    steady = {name: value for name, value in body.items() if name not in changing}
    headers = {name for name, _ in answer.headers}
    return answer.status_code, answer.content_type, answer.headers.get("Allow"), headers, changing, steady


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"{request[0]} {request[1]}")
@pytest.mark.parametrize("key", ["everything", None])
def test_a_request_is_answered_as_by_flask(both, keys, request_, key):
    method, path, more = request_
    headers = {"Authorization": f"Bearer {keys[key]}"} if key else {}
    quick, plain = (client.open(path, method=method, headers=headers, **more) for client in both)
    assert told(quick) == told(plain)


def test_the_most_called_operations_take_it(app, monkeypatch):
    served = []
    monkeypatch.setattr(application, "serving", lambda _app, _edge, operation: served.append(operation.rule))
    create_app(app)
    assert sorted(served) == ["/v1/messages", "/webhooks/<slug:gateway>"]


def test_flask_is_not_asked_for_what_it_takes_and_is_for_all_else():
    asked = []
    flask = Flask("all else")
    operation = replace(webhooks.resource.operations[0], method="POST")
    served = Shortcut(
        lambda environ, start: asked.append(environ["PATH_INFO"]) or flask.wsgi_app(environ, start),
        [(operation, lambda _environ, arguments: Response(arguments["gateway"]))],
        lambda _environ, error: Response(str(error), status=500),
    )
    client = Client(served)
    assert client.post("/webhooks/postal").text == "postal"
    assert asked == []
    client.get("/webhooks/postal")
    client.post("/webhooks/postal/more")
    assert asked == ["/webhooks/postal", "/webhooks/postal/more"]


def test_a_path_whose_part_is_more_than_text_cannot_take_it():
    with pytest.raises(TypeError, match="channel"):
        pattern("/v1/senders/<channel:channel>")
