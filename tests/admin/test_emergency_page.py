"""The page Emergency: one button stops, another resumes; each asks why, and says what it did."""

import re
from collections import defaultdict

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.db.tables import api_clients, audit_log, controls, lane_flows, message_queue, message_templates
from app.domain.vocabulary import Channel
from app.services.audit import Who
from app.services.controls import stopping

M = message_queue.c
# What the questions of an action begin with.
ANSWERED = defaultdict(dict, stop={"minutes": "0", "including_p0": "no"}, resume={"over": "0"})


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"sendgrid_api_key": settings.postal_api_key})


def do(browser, action, selected, **fields):
    return browser.post(
        f"/admin/emergency/do/{action}",
        {"selected": selected, "confirmed": "1", "why": "the wrong list", **ANSWERED[action], **fields},
    )


def stops(app):
    return app.emergency.state().stops


def put(app, count, **values):
    with app.engine.begin() as conn:
        known = conn.execute(sa.select(api_clients.c.id).where(api_clients.c.name == "shop")).scalar()
        client = (
            known
            or conn.execute(
                sa.insert(api_clients).values(name="shop").returning(api_clients.c.id)
            ).scalar_one()
        )
        row = {
            "priority": "P3", "message_type": "campaign", "client_id": client, "channel": "email",
            "recipient_address": "reader@example.com", "gateway": "postal", "max_attempts": 3,
            "scheduled_for": sa.func.now(), "expires_at": sa.func.now() + sa.text("interval '1 hour'"),
            **values,
        }  # fmt: skip
        flow = {name: row[name] for name in ("priority", "channel", "client_id")}
        conn.execute(insert(lane_flows).values(flow).on_conflict_do_nothing())
        for _ in range(count):
            conn.execute(sa.insert(message_queue).values(row))


def counts(app):
    with app.engine.connect() as conn:
        return dict(conn.execute(sa.select(M.status, sa.func.count()).group_by(M.status)).all())


def test_one_button_stops_everything_but_emergencies(as_role, app):
    do(as_role("operator"), "stop", "all")
    (stop,) = stops(app)
    assert (stop.scope, stop.including_p0, stop.until) == ("all", False, None)
    assert (stop.who, stop.why) == ("console/operator@example.com", "the wrong list")


def test_emergencies_are_stopped_where_that_is_chosen_and_a_time_ends_it(as_role, app):
    do(as_role("operator"), "stop", "all", including_p0="yes", minutes="60")
    (stop,) = stops(app)
    assert stop.including_p0
    assert 59 < (stop.until - stop.since).total_seconds() / 60 < 61


@pytest.mark.parametrize(
    ("selected", "fields"), [("channel:sms", {}), ("form", {"scope": "channel", "key": "sms"})]
)
def test_one_thing_is_stopped(as_role, app, selected, fields):
    do(as_role("operator"), "stop", selected, **fields)
    (stop,) = stops(app)
    assert (stop.scope, stop.key) == ("channel", "sms")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scope": "channel", "key": "pigeon"}, "must be one of"),
        ({"scope": "client", "key": "nobody"}, "there is no client"),
        ({"scope": "client", "key": ""}, "Say which client"),
        ({"scope": "world", "key": "x"}, "Say what is to be stopped"),
    ],
)
def test_what_cannot_be_stopped_is_told_and_nothing_is(as_role, app, fields, words):
    answer = do(as_role("operator"), "stop", "form", **fields)
    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True)
    assert stops(app) == ()


def test_the_page_says_what_is_stopped_by_whom_why_and_what_waits(as_role, app):
    put(app, 3)
    do(as_role("operator"), "stop", "channel:email")
    page = as_role("viewer").get("/admin/emergency/").get_data(as_text=True)
    assert "channel email" in page
    assert "the wrong list" in page
    assert "console/operator@example.com" in page
    assert "<strong>3 messages wait because of it.</strong>" in page


