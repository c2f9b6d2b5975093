"""API keys: made once, never readable again, believed no longer than they should be."""

import stat
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.callers import SCOPES
from app.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from app.services import authenticating
from app.services.keys import (
    Authenticator,
    create_client,
    create_key,
    list_clients,
    list_keys,
    machine_key,
    revoke_key,
    rotate_key,
    seed_senders,
)
from tests.accepting import WHO


@pytest.fixture
def shop(place):
    create_client(place.engine, WHO, "shop")
    return place


def made(place, **changes):
    wanted = {"client": "shop", "name": "web", "scopes": ["messages:send"]} | changes
    return create_key(place.engine, WHO, **wanted)


def asked(place, key: str, **where):
    return Authenticator(place.engine).authenticate(key, **where)


def test_a_key_is_tcs_and_43_characters(shop):
    _, key = made(shop)
    assert key.startswith("tcs_")
    assert len(key) == 4 + 43


def test_only_the_hash_is_kept(shop):
    view, key = made(shop)
    row = shop.one("SELECT * FROM api_keys")
    assert key not in str(tuple(row))
    assert len(row.hash) == 32
    assert key.startswith(view.prefix)


def test_a_key_tells_its_caller(shop):
    view, key = made(shop, max_per_minute=60)
    known = asked(shop, key)
    assert (known.caller.name, known.caller.scopes, known.caller.key_id) == (
        "shop/web",
        {"messages:send"},
        view.id,
    )
    assert known.max_per_minute == 60


@pytest.mark.parametrize("presented", ["", "tcs_", "tcs_" + "a" * 43, "Bearer x", "tcs_ü", "x" * 10_000])
def test_what_is_no_key_is_refused(shop, presented):
    with pytest.raises(Unauthenticated):
        asked(shop, presented)


def test_a_key_of_an_inactive_client_is_refused(shop):
    _, key = made(shop)
    shop.do("UPDATE api_clients SET is_active = false WHERE name = 'shop'")
    with pytest.raises(Unauthenticated):
        asked(shop, key)


def test_an_expired_key_is_refused_even_where_it_is_remembered(shop):
    _, key = made(shop)
    shop.do("UPDATE api_keys SET expires_at = now() + interval '300 milliseconds'")
    authenticator = Authenticator(shop.engine)
    authenticator.authenticate(key)
    while not shop.value("SELECT expires_at < clock_timestamp() FROM api_keys"):
        pass
    with pytest.raises(Unauthenticated):
        authenticator.authenticate(key)


def test_a_revoked_key_is_refused_within_seconds(shop, monkeypatch):
    view, key = made(shop)
    authenticator = Authenticator(shop.engine)
    authenticator.authenticate(key)
    revoke_key(shop.engine, WHO, view.id)
    authenticator.authenticate(key)
    assert authenticating.KEPT <= 5
    later = authenticating.time.monotonic() + 5.1
    monkeypatch.setattr(authenticating.time, "monotonic", lambda: later)
    with pytest.raises(Unauthenticated):
        authenticator.authenticate(key)


def test_what_is_known_is_not_asked_again(shop):
    _, key = made(shop)
    authenticator = Authenticator(shop.engine)
    authenticator.authenticate(key)
    shop.do("DELETE FROM api_keys")
    assert authenticator.authenticate(key).caller.name == "shop/web"


def test_its_last_use_is_written_once_a_minute(shop):
    _, key = made(shop)
    asked(shop, key)
    first = shop.value("SELECT last_used_at FROM api_keys")
    asked(shop, key)
    assert shop.value("SELECT last_used_at FROM api_keys") == first
    shop.do("UPDATE api_keys SET last_used_at = now() - interval '61 seconds'")
    asked(shop, key)
    assert shop.value("SELECT now() - last_used_at FROM api_keys") < timedelta(seconds=30)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::5"])
def test_allowed_addresses_may_use_a_key(shop, address):
    _, key = made(shop, allowed_addresses=["10.0.0.0/8", "2001:db8::/32"])
    assert asked(shop, key, address=address)


@pytest.mark.parametrize("address", ["11.1.2.3", "::ffff:11.1.2.3", "2001:db9::5", None, "", "nonsense"])
def test_other_addresses_may_not(shop, address):
    _, key = made(shop, allowed_addresses=["10.0.0.0/8", "2001:db8::/32"])
    with pytest.raises(Forbidden):
        asked(shop, key, address=address)


