"""Home: one look for all viewers, what it says when a part is missing, how its chart is drawn."""

import re
import time
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import sqlalchemy as sa

from admin import charts, formats
from admin.application import create_console
from admin.formats import NONE
from admin.overview import EVERY, Watch
from admin.people import Recent
from app.bootstrap import App
from app.db.tables import api_clients, controls, delivery_counted, lane_flows, message_queue
from app.errors import Unavailable
from app.services import stats
from app.services.gateways import GatewaysService
from app.services.sessions import Signed
from app.services.throughput import Slice, Span, Throughput
from tests.admin.conftest import Browser

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def counted(app):
    """Counts the statements that reach the database."""
    seen = []
    listener = lambda *args: seen.append(args[2])  # noqa: E731 - SQLAlchemy keeps it by identity.
    sa.event.listen(app.engine, "before_cursor_execute", listener)
    yield seen
    sa.event.remove(app.engine, "before_cursor_execute", listener)


def told(answer):
    data = re.search(r"^data: (.*)$", answer.text, re.MULTILINE)
    return orjson.loads(data[1])["parts"] if data else None


def test_live_updates_cost_one_look_for_all_viewers(as_role, counted):
    viewers = [as_role(role) for role in ("viewer", "operator", "admin")]
    for viewer in viewers:
        viewer.get("/admin/live")
    counted.clear()
    asked = 0
    until = time.monotonic() + EVERY.total_seconds() / 2
    while asked < 60 and time.monotonic() < until:
        assert viewers[asked % 3].get("/admin/live").status_code == 200
        asked += 1
    assert asked > 3
    # One look at most fell into that time.
    lanes = [statement for statement in counted if "lane_flows" in statement]
    assert len(lanes) <= 1
    assert not [statement for statement in counted if "user_sessions" in statement]


def test_a_look_is_as_good_for_all_until_it_is_two_seconds_old(app):
    watch = Watch(app)
    first = watch.look(AT)
    assert watch.look(AT + timedelta(seconds=1.9)) is first
    assert watch.look(AT + timedelta(seconds=2)) is not first


def test_what_is_wrong_is_looked_at_anew_after_ten_seconds(app):
    watch = Watch(app)

    def codes(seconds):
        return {each.finding.code for each in watch.look(AT + timedelta(seconds=seconds)).standing.findings}

    assert "no_scheduler" in codes(0)
    with app.engine.begin() as conn:
        conn.exec_driver_sql("INSERT INTO job_leader VALUES ('scheduler', 'me', now() + interval '1 min')")
    assert "no_scheduler" in codes(9)
    assert "no_scheduler" not in codes(11)


def test_what_somebody_changes_is_seen_at_once(app, as_role):
    browser = as_role("viewer")
    assert "Stopped:" not in browser.get("/admin/account/").text
    with app.engine.begin() as conn:
        conn.execute(sa.insert(controls).values(scope="all", who="console/ida", why="a wrong list"))
    browser.post("/admin/account/end-others")
    text = browser.get("/admin/").text
    assert "Stopped: all sending, by console/ida: a wrong list" in text
    assert "Sending is stopped" in text


def test_an_event_is_told_once_and_the_next_has_only_what_is_new(as_role):
    browser = as_role("viewer")
    first = browser.get("/admin/live")
    assert first.mimetype == "text/event-stream"
    assert set(told(first)) == {"state", "findings", "lanes", "gateways", "chart"}
    name = re.search(r"^id: (\S+)$", first.text, re.MULTILINE)[1]
    again = browser.get("/admin/live", headers={"Last-Event-ID": name})
    assert told(again) is None
    assert "retry: 2000" in again.text


def test_it_tells_viewers_no_address_and_strangers_nothing(app, stranger):
    assert stranger.get("/admin/live").status_code == 401
    with app.engine.begin() as conn:
        conn.execute(sa.insert(controls).values(scope="all", who="console/ida", why="a wrong list"))
    assert "a wrong list" not in stranger.get("/admin/sign-in").text


def test_a_session_goes_on_watching_for_ten_seconds_at_most_once_it_was_ended():
    recent = Recent()
    signed = Signed(
        session_id=1, user_id=1, email="", name="", role="viewer", must_change_password=False,
        expires_at=AT + timedelta(hours=1),
    )  # fmt: skip
    recent.note("token", signed, AT)
    assert recent.find("token", AT + timedelta(seconds=9)) is signed
    assert recent.find("token", AT + timedelta(seconds=10)) is None
    assert recent.find("another", AT) is None


def test_without_redis_the_rest_is_there(app):
    settings = app.settings.model_copy(update={"redis_url": "redis://127.0.0.1:9"})
    browser = Browser(create_console(App(settings=settings, engine=app.engine, name="test")).test_client())
    browser.sign_in("viewer@example.com")
    answer = browser.get("/admin/")
    assert answer.status_code == 200
    assert "Lanes" in answer.text
    assert "postal" in answer.text
    assert "Redis does not answer, so nothing is looked at anew" in answer.text


