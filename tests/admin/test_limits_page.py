"""The page Rate limits: what it shows is used, and each button changes what it says, with a reason."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, limit_events, rate_limits, reputation_hours, reputations
from app.domain.reputation import Level, NameKind
from app.limits.paces import flow_of
from app.limits.tokens import Window
from app.services.audit import Who
from app.services.limits import LimitDraft, LimitType

TESTS = Who(actor="tests")
WHY = "they asked for it"


@pytest.fixture(autouse=True)
def no_limits_yet(app):
    """Take away what every new database begins with."""
    with app.engine.begin() as conn:
        conn.execute(sa.delete(rate_limits))


@pytest.fixture
def gmail(app):
    """A limit of 100 an hour for one mailbox provider."""
    view, _ = app.limits.set(TESTS, LimitType.ISP, "google", LimitDraft(max_per_hour=100))
    return view


@pytest.fixture
def slowed(app):
    """Postal was told to slow down."""
    app.tokens.restore({flow_of("postal"): [(datetime.now(UTC), 100)]})
    return app.paces.lower("postal", "*", share=1.0, why="421 too fast", times=10)


@pytest.fixture
def endangered(app):
    """A domain whose mail bounces."""
    name = {"kind": "domain", "key": "example.com"}
    hour = datetime.now(UTC) - timedelta(hours=1)
    with app.engine.begin() as conn:
        conn.execute(
            sa.insert(reputation_hours).values(**name, hour=hour, sent=10_000, bounced=600, complained=0)
        )
        conn.execute(
            sa.insert(reputations).values(
                **name, level=int(Level.ENDANGERED), reason="6 % bounce", changed_at=hour
            )
        )
    return "domain/example.com"


def do(browser, action, selected, **fields):
    return browser.post(
        f"/admin/limits/do/{action}", {"selected": selected, "confirmed": "1", "why": WHY, **fields}
    )


def save(browser, **fields):
    return browser.post("/admin/limits/save", {"is_active": "yes", "why": WHY, **fields})


def limits(app):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(rate_limits).order_by(rate_limits.c.id)).all()


def audited(app):
    """Who did what and why, but for what the tests set up themselves."""
    query = sa.select(audit_log.c.actor, audit_log.c.action, audit_log.c.target, audit_log.c.why)
    with app.engine.connect() as conn:
        return [tuple(row) for row in conn.execute(query.order_by(audit_log.c.id)) if row.actor != "tests"]


def use(app, view, count):
    """Have a limit count so many messages."""
    limit = app.catalog.limits().find(view.limit_type, view.limit_key)
    app.tokens.restore({limit: [(datetime.now(UTC), count)]})


def held(app, view):
    usage = {each.window: each.used for each in app.limits.get(view.limit_type, view.limit_key).usage}
    return usage[Window.HOUR.name.lower()]


def test_a_limit_is_shown_with_how_much_of_it_is_used(as_role, app, gmail):
    use(app, gmail, 40)
    page = as_role("viewer").get("/admin/limits/").get_data(as_text=True)
    assert "40 of 100 an hour" in page


def test_a_limit_is_set_with_its_figures_and_its_warm_up(as_role, app):
    answer = save(
        as_role("operator"),
        limit_type="ip_pool",
        limit_key="fresh",
        max_per_second="5",
        max_per_day="1000",
        warmup_first="50",
        warmup_growth="linear",
        warmup_started_at="2026-11-01T08:00",
        notes="new addresses",
    )
    assert answer.status_code == 302
    (row,) = limits(app)
    assert (row.limit_type, row.limit_key, row.max_per_second, row.max_per_minute, row.max_per_day) == (
        "ip_pool", "fresh", 5, None, 1000,
    )  # fmt: skip
    assert (row.warmup_first, row.warmup_growth) == (50, "linear")
    assert row.warmup_started_at == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert audited(app) == [("console/operator@example.com", "limit.set", "limit:ip_pool/fresh", WHY)]


def test_a_limit_is_changed_and_what_is_emptied_is_no_more_limited(as_role, app, gmail):
    browser = as_role("operator")
    form = browser.get(f"/admin/limits/edit?id={gmail.id}").get_data(as_text=True)
    assert 'value="100"' in form
    save(browser, id=str(gmail.id), max_per_hour="", max_per_minute="7", is_active="no")
    (row,) = limits(app)
    assert (row.max_per_hour, row.max_per_minute, row.is_active) == (None, 7, False)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"limit_key": "geocities"}, "is no ISP"),
        ({"limit_key": "google"}, "change that one"),
        ({"limit_key": "yahoo", "max_per_hour": "many"}, "must be a whole number"),
        ({"limit_key": "yahoo", "max_per_hour": ""}, "limit at least one window"),
        ({"limit_key": "yahoo", "why": ""}, "Say why"),
        ({"limit_key": "yahoo", "warmup_first": "9"}, "must be a day and time"),
        ({"limit_type": "moon", "limit_key": "yahoo"}, "must be one of those in the list"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field_and_changes_nothing(as_role, app, gmail, wrong, said):
    answer = save(as_role("operator"), **{"limit_type": "isp", "max_per_hour": "5", **wrong})
    assert (answer.status_code, said in answer.get_data(as_text=True)) == (422, True)
    assert [(row.limit_key, row.max_per_hour) for row in limits(app)] == [("google", 100)]


def test_a_reset_one_counts_from_nothing(as_role, app, gmail):
    use(app, gmail, 40)
    do(as_role("operator"), "reset", str(gmail.id))
    assert held(app, gmail) == 0
    assert audited(app) == [("console/operator@example.com", "limit.reset", "limit:isp/google", WHY)]


def test_before_a_reset_it_says_what_is_used(as_role, app, gmail):
    use(app, gmail, 40)
    browser = as_role("operator")
    page = browser.post("/admin/limits/do/reset", {"selected": str(gmail.id)}).get_data(as_text=True)
    assert "40 of 100" in page
    assert held(app, gmail) == 40


def test_all_are_reset_at_once_with_all_paces(as_role, app, gmail, slowed):
    use(app, gmail, 40)
    do(as_role("operator"), "reset_all", "all")
    assert (held(app, gmail), app.limits.paces()) == (0, ())
    assert audited(app) == [("console/operator@example.com", "limit.reset", "limits", WHY)]


def test_a_limit_is_removed(as_role, app, gmail):
    do(as_role("operator"), "remove", str(gmail.id))
    assert limits(app) == []
    assert audited(app) == [("console/operator@example.com", "limit.remove", "limit:isp/google", WHY)]


@pytest.mark.usefixtures("slowed")
def test_home_tells_of_a_gateway_that_asked_for_less(as_role):
    assert "it asked for less:" in as_role("viewer").get("/admin/").get_data(as_text=True)


def test_a_lowered_pace_is_shown_and_forgotten(as_role, app, slowed):
    browser = as_role("operator")
    assert "421 too fast" in browser.get("/admin/limits/").get_data(as_text=True)
    do(browser, "forget_pace", "postal/*")
    assert app.limits.paces() == ()
    assert audited(app) == [("console/operator@example.com", "pace.forget", "pace:postal/*", WHY)]


def test_what_holds_campaigns_back_is_lifted_for_a_time(as_role, app, endangered):
    browser = as_role("operator")
    assert "campaigns paused" in browser.get("/admin/limits/").get_data(as_text=True)
    before = datetime.now(UTC)
    do(browser, "lift", endangered, hours="6")
    view = app.reputation.get(NameKind.DOMAIN, "example.com")
    assert view.campaigns is None
    assert timedelta(hours=5, minutes=59) < view.lifted_until - before < timedelta(hours=6, minutes=1)
    assert "lifted until" in browser.get("/admin/limits/").get_data(as_text=True)


def test_nothing_is_lifted_for_a_time_that_is_not_offered(as_role, app, endangered):
    assert do(as_role("operator"), "lift", endangered, hours="9000").status_code == 422
    assert app.reputation.get(NameKind.DOMAIN, "example.com").lifted_until is None


def test_a_recipients_address_is_shown_to_nobody(as_role, app):
    app.limits.set(TESTS, LimitType.RECIPIENT, "anna@example.com", LimitDraft(max_per_day=1))
    values = {"kind": "exceeded", "limit_type": "recipient", "limit_key": "anna@example.com"}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(limit_events).values(**values, detail="day"))
    browser = as_role("operator")
    for path in ("/admin/limits/", f"/admin/limits/edit?id={limits(app)[0].id}"):
        assert "anna@example.com" not in browser.get(path).get_data(as_text=True)


@pytest.mark.parametrize(("name", "found"), [("anna@example.com", True), ("anna", False)])
def test_a_recipients_limit_is_found_by_the_whole_address_only(as_role, app, name, found):
    app.limits.set(TESTS, LimitType.RECIPIENT, "anna@example.com", LimitDraft(max_per_day=1))
    page = as_role("viewer").get(f"/admin/limits/?name={name}").get_data(as_text=True)
    assert ("1 a day" in page) is found


def test_events_are_read_further_back(as_role, app):
    values = {"kind": "exceeded", "limit_type": "isp", "limit_key": "gmail"}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(limit_events), [{**values, "detail": f"window {n}."} for n in range(25)])
    browser = as_role("viewer")
    first = browser.get("/admin/limits/").get_data(as_text=True)
    assert ("window 24." in first, "window 4." in first) == (True, False)
    further = first.split('href="?events=')[1].partition("#")[0]
    assert "window 4." in browser.get(f"/admin/limits/?events={further}").get_data(as_text=True)


def test_a_long_list_has_pages(as_role, app):
    rows = [
        {"limit_type": "domain", "limit_key": f"d{n:03}.example", "max_per_hour": 5, "is_active": False}
        for n in range(60)
    ]
    with app.engine.begin() as conn:
        conn.execute(sa.insert(rate_limits), rows)
    browser = as_role("viewer")
    first = browser.get("/admin/limits/").get_data(as_text=True)
    assert ("d049.example" in first, "d050.example" in first) == (True, False)
    following = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    second = browser.get(following).get_data(as_text=True)
    assert ("d049.example" in second, "d059.example" in second) == (False, True)


@pytest.mark.usefixtures("slowed")
@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_only_those_who_run_the_service_change_anything(as_role, app, gmail, endangered, role):
    browser = as_role(role)
    wishes = {
        "reset": str(gmail.id),
        "remove": str(gmail.id),
        "reset_all": "all",
        "forget_pace": "postal/*",
        "lift": endangered,
    }
    refused = [do(browser, name, selected, hours="6").status_code for name, selected in wishes.items()]
    refused.append(save(browser, limit_type="isp", limit_key="yahoo", max_per_hour="5").status_code)
    refused.append(browser.get("/admin/limits/edit").status_code)
    assert (refused, audited(app), len(limits(app))) == ([403] * 7, [], 1)


@pytest.mark.parametrize(
    ("action", "selected"),
    [("reset", "0"), ("remove", "x"), ("forget_pace", "nobody/*"), ("lift", "domain/none.example")],
)
def test_what_is_not_there_is_told(as_role, action, selected):
    answer = as_role("operator").post(f"/admin/limits/do/{action}", {"selected": selected})
    assert answer.status_code == 404