def test_the_question_counts_what_is_meant_and_the_answer_what_waits(as_role, app):
    put(app, 3)
    put(app, 1, scheduled_for=sa.func.now() + sa.text("interval '10 minutes'"))
    put(app, 5, channel="sms", gateway="twilio", recipient_address="+31201234567")
    browser = as_role("operator")
    asked = browser.post("/admin/emergency/do/stop", {"selected": "channel:email"}).get_data(as_text=True)
    assert "<dt>Due now, of channel email</dt><dd>3</dd>" in asked
    assert "<dt>Due later</dt><dd>1</dd>" in asked
    do(browser, "stop", "channel:email")
    page = browser.get("/admin/emergency/").get_data(as_text=True)
    assert (
        page.count("3 messages wait because of it; 1 more will when due.") == 2
    )  # The answer, and the stop.


def test_what_was_not_counted_to_the_end_is_said_to_be_more_or_not_known(as_role, app, monkeypatch):
    monkeypatch.setattr(stopping, "COUNTED", 2)
    put(app, 3)
    browser = as_role("operator")
    asked = browser.post("/admin/emergency/do/stop", {"selected": "channel:email"}).get_data(as_text=True)
    assert "<dd>2 or more</dd>" in asked
    with app.engine.begin() as conn:
        conn.execute(sa.insert(message_templates).values(slug="spring", channel="email", name="Spring"))
    asked = browser.post("/admin/emergency/do/stop", {"selected": "template:spring"}).get_data(as_text=True)
    assert "<dt>Due now, of template spring</dt><dd>not known: none among the first looked at</dd>" in asked


def test_the_question_about_a_gateway_says_who_takes_over(as_role, app):
    put(app, 2)
    browser = as_role("operator")
    asked = browser.post("/admin/emergency/do/stop", {"selected": "gateway:postal"}).get_data(as_text=True)
    assert "<dt>Due now, of gateway postal</dt><dd>2</dd>" in asked
    assert "goes by sendgrid" in asked
    do(browser, "stop", "gateway:postal")
    told = "2 messages due now were to go by it, and wait only where no other gateway may take over."
    assert told in browser.get("/admin/emergency/").get_data(as_text=True)


def test_questions_about_gateways_say_how_the_others_stand(as_role, app):
    who = Who(actor="tests")
    app.gateway_control.trip(who, Channel.EMAIL, "sendgrid", why="it fails")
    browser = as_role("operator")
    asked = browser.post("/admin/emergency/do/stop", {"selected": "gateway:postal"}).get_data(as_text=True)
    assert "goes by sendgrid (breaker open: " in asked
    place = {"selected": "form", "place": "email/sendgrid"}
    asked = browser.post("/admin/emergency/do/switch", place).get_data(as_text=True)
    assert "<dt>Besides: postal</dt><dd>not tried: " in asked
    assert "It is not healthy itself: breaker open: " in asked


def test_sending_is_resumed_at_once_or_by_and_by(as_role, app):
    browser = as_role("operator")
    do(browser, "stop", "all")
    do(browser, "resume", stops(app)[0].id)
    assert stops(app) == ()
    do(browser, "stop", "channel:email")
    do(browser, "resume", stops(app)[0].id, over="15")
    (stop,) = stops(app)
    assert (stop.state, stop.share) == ("resuming", 0.1)


def test_the_queue_is_cleared_after_a_count_and_put_back(as_role, app):
    put(app, 5)
    put(app, 2, priority="P1", message_type="alert")
    browser = as_role("operator")
    browser.get("/admin/emergency/")
    page = browser.post("/admin/emergency/clear", {"priority": "P3", "why": "twice in the list"})
    assert "Cancel 5 messages?" in page.get_data(as_text=True)
    assert counts(app) == {"pending": 7}
    clearing = re.search(r'name="selected" value="(\d+)"', page.get_data(as_text=True))[1]
    do(browser, "clear", clearing)
    assert counts(app) == {"pending": 2, "cancelled": 5}
    do(browser, "undo", clearing)
    assert counts(app) == {"pending": 7}


