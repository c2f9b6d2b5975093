"""The API over real servers: an application, keys with scopes, a client that speaks JSON."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import settings as config
from app.api.application import create_app
from app.bootstrap import App, build
from app.db.tables import api_clients, senders
from app.domain.callers import SCOPES, Caller
from app.errors import Unauthenticated
from app.services.keys import Known

ALL = "tcs_all"
READER = "tcs_reader"
SENDER = "tcs_sender"
SLOW_DOWN = "tcs_slow_down"

MESSAGE = {
    "channel": "email",
    "priority": "P4",
    "message_type": "transactional",
    "recipient_address": "reader@example.com",
    "subject": "Your code",
    "body_text": "It is 123456.",
}
SENDER_ROW = {
    "slug": "house",
    "channel": "email",
    "address": "house@example.com",
    "name": "The House",
    "domain": "example.com",
    "default_for": ["emergency", "alert", "newsletter", "campaign", "transactional"],
}
HEAD = {
    "channel": "email",
    "priority": "P3",
    "message_type": "campaign",
    "subject": "Hello",
    "body_text": "Spring is here.",
}


@dataclass(frozen=True)
class Keys:
    """Keys that are known by heart, in place of the table."""

    known: Mapping[str, Known]

    def authenticate(self, presented: str, *, address: str | None = None) -> Known:
        if presented not in self.known:
            raise Unauthenticated("the key is unknown")
        return self.known[presented]


@dataclass(frozen=True)
class Api:
    """Speaks JSON to the application with one key."""

    client: FlaskClient
    key: str | None = ALL
    headers: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = {**self.headers, **options.pop("headers", {})}
        if self.key:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        return self.client.open(path, method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.call("GET", path, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        return self.call("DELETE", path, **options)

    def post(self, path: str, body: object, **options: Any) -> TestResponse:
        return self.call("POST", path, data=json.dumps(body), content_type="application/json", **options)

    def put(self, path: str, body: object, **options: Any) -> TestResponse:
        return self.call("PUT", path, data=json.dumps(body), content_type="application/json", **options)

    def ndjson(self, *lines: object, path: str = "/v1/messages/bulk", **options: Any) -> TestResponse:
        body = b"".join(
            line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines
        )
        return self.call("POST", path, data=body, content_type="application/x-ndjson", **options)

    def as_key(self, key: str | None) -> "Api":
        return Api(self.client, key, self.headers)


@pytest.fixture
def message() -> dict[str, Any]:
    """A message that is accepted."""
    return dict(MESSAGE)


@pytest.fixture
def head() -> dict[str, Any]:
    """What a bulk request that is accepted shares."""
    return dict(HEAD)


@pytest.fixture
def settings(database_url, redis_url) -> config.Settings:
    return config.load(
        _env_file=None,
        database_url=database_url,
        redis_url=redis_url,
        postal_url="http://127.0.0.1:9",
        postal_api_key="secret",
        max_single_body_bytes=64 * 1024,
        max_body_bytes=1024 * 1024,
    )


@pytest.fixture
def app(settings) -> Iterator[App]:
    app = build(settings, "test")
    app.__dict__["authenticator"] = Keys(_keys(app.engine))
    yield app
    app.engine.dispose()
    app.redis.close()
    app.broker.client.close()


@pytest.fixture
def api(app) -> Api:
    return Api(create_app(app).test_client())


def _keys(engine: sa.Engine) -> dict[str, Known]:
    with engine.begin() as conn:
        conn.execute(sa.insert(senders).values(SENDER_ROW))
        rows = conn.execute(
            sa.insert(api_clients)
            .values([{"name": "everything"}, {"name": "other"}])
            .returning(api_clients.c.id)
        )
        own, other = (row.id for row in rows)
    return {
        ALL: _known(own, 1, SCOPES),
        READER: _known(own, 2, ["messages:read"]),
        SENDER: _known(other, 3, ["messages:send", "messages:read"]),
        SLOW_DOWN: _known(own, 4, SCOPES, max_per_minute=2),
    }


def _known(client_id: int, key_id: int, scopes: Any, max_per_minute: int | None = None) -> Known:
    caller = Caller(client_id=client_id, key_id=key_id, name=f"key{key_id}", scopes=frozenset(scopes))
    return Known(caller=caller, max_per_minute=max_per_minute)
