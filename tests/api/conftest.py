"""The API over real servers: an application, keys with scopes, a client that speaks JSON."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.api.application import create_app
from app.bootstrap import App, build
from app.db.engine import make_engine
from app.db.tables import senders
from app.domain.callers import SCOPES
from app.embedded.postgres import create_database
from app.services.audit import Who
from app.services.keys import create_client, create_key
from app.settings import Settings
from tests.compiled import compiled_rules
from tests.conftest import Urls
from tests.given import Given

__all__ = ["compiled_rules"]

TESTS = Who(actor="tests")

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
class Api:
    """Speaks JSON to the application with one key."""

    client: FlaskClient
    keys: Mapping[str, str]
    name: str | None = "everything"

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = dict(options.pop("headers", {}))
        if self.name:
            headers.setdefault("Authorization", f"Bearer {self.keys[self.name]}")
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

    def as_key(self, name: str | None) -> "Api":
        return Api(self.client, self.keys, name)


@dataclass(frozen=True, kw_only=True)
class Furnished:
    """A database to copy, and the keys in it by name."""

    database: str
    keys: Mapping[str, str]


@pytest.fixture
def message() -> dict[str, Any]:
    """A message that is accepted."""
    return dict(MESSAGE)


@pytest.fixture
def head() -> dict[str, Any]:
    """What a bulk request that is accepted shares."""
    return dict(HEAD)


@pytest.fixture
def settings(database_url, redis_url) -> Settings:
    return Given(
        database_url=database_url,
        redis_url=redis_url,
        postal_url="http://127.0.0.1:9",
        postal_api_key="secret",
        max_single_body_bytes=64 * 1024,
        max_body_bytes=1024 * 1024,
    )


@pytest.fixture(scope="session")
def furnished(databases, template_database) -> Furnished:
    """A database with the clients' keys, for each test's to be copied from."""
    create_database(databases.connection, "template_of_the_api", template=template_database)
    engine = make_engine(databases.urls("template_of_the_api").application, pool=1, name="test")
    keys = _create_keys(engine)
    engine.dispose()
    return Furnished(database="template_of_the_api", keys=keys)


@pytest.fixture
def database(databases, furnished) -> Urls:
    return databases.fresh(furnished.database)


@pytest.fixture
def app(settings) -> Iterator[App]:
    app = build(settings, "test")
    with app.engine.begin() as conn:
        conn.execute(sa.insert(senders).values(SENDER_ROW))
    yield app
    app.engine.dispose()
    app.redis.close()
    app.broker.client.close()


@pytest.fixture
def keys(app, furnished) -> dict[str, str]:
    """Keys by name: one that may do everything, others of the same client, one of another client."""
    return dict(furnished.keys)


def _create_keys(engine: sa.Engine) -> dict[str, str]:
    for client in ("own", "other"):
        create_client(engine, TESTS, client)
    wanted = {
        "everything": ("own", SCOPES, {}),
        "reader": ("own", ["messages:read"], {}),
        "sender": ("other", ["messages:send", "messages:read"], {}),
        "writer": ("own", ["templates:read", "templates:write"], {}),
        "slowed": ("own", ["messages:read"], {"max_per_minute": 2}),
        "elsewhere": ("own", ["messages:read"], {"allowed_addresses": ["192.0.2.0/24"]}),
    }
    return {
        name: create_key(engine, TESTS, client, name, scopes, **more)[1]
        for name, (client, scopes, more) in wanted.items()
    }


@pytest.fixture
def api(app, keys) -> Api:
    return Api(create_app(app).test_client(), keys)
