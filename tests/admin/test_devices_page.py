"""The page Devices: whose, which, seen when; taken out of use with a reason; no token is shown."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, device_tokens, topic_members, topics

D = device_tokens.c


@pytest.fixture
def put(app):
    """Gives a function that inserts a device and gives its id and token."""
    made = iter(range(1, 100))

    def insert(**values):
        token = f"{next(made):064x}"
        row = {"token": token, "platform": "apns", "recipient_id": 4711, "recipient_type": "member", **values}
        with app.engine.begin() as conn:
            number = conn.execute(sa.insert(device_tokens).values(row).returning(D.id)).scalar_one()
        return number, row["token"]

    return insert


def before(days):
    return datetime.now(UTC) - timedelta(days=days)


def listed(browser, query=""):
    page = browser.get(f"/admin/devices/?{query}").get_data(as_text=True)
    return page, page.count('data-label="Recipient"')


def deactivate(browser, *ids, why="stolen"):
    browser.get("/admin/account/")
    fields = {"selected": [str(each) for each in ids], "confirmed": "1", "why": why}
    return browser.post("/admin/devices/do/deactivate", fields)


def state(app, number):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(D.deactivated_why).where(D.id == number)).scalar_one()


@pytest.mark.parametrize(
    "query",
    [
        "recipient=7", "recipient=guest:7", "platform=fcm", "state=out_of_use", "seen=u90",
        "token=the-token-of-7",
    ],
)  # fmt: skip
def test_a_device_is_found_by_what_is_known_of_it(as_role, put, query):
    put()
    put(
        token="the-token-of-7", platform="fcm", recipient_id=7, recipient_type="guest",
        last_seen_at=before(100), deactivated_at=before(1), deactivated_why="gateway",
    )  # fmt: skip
    page, count = listed(as_role("viewer"), query)
    assert (count, "guest:7" in page) == (1, True)


def test_one_that_was_not_seen_for_long_is_told_from_one_in_use(as_role, put):
    put(last_seen_at=before(400))
    assert listed(as_role("viewer"), "state=stale")[1] == 1
    assert listed(as_role("viewer"), "state=in_use")[1] == 0
    assert listed(as_role("viewer"), "seen=s30")[1] == 0


@pytest.mark.parametrize(
    ("query", "words"),
    [("recipient=x", "must be a number"), ("state=lost", "must be one of"), ("seen=s3", "must be one of")],
)
def test_what_cannot_be_looked_for_is_said(as_role, query, words):
    assert words in listed(as_role("viewer"), query)[0]


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_nobody_sees_a_token(as_role, put, role):
    _, token = put()
    page, count = listed(as_role(role))
    assert count == 1
    assert token[-8:] not in page
    assert f"…{token[-4:]}" in page


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_who_does_not_run_the_service_takes_none_out_of_use(as_role, app, put, role):
    number, _ = put()
    assert deactivate(as_role(role), number).status_code == 403
    assert state(app, number) is None


def test_devices_are_taken_out_of_use_and_out_of_their_topics(as_role, app, put):
    (first, _), (second, _) = put(), put(deactivated_at=before(1), deactivated_why="gateway")
    with app.engine.begin() as conn:
        topic = conn.execute(sa.insert(topics).values(name="news").returning(topics.c.id)).scalar_one()
        conn.execute(sa.insert(topic_members).values(topic_id=topic, device_id=first, state="subscribed"))
    browser = as_role("operator")
    preview = browser.post("/admin/devices/do/deactivate", {"selected": [str(first), str(second)]})
    assert "Take 1 of 2 devices out of use?" in preview.get_data(as_text=True)
    assert "1 topics, which they leave" in preview.get_data(as_text=True)
    deactivate(browser, first, second)
    assert (state(app, first), state(app, second)) == ("asked", "gateway")
    with app.engine.connect() as conn:
        assert conn.execute(sa.select(topic_members)).all() == []
        (entry,) = conn.execute(sa.select(audit_log).where(audit_log.c.action == "device.deactivate")).all()
    assert (entry.actor, entry.target, entry.why) == (
        "console/operator@example.com",
        f"device:{first}",
        "stolen",
    )
    assert "recipient_id" in entry.after


def test_nothing_is_done_without_a_reason(as_role, app, put):
    number, _ = put()
    assert "Say why" in deactivate(as_role("operator"), number, why="").get_data(as_text=True)
    assert state(app, number) is None