def test_a_rotated_key_works_beside_the_new_one_for_a_while(shop):
    view, old = made(shop, allowed_addresses=["10.0.0.0/8"])
    renewed, new = rotate_key(shop.engine, WHO, view.id, overlap=timedelta(hours=1))
    assert asked(shop, old, address="10.0.0.1").caller.scopes == {"messages:send"}
    assert asked(shop, new, address="10.0.0.1").caller.key_id == renewed.id
    left = shop.value("SELECT expires_at - now() FROM api_keys WHERE id = :id", id=view.id)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


def test_a_rotation_makes_no_key_live_longer(shop):
    soon = datetime.now(UTC) + timedelta(minutes=5)
    view, _ = made(shop, expires_at=soon)
    renewed, _ = rotate_key(shop.engine, WHO, view.id, overlap=timedelta(hours=1))
    assert renewed.expires_at == soon
    assert shop.value("SELECT expires_at FROM api_keys WHERE id = :id", id=view.id) == soon


def test_a_key_is_rotated_once(shop):
    view, _ = made(shop)
    rotate_key(shop.engine, WHO, view.id, overlap=timedelta(0))
    with pytest.raises(Conflict):
        rotate_key(shop.engine, WHO, view.id, overlap=timedelta(0))


@pytest.mark.parametrize(
    "changes",
    [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"name": ""},
        {"allowed_addresses": ["10.0.0.1/8"]},
        {"allowed_addresses": []},
        {"max_per_minute": 0},
        {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
)
def test_keys_that_cannot_be_are_refused(shop, changes):
    with pytest.raises(Invalid):
        made(shop, **changes)


def test_a_key_for_nobody_is_not_found(shop):
    with pytest.raises(NotFound):
        made(shop, client="nobody")


def test_each_change_of_a_key_is_logged_without_the_key(shop):
    view, key = made(shop)
    rotate_key(shop.engine, WHO, view.id, overlap=timedelta(0))
    revoke_key(shop.engine, WHO, view.id, why="lost")
    assert [
        row[0] for row in shop.all("SELECT action FROM audit_log WHERE action LIKE 'key%' ORDER BY id")
    ] == [
        "key.create",
        "key.rotate",
        "key.revoke",
    ]
    assert shop.value("SELECT count(*) FROM audit_log WHERE audit_log::text LIKE :key", key=f"%{key}%") == 0


def test_a_clients_name_is_its_own(shop):
    with pytest.raises(Conflict):
        create_client(shop.engine, WHO, "shop")
    assert "shop" in [client.name for client in list_clients(shop.engine)]


def test_keys_are_listed_newest_first(shop):
    made(shop, name="one")
    made(shop, name="two")
    assert [key.name for key in list_keys(shop.engine, client="shop")] == ["two", "one"]


def test_the_machines_key_is_made_once(place, tmp_path):
    key = machine_key(place.engine, tmp_path)
    assert machine_key(place.engine, tmp_path) == key
    assert asked(place, key).caller.scopes == set(SCOPES)


def test_only_its_owner_may_read_the_machines_key(place, tmp_path):
    machine_key(place.engine, tmp_path / "new")
    (file,) = (tmp_path / "new").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_machines_key_that_the_database_does_not_know_is_made_anew(place, tmp_path):
    key = machine_key(place.engine, tmp_path)
    place.do("DELETE FROM api_keys")
    renewed = machine_key(place.engine, tmp_path)
    assert renewed != key
    assert asked(place, renewed).caller.name == "local/machine"


def test_a_machines_key_without_every_scope_is_made_anew(place, tmp_path):
    key = machine_key(place.engine, tmp_path)
    place.do("UPDATE api_keys SET scopes = '{messages:send}'")
    assert machine_key(place.engine, tmp_path) != key


def test_senders_are_seeded_on_the_channels_that_have_none(place):
    before = place.all("SELECT slug FROM senders WHERE channel = 'email'")
    assert seed_senders(place.engine)
    assert place.all("SELECT slug FROM senders WHERE channel = 'email'") == before
    of_others = place.all("SELECT DISTINCT channel FROM senders ORDER BY 1")
    assert [row[0] for row in of_others] == ["email", "push", "sms", "voice", "whatsapp"]
    assert not seed_senders(place.engine)


def test_where_nobody_can_be_sent_as_there_is_someone_for_each_kind_of_mail(place):
    place.do("DELETE FROM senders")
    assert seed_senders(place.engine)
    defaults = place.all("SELECT unnest(default_for) FROM senders WHERE channel = 'email' ORDER BY 1")
    assert [row[0] for row in defaults] == ["alert", "campaign", "emergency", "newsletter", "transactional"]