def test_clearing_everything_says_so_and_asks_for_a_word(as_role, app):
    put(app, 3)
    put(app, 2, priority="P1", message_type="alert")
    put(app, 1, priority="P0", message_type="emergency")
    browser = as_role("operator")
    page = browser.post("/admin/emergency/clear", {"why": "all of it is wrong"}).get_data(as_text=True)
    assert "Cancel everything that waits: 5 messages?" in page
    assert "every message of every client" in page
    assert "but for emergencies (P0)" in page
    clearing = re.search(r'name="selected" value="(\d+)"', page)[1]
    for word in ("", "all"):
        answer = do(browser, "clear", clearing, word=word)
        assert (answer.status_code, 'id="e-word"' in answer.text) == (422, True)
    assert counts(app) == {"pending": 6}
    do(browser, "clear", clearing, word="Everything")
    assert counts(app) == {"pending": 1, "cancelled": 5}


def test_a_clearing_names_its_filters_and_asks_for_no_word(as_role, app):
    put(app, 1)
    browser = as_role("operator")
    wish = {"client": "shop", "younger_than": "60", "why": "twice"}
    page = browser.post("/admin/emergency/clear", wish).get_data(as_text=True)
    assert "<dt>Only by client</dt><dd>shop</dd>" in page
    assert "<dt>Only by younger than</dt><dd>1 h</dd>" in page
    assert 'name="word"' not in page


def test_all_that_is_wrong_with_a_clearing_is_told_at_once(as_role, app):
    wish = {"batch": "7", "template": "nothing", "why": ""}
    answer = as_role("operator").post("/admin/emergency/clear", wish)
    assert answer.status_code == 422
    assert all(f'id="e-{name}"' in answer.text for name in wish)


def test_clearing_asks_why_before_it_counts(as_role, app):
    browser = as_role("operator")
    browser.get("/admin/emergency/")
    answer = browser.post("/admin/emergency/clear", {"priority": "P3", "why": ""})
    assert answer.status_code == 422
    with app.engine.connect() as conn:
        assert conn.execute(sa.select(controls)).all() == []


def test_another_gateway_is_made_the_first(as_role, app):
    do(as_role("operator"), "switch", "form", place="email/sendgrid")
    assert app.gateway_control.list(channel=Channel.EMAIL)[0].gateway == "sendgrid"


def test_limits_are_reset(as_role, app):
    do(as_role("operator"), "reset_limits", "limits")
    with app.engine.connect() as conn:
        actions = conn.execute(sa.select(audit_log.c.action)).scalars().all()
    assert any("reset_rate_limits" in action for action in actions)


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_only_those_who_run_the_service_use_it(as_role, app, role):
    browser = as_role(role)
    for action in ("stop", "resume", "clear", "undo", "switch", "reset_limits"):
        assert do(browser, action, "all").status_code == 403
    assert browser.post("/admin/emergency/clear", {"why": "x"}).status_code == 403
    assert stops(app) == ()
    assert "Stop everything" not in browser.get("/admin/emergency/").get_data(as_text=True)


def test_what_is_not_there_cannot_be_stopped_and_the_question_says_why(as_role, app):
    browser = as_role("operator")
    wish = {"selected": "form", "scope": "channel", "key": "nonsense"}
    page = browser.post("/admin/emergency/do/stop", wish).get_data(as_text=True)
    assert "channel must be one of email, sms, whatsapp, voice, push" in page
    assert 'name="confirmed"' not in page
    do(browser, "stop", "form", scope="channel", key="nonsense")
    assert stops(app) == ()


def test_who_may_not_stop_anything_is_offered_no_button_for_it(as_role):
    assert "Stop sending" in as_role("operator").get("/admin/").get_data(as_text=True)
    assert "Stop sending" not in as_role("viewer").get("/admin/").get_data(as_text=True)
