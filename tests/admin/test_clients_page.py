"""The page Clients and keys: keys are shown once, hold what was ticked, and end when they are told to."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import api_clients, api_keys

SECRET = re.compile(r'<p class="secret"><code>([^<]+)</code>')
KEY = {"client": "shop", "key_name": "checkout", "scopes": ["messages:send"]}


@pytest.fixture
def admin(as_role):
    browser = as_role("admin")
    assert browser.post("/admin/clients/client", {"name": "shop"}).status_code == 302
    browser.get("/admin/clients/key")
    return browser


def keys_of(app):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(api_keys).order_by(api_keys.c.id)).all()


def made(browser, **fields):
    answer = browser.post("/admin/clients/key", {**KEY, **fields})
    return SECRET.search(answer.get_data(as_text=True))[1]


def test_a_key_opens_what_was_ticked_and_is_never_shown_again(admin, app):
    key = made(admin)
    assert app.authenticator.authenticate(key).caller.scopes == {"messages:send"}
    assert key not in admin.get("/admin/clients/").get_data(as_text=True)


def test_a_keys_last_day_counts_in(admin, app):
    day = datetime.now(UTC).date() + timedelta(days=10)
    made(admin, expires_at=day.isoformat())
    (row,) = keys_of(app)
    assert row.expires_at == datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def test_where_it_may_come_from_and_how_often_is_kept(admin, app):
    made(admin, allowed_addresses="192.0.2.0/24, 198.51.100.7/32", max_per_minute="600")
    (row,) = keys_of(app)
    assert [str(each) for each in row.allowed_addresses] == ["192.0.2.0/24", "198.51.100.7/32"]
    assert row.max_per_minute == 600


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scopes": []}, "must be some of"),
        ({"expires_at": "2020-01-01"}, "must be a time ahead"),
        ({"expires_at": "soon"}, "must be a day"),
        ({"allowed_addresses": "here"}, "must be addresses or networks"),
        ({"max_per_minute": "many"}, "must be a whole number"),
        ({"client": "ghost"}, "there is no client"),
    ],
)
def test_what_cannot_be_made_is_said_beside_its_field(admin, app, fields, words):
    answer = admin.post("/admin/clients/key", {**KEY, **fields})
    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True)
    assert keys_of(app) == []


def test_a_revoked_key_opens_nothing(admin, app):
    made(admin)
    (row,) = keys_of(app)
    admin.post("/admin/clients/do/revoke", {"selected": row.id, "confirmed": "1", "why": "it leaked"})
    (row,) = keys_of(app)
    assert row.revoked_at is not None


def test_a_rotated_key_holds_for_as_long_as_was_said(admin, app):
    old = made(admin)
    (row,) = keys_of(app)
    answer = admin.post("/admin/clients/do/rotate", {"selected": row.id, "confirmed": "1", "days": "7"})
    assert SECRET.search(answer.get_data(as_text=True))[1] != old
    old_row, new_row = keys_of(app)
    assert old_row.rotated_to == new_row.id
    assert timedelta(days=6.9) < old_row.expires_at - datetime.now(UTC) < timedelta(days=7.1)


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
def test_only_administrators_make_and_end_keys(as_role, app, role):
    browser = as_role(role)
    assert browser.post("/admin/clients/client", {"name": "shop"}).status_code == 403
    assert browser.post("/admin/clients/key", KEY).status_code == 403
    assert browser.post("/admin/clients/do/revoke", {"selected": "1", "confirmed": "1"}).status_code == 403
    with app.engine.connect() as conn:
        assert "shop" not in conn.execute(sa.select(api_clients.c.name)).scalars().all()
