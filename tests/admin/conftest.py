"""A console with people of every role, without a server: what browsers add is in tests/admin/browser."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from admin.application import create_console
from app.bootstrap import App, build
from app.db.tables import users
from app.services.audit import Who
from app.services.users import create_user
from app.settings import Settings
from tests.compiled import compiled_rules, compiled_templates
from tests.given import Given

__all__ = ["compiled_rules", "compiled_templates"]

PASSWORD = "correct horse battery"
ROLES = ("viewer", "operator", "editor", "admin")
TESTS = Who(actor="tests")

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@pytest.fixture(scope="session")
def password_hash() -> str:
    """The hash of everybody's password, a cheap one: a real one costs as much as ten tests."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


@dataclass
class Browser:
    """A browser without scripts: keeps cookies, and takes forms' tokens from the page it is on."""

    client: FlaskClient
    token: str = ""

    def get(self, path: str, **options: Any) -> TestResponse:
        return self._noted(self.client.get(path, **options))

    def post(self, path: str, fields: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        data = {"csrf_token": self.token, **(fields or {})}
        return self._noted(self.client.post(path, data=data, **options))

    def sign_in(self, email: str, password: str = PASSWORD, **options: Any) -> TestResponse:
        self.get("/admin/sign-in")
        return self.post("/admin/sign-in", {"email": email, "password": password}, **options)

    def _noted(self, response: TestResponse) -> TestResponse:
        if found := _TOKEN.search(response.get_data(as_text=True)):
            self.token = found[1]
        response.close()
        return response


@pytest.fixture
def settings(database_url, redis_url) -> Settings:
    return Given(
        database_url=database_url,
        redis_url=redis_url,
        postal_url="http://127.0.0.1:9",
        postal_api_key="secret",
    )


@pytest.fixture
def app(settings, password_hash) -> Iterator[App]:
    app = build(settings, "test")
    with app.engine.begin() as conn:
        conn.execute(sa.insert(users), people_of_each_role(password_hash))
    yield app
    app.engine.dispose()
    app.redis.close()
    app.broker.client.close()


@pytest.fixture
def make_console(compiled_templates):
    """Makes a console of some services, with templates that are compiled already."""

    def make(app: App) -> Flask:
        console = create_console(app)
        console.jinja_env.bytecode_cache = compiled_templates
        return console

    return make


@pytest.fixture
def console(app, make_console) -> Flask:
    return make_console(app)


@pytest.fixture
def stranger(console) -> Browser:
    """Somebody who is not signed in."""
    return Browser(console.test_client())


@pytest.fixture
def as_role(console, app):
    """Gives a browser that is signed in with a role."""

    def sign_in(role: str) -> Browser:
        browser = Browser(console.test_client())
        assert browser.sign_in(f"{role}@example.com").status_code == 302
        browser.get("/admin/account/")
        return browser

    return sign_in


def people_of_each_role(password_hash: str) -> list[dict[str, str]]:
    return [
        {"email": f"{role}@example.com", "role": role, "name": role.title(), "password_hash": password_hash}
        for role in ROLES
    ]


def make_user(app: App, email: str, **options: Any) -> int:
    return create_user(app.engine, TESTS, email, **{"role": "viewer", "password": PASSWORD, **options}).id
