"""The pages Dead letters and Unknown outcomes: by reason, one by one, and all that fit at once."""

import re

import pytest
import sqlalchemy as sa

from admin.letter_actions import criteria_of
from app.db.tables import api_clients, audit_log, message_queue, replays
from app.errors import Invalid

M = message_queue.c


@pytest.fixture
def put(app):
    with app.engine.begin() as conn:
        client = conn.execute(
            sa.insert(api_clients).values(name="shop").returning(api_clients.c.id)
        ).scalar_one()

    def insert(count=1, **values):
        row = {
            "priority": "P3", "message_type": "campaign", "client_id": client, "channel": "email",
            "recipient_address": "anna.secret@example.com", "gateway": "postal", "max_attempts": 3,
            "status": "failed", "last_error": "550 no", "last_error_class": "transient",
            "scheduled_for": sa.func.now(), "expires_at": sa.func.now() + sa.text("interval '1 hour'"),
            **values,
        }  # fmt: skip
        with app.engine.begin() as conn:
            return [
                conn.execute(sa.insert(message_queue).values(row).returning(M.uuid)).scalar_one()
                for _ in range(count)
            ]

    return insert


def do(browser, page, action, selected, **fields):
    browser.get(f"/admin/{page}/")
    return browser.post(
        f"/admin/{page}/do/{action}",
        {"selected": selected, "confirmed": "1", "why": "they are back", **fields},
    )


def counts(app):
    with app.engine.connect() as conn:
        return dict(conn.execute(sa.select(M.status, sa.func.count()).group_by(M.status)).all())


def test_reasons_are_counted_and_lead_to_their_messages(as_role, put):
    put(3, last_error_class="transient")
    content = put(1, last_error_class="content")
    browser = as_role("viewer")
    page = browser.get("/admin/dead-letters/").get_data(as_text=True)
    assert "error=transient" in page
    assert ">3</a>" in page
    narrowed = browser.get("/admin/dead-letters/?status=failed&error=content").get_data(as_text=True)
    assert str(content[0]) in narrowed
    assert narrowed.count("/admin/messages/0") == 1


def test_nobody_is_named(as_role, put):
    put()
    assert "anna.secret" not in as_role("admin").get("/admin/dead-letters/").get_data(as_text=True)


def test_all_that_fit_are_counted_and_then_replayed_at_a_rate(as_role, app, put):
    put(3)
    put(2, last_error_class="content")
    browser = as_role("operator")
    browser.get("/admin/dead-letters/")
    wanted = "status=failed&error=transient"
    preview = browser.post("/admin/dead-letters/do/replay_all", {"selected": wanted})
    assert "Send 3 messages again?" in preview.get_data(as_text=True)
    assert "filter by channel or gateway first" in preview.get_data(as_text=True)
    do(browser, "dead-letters", "replay_all", wanted, per_second="100")
    assert counts(app) == {"pending": 3, "failed": 2}
    with app.engine.connect() as conn:
        row = conn.execute(sa.select(replays)).one()
    assert (row.per_second, row.who, row.why) == (100, "console/operator@example.com", "they are back")


def test_where_the_gateway_is_known_those_of_its_channel_are_offered(as_role, app, put):
    put(1, last_error_class="transient")
    browser = as_role("operator")
    browser.get("/admin/dead-letters/")
    wanted = "status=failed&error=transient&gateway=postal"
    page = browser.post("/admin/dead-letters/do/replay_all", {"selected": wanted}).get_data(as_text=True)
    offered = set(re.findall(r'<option value="(\w+)"', page)) & set(app.gateways)
    assert offered == {name for name, each in app.gateways.items() if each.channel == "email"} == {"postal"}
    do(browser, "dead-letters", "replay_all", wanted, gateway="postal", per_second="100")
    assert counts(app) == {"pending": 1}


def test_a_code_is_told_once(as_role, put):
    put(1, last_error="421-4.7.28: slow down, please")
    page = as_role("viewer").get("/admin/dead-letters/").get_data(as_text=True)
    row = page[page.index('data-label="Error" class="wrap"') :]
    assert row.count("421-4.7.28") == 1
    assert "slow down, please" in row


