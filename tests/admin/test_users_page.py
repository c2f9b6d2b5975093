"""The page Users: every button changes the row it says, with a reason, for administrators only."""

import re

import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, user_sessions, users
from tests.admin.conftest import Browser, make_user

SECRET = re.compile(r'<p class="secret"><code>([^<]+)</code>')


def row_of(app, email):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(users).where(users.c.email == email)).one()


def id_of(app, email):
    return row_of(app, email).id


def do(browser, action, user_id, **fields):
    return browser.post(
        f"/admin/users/do/{action}",
        {"selected": user_id, "confirmed": "1", "why": "for the test", **fields},
    )


def test_somebody_new_gets_a_password_that_is_shown_once_and_must_be_changed(as_role, app, console):
    answer = as_role("admin").post(
        "/admin/users/new", {"email": "Carla@Example.com", "role": "editor", "name": "Carla"}
    )
    password = SECRET.search(answer.get_data(as_text=True))[1]
    assert answer.headers["Cache-Control"] == "no-store"
    carla = Browser(console.test_client())
    assert carla.sign_in("carla@example.com", password).status_code == 302
    assert carla.get("/admin/").headers["Location"].endswith("/admin/account/password")
    assert row_of(app, "carla@example.com").role == "editor"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"email": "nobody", "role": "viewer"}, "has no @"),
        ({"email": "viewer@example.com", "role": "viewer"}, "There is a user viewer@example.com already"),
        ({"email": "new@example.com", "role": "emperor"}, "must be one of"),
    ],
)
def test_what_cannot_be_made_is_said_beside_its_field(as_role, fields, words):
    answer = as_role("admin").post("/admin/users/new", fields)
    assert answer.status_code in {409, 422}
    assert words in answer.get_data(as_text=True)


def test_a_role_is_changed_and_ends_sessions(as_role, app):
    viewer, admin = as_role("viewer"), as_role("admin")
    do(admin, "set_role", id_of(app, "viewer@example.com"), role="operator")
    assert row_of(app, "viewer@example.com").role == "operator"
    assert viewer.get("/admin/").status_code == 302


def test_nothing_is_changed_without_a_reason(as_role, app):
    user_id = id_of(app, "viewer@example.com")
    answer = do(as_role("admin"), "deactivate", user_id, why="")
    assert "Say why" in answer.get_data(as_text=True)
    assert row_of(app, "viewer@example.com").is_active


def test_who_is_shut_out_is_out_at_once_and_may_be_let_in_again(as_role, app):
    viewer, admin = as_role("viewer"), as_role("admin")
    user_id = id_of(app, "viewer@example.com")
    do(admin, "deactivate", user_id)
    assert viewer.get("/admin/").status_code == 302
    assert not row_of(app, "viewer@example.com").is_active
    do(admin, "activate", user_id)
    assert row_of(app, "viewer@example.com").is_active


def test_the_last_administrator_stays(as_role, app):
    admin = as_role("admin")
    answer = do(admin, "deactivate", id_of(app, "admin@example.com"))
    assert "last administrator" in admin.get(answer.headers["Location"]).get_data(as_text=True)
    assert row_of(app, "admin@example.com").is_active


def test_who_guessed_wrong_is_unlocked(as_role, app):
    user_id = make_user(app, "dora@example.com")
    with app.engine.begin() as conn:
        conn.execute(
            sa.update(users)
            .where(users.c.id == user_id)
            .values(failed_logins=5, locked_until=sa.func.now() + sa.text("interval '1 hour'"))
        )
    admin = as_role("admin")
    assert "locked" in admin.get("/admin/users/").get_data(as_text=True)
    do(admin, "unlock", user_id)
    assert row_of(app, "dora@example.com").locked_until is None


def test_a_new_password_replaces_the_old_one(as_role, app, console):
    answer = do(as_role("admin"), "reset_password", id_of(app, "viewer@example.com"))
    password = SECRET.search(answer.get_data(as_text=True))[1]
    assert Browser(console.test_client()).sign_in("viewer@example.com").status_code != 302
    assert Browser(console.test_client()).sign_in("viewer@example.com", password).status_code == 302


def test_somebody_is_signed_out_everywhere(as_role, app):
    viewer, admin = as_role("viewer"), as_role("admin")
    user_id = id_of(app, "viewer@example.com")
    do(admin, "sign_out", user_id)
    assert viewer.get("/admin/").status_code == 302
    with app.engine.connect() as conn:
        query = sa.select(user_sessions.c.revoked_at).where(user_sessions.c.user_id == user_id)
        assert all(conn.execute(query).scalars())


def test_who_did_it_and_why_is_in_the_log(as_role, app):
    user_id = id_of(app, "viewer@example.com")
    do(as_role("admin"), "deactivate", user_id)
    with app.engine.connect() as conn:
        entry = conn.execute(sa.select(audit_log).where(audit_log.c.action == "user.deactivate")).one()
    assert (entry.actor, entry.why) == ("console/admin@example.com", "for the test")


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
@pytest.mark.parametrize("action", ["set_role", "deactivate", "unlock", "sign_out", "reset_password"])
def test_only_administrators_change_people(as_role, app, role, action):
    assert do(as_role(role), action, id_of(app, "editor@example.com"), role="admin").status_code == 403
    assert row_of(app, "editor@example.com").role == "editor"
