"""Keys and users from the command line."""

import pytest


@pytest.fixture
def made(app, tocsin):
    """Makes a key of the client `news`; gives the JSON."""
    said = tocsin(
        "keys", "create", "news", "production", "--scope", "messages:send", "--new-client", "--json"
    )
    assert said.code == 0, said.err
    return said.json


def test_a_key_is_shown_once_and_works(made, app):
    known = app.authenticator.authenticate(made["key"])
    assert known.caller.scopes == frozenset({"messages:send"})


def test_only_the_key_is_on_standard_output(app, tocsin):
    said = tocsin("keys", "create", "news", "production", "--all-scopes", "--new-client")
    assert said.out.startswith("tcs_")
    assert said.out.count("\n") == 1


def test_no_list_shows_a_key(made, tocsin):
    for listed in (tocsin("keys", "list", "--all"), tocsin("keys", "list", "--all", "--json")):
        assert made["properties"]["prefix"] in listed.out
        assert made["key"] not in listed.out


def test_a_client_that_is_unknown_is_not_made_by_a_slip(made, tocsin):
    said = tocsin("keys", "create", "nwes", "production", "--all-scopes")
    assert said.code == 5
    assert "there are news" in said.err
    assert "--new-client" in said.err


def test_a_key_needs_scopes(app, tocsin):
    said = tocsin("keys", "create", "news", "production", "--new-client")
    assert said.code == 2
    assert "messages:send" in said.err


def test_a_revoked_key_is_listed_with_all_only(made, tocsin):
    assert tocsin("keys", "revoke", made["properties"]["id"], "--why", "lost").code == 0
    assert tocsin("keys", "list", "--json").json["items"] == []
    assert "revoked" in tocsin("keys", "list", "--all").out


def test_a_rotated_key_has_a_successor_and_goes_on_for_a_while(made, tocsin, app):
    successor = tocsin("keys", "rotate", made["properties"]["id"], "--overlap", "1h", "--json").json
    assert app.authenticator.authenticate(successor["key"])
    assert app.authenticator.authenticate(made["key"])


def test_a_user_is_made_with_a_password_that_is_shown_once(app, tocsin):
    made = tocsin("users", "create", "Anna@Example.com", "--role", "admin", "--generate", "--json").json
    assert made["user"]["email"] == "anna@example.com"
    assert len(made["password"]) >= 20
    assert made["password"] not in tocsin("users", "list", "--json").out


def test_a_password_is_asked_for_twice_and_not_repeated(app, tocsin):
    typed = b"a long enough one\na long enough one\n"
    said = tocsin("users", "create", "anna@example.com", "--role", "viewer", stdin=typed)
    assert said.code == 0, said.err
    assert "long enough" not in said.out + said.err


def test_a_password_is_kept_as_an_argon2_hash(app, tocsin):
    tocsin("users", "create", "anna@example.com", "--role", "viewer", "--generate")
    with app.engine.connect() as conn:
        kept = conn.exec_driver_sql("SELECT password_hash FROM users").scalar_one()
    assert kept.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("anna@example.com", "--role", "king"), "must be one of admin, editor, operator, viewer"),
        (("anna", "--role", "admin"), "email:"),
        (("anna@example.com", "--role", "admin", "--name", "a\nb"), "name:"),
    ],
)
def test_a_user_that_cannot_be_is_refused(app, tocsin, arguments, words):
    said = tocsin("users", "create", *arguments, "--generate")
    assert said.code == 5
    assert words in said.err


def test_a_short_password_is_refused(app, tocsin):
    said = tocsin("users", "create", "anna@example.com", "--role", "admin", stdin=b"short\nshort\n")
    assert said.code == 5
    assert "12 to 1000 characters" in said.err


def test_an_email_has_one_user(app, tocsin):
    tocsin("users", "create", "anna@example.com", "--role", "admin", "--generate")
    said = tocsin("users", "create", "ANNA@example.com", "--role", "admin", "--generate")
    assert said.code == 5
    assert "There is a user anna@example.com already" in said.err