def test_how_many_fit_is_told_above_the_rows_and_before_some_are_replayed(as_role, put):
    ticked = [str(uuid) for uuid in put(51)[:2]]
    browser = as_role("operator")
    page = browser.get("/admin/dead-letters/").get_data(as_text=True)
    assert "50 of 51 shown" in page
    (total,) = re.findall(r'name="total" value="([^"]*)"', page)
    asked = {"selected": ticked, "total": total}
    preview = browser.post("/admin/dead-letters/do/replay", asked).get_data(as_text=True)
    assert "Replay: 2 of 51 messages" in preview
    assert "only those that are ticked are taken" in preview


@pytest.mark.parametrize(("path", "action"), [("dead-letters", "replay_all"), ("unknown", "all_sent")])
def test_what_is_done_to_all_stands_above_the_rows_too(as_role, put, path, action):
    put(1)
    put(1, status="held")
    page = as_role("operator").get(f"/admin/{path}/").get_data(as_text=True)
    assert page.index(f'form="whole-{action}"') < page.rindex("<tbody") < page.index(f'id="whole-{action}"')


def test_pressed_twice_they_are_sent_again_once(as_role, app, put):
    put(3)
    browser = as_role("operator")
    for _ in range(2):
        do(browser, "dead-letters", "replay_all", "status=failed", per_second="1000")
    with app.engine.connect() as conn:
        assert conn.execute(sa.select(sa.func.sum(replays.c.replayed))).scalar() == 3


def test_without_filters_no_time_is_named(as_role, put):
    put(3)
    browser = as_role("operator")
    (everything,) = re.findall(
        r'name="selected" value="(days=[^"]*)"', browser.get("/admin/dead-letters/").get_data(as_text=True)
    )
    page = browser.post("/admin/dead-letters/do/replay_all", {"selected": everything}).get_data(as_text=True)
    assert "Send 3 messages again?" in page
    assert "<dt>since</dt>" not in page


def test_a_time_that_cannot_be_is_refused_and_does_not_stand_for_all():
    with pytest.raises(Invalid, match="must be a number of days"):
        criteria_of({"days": "soon"})
    assert criteria_of({"days": "any"}).since is None


def test_some_are_replayed(as_role, app, put):
    first, *_ = put(3)
    do(as_role("operator"), "dead-letters", "replay", str(first))
    assert counts(app) == {"pending": 1, "failed": 2}


@pytest.mark.parametrize(
    ("action", "state"), [("all_sent", "sent"), ("all_again", "pending"), ("all_up", "failed")]
)
def test_it_is_decided_about_all_that_are_held(as_role, app, put, action, state):
    put(2, status="held", last_error_class="unknown")
    put(1, status="expired")
    do(as_role("operator"), "unknown", action, "status=held")
    assert counts(app) == {state: 2, "expired": 1}
    with app.engine.connect() as conn:
        entry = conn.execute(sa.select(audit_log).where(audit_log.c.action == "dead_letters.decide")).one()
    assert (entry.after["count"], entry.why) == (2, "they are back")


def test_unknown_ones_stand_apart_from_dead_ones(as_role, put):
    held = put(1, status="held")
    failed = put(1)
    page = as_role("viewer").get("/admin/unknown/").get_data(as_text=True)
    assert str(held[0]) in page
    assert str(failed[0]) not in page


@pytest.mark.parametrize("query", ["status=nothing", "channel=pigeon", "batch=7"])
def test_a_filter_that_is_none_is_told(as_role, query):
    answer = as_role("viewer").get(f"/admin/dead-letters/?{query}")
    assert answer.status_code == 400
    assert "must be " in answer.get_data(as_text=True)


def test_rows_stand_in_the_order_that_the_first_column_says(as_role, put):
    older = put(1, created_at=sa.text("now() - interval '2 hours'"), updated_at=sa.func.now())
    newer = put(
        1, created_at=sa.text("now() - interval '1 hour'"), updated_at=sa.text("now() - interval '50 min'")
    )
    page = as_role("viewer").get("/admin/dead-letters/").get_data(as_text=True)
    assert "<th>Accepted</th>" in page
    assert "2 found, newest first" in page
    assert page.index(str(newer[0])) < page.index(str(older[0]))


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_only_those_who_run_the_service_do_anything(as_role, app, put, role):
    put(1)
    put(1, status="held")
    browser = as_role(role)
    for page, action in (
        ("dead-letters", "replay_all"),
        ("dead-letters", "replay"),
        ("unknown", "all_again"),
    ):
        assert do(browser, page, action, "status=failed").status_code == 403
    assert counts(app) == {"failed": 1, "held": 1}