def test_a_redis_that_does_not_answer_is_asked_once(app, monkeypatch):
    asked = []
    monkeypatch.setattr(GatewaysService, "_standings", lambda *_: asked.append("breakers"))
    monkeypatch.setattr(app.diagnostics, "look", lambda: asked.append("diagnostics"))
    monkeypatch.setattr(app.limits, "paces", lambda: raise_(Unavailable("Redis hangs")))
    seen = Watch(app).look(AT)
    assert (asked, seen.looked, seen.missing) == ([], None, ["limits"])
    assert seen.gateways


def raise_(error):
    raise error


def test_what_is_due_later_does_not_make_more_of_what_is_due_now(app, as_role, monkeypatch):
    monkeypatch.setattr(stats, "COUNTED", 1)
    with app.engine.begin() as conn:
        named = sa.insert(api_clients).values(name="shop").returning(api_clients.c.id)
        lane = {"priority": "P3", "channel": "email", "client_id": conn.execute(named).scalar_one()}
        conn.execute(sa.insert(lane_flows).values(lane))
        later = sa.func.now() + timedelta(hours=1)
        message = {"message_type": "campaign", "recipient_address": "anna@example.com", "max_attempts": 3}
        times = {"scheduled_for": later, "expires_at": later + timedelta(hours=1)}
        conn.execute(sa.insert(message_queue).values(lane | message | times))
    text = as_role("viewer").get("/admin/").text
    assert '<p class="figure-name">Due</p><p class="figure-value">0</p>' in text
    assert "and 1+ later" in text


def test_an_empty_chart_tells_how_far_it_is_counted(app, as_role):
    viewer = as_role("viewer")
    assert "Nobody has counted yet" in viewer.get("/admin/").text
    with app.engine.begin() as conn:
        conn.execute(sa.insert(delivery_counted).values(until=sa.text("'2026-11-22 12:00+00'")))
    text = viewer.get("/admin/?span=day").text
    assert 'Nothing happened in this time up to <time datetime="2026-11-22T12:00:00Z">' in text


# Charts


def chart_of(draw, rows):
    slices = tuple(
        Slice(at=AT + timedelta(minutes=number), by_status=status, by_priority=priority)
        for number, (status, priority) in enumerate(rows)
    )
    return draw(Throughput(span=Span.HOUR, step=timedelta(minutes=1), slices=slices, until=AT))


def test_priorities_stand_on_each_other():
    chart = chart_of(charts.by_priority, [({}, {"P0": 2, "P4": 3}), ({}, {"P4": 5})])
    paths = {each.name: each.path for each in chart.series}
    assert chart.top == 5
    assert paths["P0"] == "M0,108.0L600,180.0L600,180.0L0,180.0Z"
    assert paths["P4"] == "M0,0.0L600,0.0L600,180.0L0,108.0Z"


def test_statuses_are_lines_and_what_expired_has_failed():
    rows = [({"sent": 10, "failed": 1, "expired": 2}, {}), ({"sent": 5}, {})]
    chart = chart_of(charts.by_status, rows)
    values = {each.name: list(each.values) for each in chart.series}
    assert (chart.top, values["sent"], values["failed or expired"]) == (10, [10, 5], [3, 0])
    assert next(each.path for each in chart.series if each.name == "sent") == "M0,0.0L600,90.0"


def test_an_empty_chart_says_so():
    assert chart_of(charts.by_status, [({}, {}), ({}, {})]).is_empty


@pytest.mark.parametrize(("value", "top"), [(0, 1), (2, 2), (3, 5), (7, 10), (11, 20), (999, 1000)])
def test_the_top_of_a_chart_is_a_round_figure(value, top):
    assert charts.rounded_up(value) == top


# Words


@pytest.mark.parametrize(
    ("share", "written"),
    [(None, NONE), (1, "100 %"), (0.99996, "99.9 %"), (0.00001, "0.1 %"), (0, "0 %"), (0.9942, "99.4 %")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share, written):
    assert formats.percent(share) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.084, "84 ms"), (35, "35 s"), (90, "1 min 30 s"), (3600, "1 h"), (90_061, "1 d 1 h")],
)
def test_a_length_of_time_has_its_two_largest_units(seconds, written):
    assert formats.duration(timedelta(seconds=seconds)) == written


def test_addresses_are_masked_by_what_they_look_like():
    assert formats.mask("reader@example.com") == "r…@example.com"
    assert formats.mask("+31612345678") == "…678"
    assert formats.mask("a" * 64, "push") == "token of 64 characters"
    assert formats.mask(None) == NONE


def test_what_stands_between_backticks_is_set_apart_and_nothing_else_is_markup():
    assert formats.spelled("Start `tocsin <x>` & wait") == "Start <code>tocsin &lt;x&gt;</code> &amp; wait"
