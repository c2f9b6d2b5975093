"""Coming in: passwords, guessing, second factors, sessions that end."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag

from admin.application import create_console
from app.bootstrap import App
from app.db.tables import audit_log, recovery_codes, sign_in_origins, user_sessions, users
from app.errors import Conflict
from app.services import guessing, passwords, signing_in
from app.services.second_factor import code_at, new_secret
from app.services.sessions import forget_sessions
from app.services.users import set_active, set_role, sign_out_everywhere
from tests.admin.conftest import PASSWORD, TESTS, Browser, make_user

VIEWER = "viewer@example.com"
WRONG = "not this one at all"


def now():
    return datetime.now(UTC)


def user_id(app, email=VIEWER):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(users.c.id).where(users.c.email == email)).scalar_one()


def execute(app, statement):
    with app.engine.begin() as conn:
        return conn.execute(statement)


def is_in(browser):
    return browser.get("/admin/account/").status_code == 200


# Passwords


def test_who_is_not_signed_in_is_sent_to_the_door(stranger):
    for path in ("/admin/", "/admin/account/", "/admin/nowhere"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.location) == (302, "/admin/sign-in")


def test_the_right_password_opens_the_page_that_was_wanted(stranger):
    stranger.get("/admin/account/")
    answer = stranger.sign_in(VIEWER)
    assert answer.location == "/admin/account/"
    assert VIEWER in stranger.get("/admin/account/").text


def test_an_email_is_taken_however_it_is_capitalized(stranger):
    assert stranger.sign_in(" Viewer@Example.COM ").status_code == 302


def test_a_stranger_and_a_wrong_password_get_the_same_answer(stranger):
    told = [stranger.sign_in(email, WRONG) for email in (VIEWER, "nobody@example.com", "not an address", "")]
    assert {answer.status_code for answer in told} == {401}
    assert all(signing_in.REFUSED in answer.text for answer in told)


@pytest.mark.parametrize("email", [VIEWER, "nobody@example.com", "locked@example.com", "shut@example.com"])
def test_the_dear_step_is_taken_whoever_it_is(app, email, monkeypatch):
    make_user(app, "locked@example.com")
    make_user(app, "shut@example.com")
    later = now() + timedelta(hours=1)
    execute(app, sa.update(users).values(locked_until=later).where(users.c.email == "locked@example.com"))
    execute(app, sa.update(users).values(is_active=False).where(users.c.email == "shut@example.com"))
    taken = []
    real = signing_in.PasswordHasher.verify
    monkeypatch.setattr(
        signing_in.PasswordHasher, "verify", lambda *args: taken.append(args[1]) or real(*args)
    )
    with pytest.raises(signing_in.Unauthenticated):
        app.sign_in.by_password(email, WRONG, address="192.0.2.1", now=now())
    # What is no hash would be refused at once.
    assert [each.startswith("$argon2id$v=19$m=") for each in taken] == [True]


def test_who_is_shut_out_does_not_come_in(app, stranger):
    execute(app, sa.update(users).values(is_active=False).where(users.c.email == VIEWER))
    assert stranger.sign_in(VIEWER).status_code == 401


def test_an_account_without_a_password_is_opened_by_none(app, stranger, monkeypatch, password_hash):
    execute(app, sa.update(users).values(password_hash=None).where(users.c.email == VIEWER))
    # Even by the one that takes as long to refuse as a real one would.
    monkeypatch.setattr(signing_in, "_hash_of_nothing", lambda: password_hash)
    assert stranger.sign_in(VIEWER).status_code == 401


def test_a_button_that_a_stranger_pressed_is_not_pressed_by_coming_in(stranger):
    stranger.get("/admin/sign-in")
    assert stranger.post("/admin/account/end-others").location == "/admin/sign-in"
    assert stranger.sign_in(VIEWER).location == "/admin/"


# Guessing


def test_after_five_wrong_passwords_the_right_one_does_not_help_for_a_minute(app, stranger):
    for _ in range(5):
        assert stranger.sign_in(VIEWER, WRONG).status_code == 401
    assert stranger.sign_in(VIEWER).status_code == 401
    execute(app, sa.update(users).values(locked_until=now()))
    assert stranger.sign_in(VIEWER).status_code == 302


def test_four_wrong_passwords_are_forgotten_by_a_right_one(app, stranger):
    for _ in range(4):
        stranger.sign_in(VIEWER, WRONG)
    assert stranger.sign_in(VIEWER).status_code == 302
    assert execute(app, sa.select(users.c.failed_logins).where(users.c.email == VIEWER)).scalar() == 0


def test_who_guesses_at_many_from_one_address_is_stopped_and_others_are_not(app, console):
    with app.engine.begin() as conn:
        for _ in range(guessing.MOST_BY_ORIGIN):
            guessing.note_failure(conn, "127.0.0.1", None, now=now())
    assert Browser(console.test_client()).sign_in(VIEWER).status_code == 401
    elsewhere = Browser(console.test_client())
    elsewhere.client.environ_base["REMOTE_ADDR"] = "192.0.2.9"
    assert elsewhere.sign_in(VIEWER).status_code == 302


def test_who_is_stopped_by_address_locks_nobody_out(app, console, stranger):
    execute(app, sa.insert(sign_in_origins).values(
        origin="127.0.0.1", failures=20, last_at=now(), locked_until=now() + timedelta(hours=1)
    ))  # fmt: skip
    for _ in range(5):
        stranger.sign_in(VIEWER, WRONG)
    elsewhere = Browser(console.test_client())
    elsewhere.client.environ_base["REMOTE_ADDR"] = "192.0.2.9"
    assert elsewhere.sign_in(VIEWER).status_code == 302


def test_failures_of_yesterday_do_not_add_up_with_new_ones(app):
    with app.engine.begin() as conn:
        for _ in range(guessing.MOST_BY_ORIGIN - 1):
            guessing.note_failure(conn, "192.0.2.1", None, now=now() - timedelta(hours=25))
        guessing.note_failure(conn, "192.0.2.1", None, now=now())
        assert not guessing.is_locked_out(conn, "192.0.2.1", now=now())


def test_the_wait_doubles_up_to_an_hour():
    waits = [guessing.wait_after(failures, 5) for failures in (4, 5, 6, 7, 10, 11, 500)]
    minutes = [None if wait is None else wait / timedelta(minutes=1) for wait in waits]
    assert minutes == [None, 1, 2, 4, 32, 60, 60]


def test_addresses_of_one_household_count_together():
    assert guessing.origin_of("2001:db8:1:2:a::1") == guessing.origin_of("2001:db8:1:2:b::2")
    assert guessing.origin_of("2001:db8:1:3::1") != guessing.origin_of("2001:db8:1:2::1")
    assert guessing.origin_of("192.0.2.1") == "192.0.2.1"


def test_what_was_guessed_long_ago_is_forgotten(app):
    with app.engine.begin() as conn:
        guessing.note_failure(conn, "192.0.2.1", None, now=now() - timedelta(hours=25))
        guessing.note_failure(conn, "192.0.2.2", None, now=now())
    guessing.forget_origins(app.engine, now=now())
    assert execute(app, sa.select(sign_in_origins.c.origin)).scalars().all() == ["192.0.2.2"]


def test_a_refusal_of_somebody_is_in_the_audit_log_with_the_address(app, stranger):
    stranger.sign_in(VIEWER, WRONG)
    row = execute(app, sa.select(audit_log)).one()
    assert (row.action, row.target, row.origin) == ("user.refuse", f"user {user_id(app)}", "127.0.0.1")


# Sessions


def test_signing_in_changes_what_the_cookie_and_the_forms_hold(console):
    browser = Browser(console.test_client())
    browser.get("/admin/sign-in")
    before, token = browser.client.get_cookie("tocsin").value, browser.token
    browser.sign_in(VIEWER)
    assert browser.client.get_cookie("tocsin").value != before
    assert browser.post("/admin/account/end-others", {"csrf_token": token}).status_code == 400


def test_the_cookie_is_for_this_site_and_no_script(stranger):
    said = stranger.sign_in(VIEWER).headers["Set-Cookie"]
    assert "HttpOnly" in said
    assert "SameSite=Lax" in said
    assert "Secure" not in said


def test_behind_https_the_cookie_is_secure_and_of_this_host_alone(app):
    settings = app.settings.model_copy(update={"public_base_url": "https://tocsin.example.org"})
    other = App(settings=settings, engine=app.engine, name="test")
    client = create_console(other).test_client()
    answer = client.get("/admin/sign-in", base_url="https://tocsin.example.org")
    said = answer.headers["Set-Cookie"]
    assert said.startswith("__Host-tocsin=")
    assert "Secure" in said
    assert "Path=/;" in f"{said};"
    assert answer.headers["Strict-Transport-Security"]


def test_signing_out_ends_the_session_on_the_server(app, as_role):
    browser = as_role("viewer")
    kept = browser.client.get_cookie("tocsin").value
    browser.post("/admin/account/sign-out")
    browser.client.set_cookie("tocsin", kept)
    assert not is_in(browser)


def test_no_token_is_in_the_database(app, as_role):
    as_role("viewer")
    row = execute(app, sa.select(user_sessions)).one()
    token = app.sessions.open(row.user_id, origin="192.0.2.1", agent="", now=now())
    hashes = execute(app, sa.select(user_sessions.c.token_hash)).scalars().all()
    assert all(token.encode() not in bytes(each) for each in hashes)


def test_a_session_ends_when_it_was_not_used_for_eight_hours(app):
    began = now()
    token = app.sessions.open(user_id(app), origin="192.0.2.1", agent="", now=began)
    assert app.sessions.find(token, now=began + timedelta(hours=7, minutes=59))
    assert app.sessions.find(token, now=began + timedelta(hours=15, minutes=58))
    assert not app.sessions.find(token, now=began + timedelta(hours=23, minutes=59))


def test_watching_alone_does_not_keep_a_session(app):
    began = now()
    token = app.sessions.open(user_id(app), origin="192.0.2.1", agent="", now=began)
    assert app.sessions.find(token, now=began + timedelta(hours=7), used=False)
    assert not app.sessions.find(token, now=began + timedelta(hours=8, minutes=1))


def test_a_session_ends_after_a_day_however_much_it_is_used(app):
    began = now()
    token = app.sessions.open(user_id(app), origin="192.0.2.1", agent="", now=began)
    for hours in range(0, 24, 6):
        assert app.sessions.find(token, now=began + timedelta(hours=hours))
    assert not app.sessions.find(token, now=began + timedelta(hours=24))


def test_a_session_in_use_is_written_once_a_minute(app):
    began = now()
    token = app.sessions.open(user_id(app), origin="192.0.2.1", agent="", now=began)
    for seconds in (10, 59, 60, 70):
        app.sessions.find(token, now=began + timedelta(seconds=seconds))
    seen = execute(app, sa.select(user_sessions.c.last_seen_at)).scalar_one()
    assert seen == began + timedelta(seconds=60)


def test_nobody_is_in_who_is_shut_out_however_that_came(app, as_role):
    browser = as_role("viewer")
    execute(app, sa.update(users).values(is_active=False).where(users.c.email == VIEWER))
    assert not is_in(browser)


def test_sessions_are_remembered_for_a_month_after_their_end(app):
    for days in (29, 32):
        at = now() - timedelta(days=days)
        app.sessions.open(user_id(app), origin="192.0.2.1", agent=f"{days} days ago", now=at)
    forget_sessions(app.engine, now=now())
    assert execute(app, sa.select(user_sessions.c.agent)).scalars().all() == ["29 days ago"]


@pytest.mark.parametrize(
    "change",
    [
        lambda app, user: passwords.reset(app.engine, TESTS, user, why="forgot", now=now()),
        lambda app, user: set_role(app.engine, TESTS, user, "editor", why="new work", now=now()),
        lambda app, user: set_active(app.engine, TESTS, user, active=False, why="left", now=now()),
        lambda app, user: sign_out_everywhere(app.engine, TESTS, user, why="lost laptop", now=now()),
    ],
    ids=["password", "role", "shut out", "signed out"],
)
def test_a_session_ends_with_what_it_was_opened_for(app, as_role, change):
    browser, other = as_role("viewer"), as_role("operator")
    change(app, user_id(app))
    assert not is_in(browser)
    assert is_in(other)


def test_ones_own_new_password_ends_all_sessions_but_this(app, as_role):
    here, there = as_role("viewer"), as_role("viewer")
    here.get("/admin/account/password")
    new = "a new one, much longer"
    answer = here.post("/admin/account/password", {"current": PASSWORD, "password": new, "again": new})
    assert answer.status_code == 302
    assert is_in(here)
    assert not is_in(there)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"current": "wrong", "password": "a new one, much longer"}, "is not your password"),
        ({"current": PASSWORD, "password": "short"}, "must have 12 to 1000 characters"),
        ({"current": PASSWORD, "password": PASSWORD}, "must differ"),
        ({"current": PASSWORD, "password": "a new one, much longer", "again": "other"}, "not the same"),
    ],
)
def test_a_password_that_does_not_do_is_refused_with_the_reason(as_role, fields, fault):
    browser = as_role("viewer")
    browser.get("/admin/account/password")
    answer = browser.post("/admin/account/password", {"again": fields["password"], **fields})
    assert answer.status_code == 422
    assert fault in answer.text


def test_a_made_up_password_opens_nothing_but_the_form_for_a_new_one(app, console):
    make_user(app, "new@example.com", must_change_password=True)
    browser = Browser(console.test_client())
    browser.sign_in("new@example.com")
    assert browser.get("/admin/").location == "/admin/account/password"
    assert browser.get("/admin/account/").location == "/admin/account/password"
    browser.get("/admin/account/password")
    assert browser.post("/admin/account/end-others").location == "/admin/account/password"
    new = "my own words for it"
    browser.post("/admin/account/password", {"current": PASSWORD, "password": new, "again": new})
    assert browser.get("/admin/").status_code == 200


def test_one_can_end_ones_own_sessions_and_nobody_elses(app, as_role):
    viewer, operator = as_role("viewer"), as_role("operator")
    (theirs,) = app.sessions.of(user_id(app, "operator@example.com"), now=now())
    viewer.post("/admin/account/end-session", {"session": theirs.id})
    assert is_in(operator)
    (own,) = app.sessions.of(user_id(app), now=now())
    viewer.post("/admin/account/end-session", {"session": own.id})
    assert not is_in(viewer)


def test_the_last_administrator_cannot_be_removed(app):
    admin = user_id(app, "admin@example.com")
    with pytest.raises(Conflict, match="last administrator"):
        set_active(app.engine, TESTS, admin, active=False, why="gone", now=now())
    make_user(app, "second@example.com", role="admin")
    assert set_role(app.engine, TESTS, admin, "viewer", why="less", now=now()).role == "viewer"


# Second factors


@pytest.fixture
def enrolled(app):
    """A viewer with a second factor; gives its secret and recovery codes."""
    secret, long_ago = new_secret(), now() - timedelta(minutes=5)
    codes = app.second_factor.enrol(TESTS, user_id(app), secret, code_at(secret, long_ago), now=long_ago)
    return secret, codes


def test_with_a_second_factor_the_password_is_half_of_it(stranger, enrolled):
    assert stranger.sign_in(VIEWER).location == "/admin/sign-in/code"
    assert not is_in(stranger)
    stranger.get("/admin/sign-in/code")
    assert stranger.post("/admin/sign-in/code", {"code": "000000"}).status_code == 401
    assert stranger.post("/admin/sign-in/code", {"code": code_at(enrolled[0], now())}).status_code == 302
    assert is_in(stranger)


def test_a_code_holds_once(app, enrolled):
    at = now()
    code = code_at(enrolled[0], at)
    assert app.second_factor.accepts(user_id(app), code, now=at)
    assert not app.second_factor.accepts(user_id(app), code, now=at)
    later = at + timedelta(seconds=30)
    assert app.second_factor.accepts(user_id(app), code_at(enrolled[0], later), now=later)


def test_the_code_that_turned_it_on_does_not_open_the_door(app):
    secret, at = new_secret(), now()
    code = code_at(secret, at)
    app.second_factor.enrol(TESTS, user_id(app), secret, code, now=at)
    assert not app.second_factor.accepts(user_id(app), code, now=at)


def test_one_that_is_on_is_not_replaced_by_another(app, enrolled):
    other = new_secret()
    with pytest.raises(Conflict):
        app.second_factor.enrol(TESTS, user_id(app), other, code_at(other, now()), now=now())
    assert app.second_factor.accepts(user_id(app), code_at(enrolled[0], now()), now=now())


def test_with_the_second_factor_its_recovery_codes_go(app, enrolled):
    app.second_factor.remove(TESTS, user_id(app), why="a new telephone")
    assert execute(app, sa.select(recovery_codes.c.hash)).scalars().all() == []


def test_a_recovery_code_of_one_person_does_not_serve_another(app, enrolled):
    other, secret = user_id(app, "editor@example.com"), new_secret()
    app.second_factor.enrol(TESTS, other, secret, code_at(secret, now()), now=now())
    assert not app.second_factor.accepts(other, enrolled[1][0], now=now())
    assert app.second_factor.accepts(user_id(app), enrolled[1][0], now=now())


def test_who_is_shut_out_between_password_and_code_does_not_come_in(app, stranger, enrolled):
    stranger.sign_in(VIEWER)
    stranger.get("/admin/sign-in/code")
    execute(app, sa.update(users).values(is_active=False).where(users.c.email == VIEWER))
    assert stranger.post("/admin/sign-in/code", {"code": code_at(enrolled[0], now())}).status_code == 401


def test_who_is_stopped_by_address_does_not_come_in_by_a_code_either(app, stranger, enrolled):
    stranger.sign_in(VIEWER)
    stranger.get("/admin/sign-in/code")
    with app.engine.begin() as conn:
        for _ in range(guessing.MOST_BY_ORIGIN):
            guessing.note_failure(conn, "127.0.0.1", None, now=now())
    assert stranger.post("/admin/sign-in/code", {"code": code_at(enrolled[0], now())}).status_code == 401


@pytest.mark.parametrize(("off", "fits"), [(-30, True), (0, True), (30, True), (-90, False), (90, False)])
def test_a_clock_may_be_half_a_minute_off(app, enrolled, off, fits):
    at = now()
    code = code_at(enrolled[0], at + timedelta(seconds=off))
    assert app.second_factor.accepts(user_id(app), code, now=at) is fits


def test_codes_are_those_of_the_standard():
    # RFC 6238, appendix B, cut to six digits.
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert code_at(secret, datetime.fromtimestamp(59, UTC)) == "287082"
    assert code_at(secret, datetime.fromtimestamp(1_111_111_109, UTC)) == "081804"


def test_a_recovery_code_holds_once_however_it_is_written(app, enrolled):
    code = enrolled[1][0]
    written = f"{code[:4]}-{code[4:8]}-{code[8:12]} {code[12:]}".upper()
    assert app.second_factor.accepts(user_id(app), written, now=now())
    assert not app.second_factor.accepts(user_id(app), code, now=now())
    assert app.second_factor.accepts(user_id(app), enrolled[1][1], now=now())


def test_neither_the_secret_nor_a_recovery_code_can_be_read_in_the_database(app, enrolled):
    sealed = execute(app, sa.select(users.c.totp_secret).where(users.c.email == VIEWER)).scalar()
    hashes = execute(app, sa.select(recovery_codes.c.hash)).scalars().all()
    assert enrolled[0] not in sealed
    assert all(code.encode() not in bytes(each) for code in enrolled[1] for each in hashes)


def test_a_sealed_secret_of_one_person_does_not_serve_another(app, enrolled):
    sealed = execute(app, sa.select(users.c.totp_secret).where(users.c.email == VIEWER)).scalar()
    execute(app, sa.update(users).values(totp_secret=sealed).where(users.c.email == "editor@example.com"))
    with pytest.raises(InvalidTag):
        app.second_factor.accepts(user_id(app, "editor@example.com"), code_at(enrolled[0], now()), now=now())


def test_guessing_codes_closes_the_door_too(app, stranger, enrolled):
    stranger.sign_in(VIEWER)
    stranger.get("/admin/sign-in/code")
    for _ in range(5):
        stranger.post("/admin/sign-in/code", {"code": "000000"})
    assert stranger.post("/admin/sign-in/code", {"code": code_at(enrolled[0], now())}).status_code == 401


def test_codes_are_not_guessed_by_beginning_again(app, stranger, enrolled):
    for _ in range(5):
        stranger.sign_in(VIEWER)
        stranger.get("/admin/sign-in/code")
        stranger.post("/admin/sign-in/code", {"code": "000000"})
    assert stranger.sign_in(VIEWER).status_code == 401


def test_one_turns_it_on_by_showing_a_code_and_off_by_another(app, as_role):
    browser = as_role("viewer")
    page = browser.get("/admin/account/second-factor").text
    secret = "".join(page.partition('<p class="secret"><code>')[2].partition("</code>")[0].split())
    assert browser.post("/admin/account/second-factor", {"code": "000000"}).status_code == 422
    told = browser.post("/admin/account/second-factor", {"code": code_at(secret, now())})
    assert told.text.count("<li><code>") == 10
    assert app.second_factor.is_on(user_id(app))
    later = code_at(secret, now() + timedelta(seconds=30))
    browser.get("/admin/account/")
    browser.post("/admin/account/second-factor/off", {"code": "000000"})
    assert app.second_factor.is_on(user_id(app))
    browser.post("/admin/account/second-factor/off", {"code": later})
    assert not app.second_factor.is_on(user_id(app))


def test_the_code_must_follow_the_password_within_five_minutes(console, stranger, enrolled):
    stranger.sign_in(VIEWER)
    with stranger.client.session_transaction() as kept:
        kept["halfway"]["at"] -= 301
        kept.modified = True
    assert stranger.post("/admin/sign-in/code", {"code": code_at(enrolled[0], now())}).location == (
        "/admin/sign-in"
    )
    assert not is_in(stranger)
