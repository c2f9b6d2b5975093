"""The page Messages: everything is found, nobody sees more than is theirs, each button has its effect."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from admin.pages import messages
from app.db.tables import api_clients, audit_log, delivery_events, message_queue, suppression_list
from app.domain.vocabulary import Channel, MessageType
from app.errors import NotFound
from app.services import looking
from app.services.audit import Who
from app.services.cancelling import cancel_by_hand
from app.services.looking import Wanted, look
from app.services.requests import Filters
from app.services.senders import SenderDraft, SenderService

ADDRESS = "anna.secret@example.com"
WORDS = "Your parcel waits at the corner."
M = message_queue.c


@pytest.fixture
def client_id(app):
    with app.engine.begin() as conn:
        return conn.execute(
            sa.insert(api_clients).values(name="shop").returning(api_clients.c.id)
        ).scalar_one()


@pytest.fixture
def put(app, client_id):
    """Gives a function that inserts a message and gives its uuid."""

    def insert(**values):
        row = {
            "priority": "P1",
            "message_type": "alert",
            "client_id": client_id,
            "channel": "email",
            "recipient_address": ADDRESS,
            "subject": "Parcel",
            "body_text": WORDS,
            "body_html": f"<p>{WORDS}</p><script>alert(1)</script>",
            "gateway": "postal",
            "status": "pending",
            "scheduled_for": sa.func.now(),
            "expires_at": sa.func.now() + timedelta(hours=1),
            "max_attempts": 3,
            **values,
        }
        with app.engine.begin() as conn:
            return conn.execute(sa.insert(message_queue).values(row).returning(M.uuid)).scalar_one()

    return insert


@pytest.fixture
def sender(app):
    draft = SenderDraft(address="hello@example.com", default_for=tuple(MessageType))
    SenderService(app.engine, app.catalog).save(Who(actor="tests"), Channel.EMAIL, "hello", draft)


def status_of(app, uuid):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(M.status).where(M.uuid == uuid)).scalar_one()


def do(browser, action, *uuids, **fields):
    browser.get("/admin/account/")
    return browser.post(
        f"/admin/messages/do/{action}",
        {"selected": [str(each) for each in uuids], "confirmed": "1", "why": "for the test", **fields},
    )


@pytest.mark.parametrize(
    "query",
    [
        f"address={ADDRESS.upper()}",
        "external_id=abc-1",
        "source=orders:4711",
        "source=orders",
        "client=shop&status=failed",
        "gateway=ses",
        "error=transient",
        "priority=P3&channel=email",
        "days=1&gateway=ses",
        "days=1h&gateway=ses",
        "since=2020-01-01&until=2099-12-31&gateway=ses",
    ],
)
def test_a_message_is_found_by_what_is_known_of_it(as_role, put, query):
    wanted = put(
        priority="P3", gateway="ses", external_id="abc-1", source_type="orders", source_id=4711,
        status="failed", last_error="down", last_error_class="transient",
    )  # fmt: skip
    other = put(recipient_address="bo@example.com")
    page = as_role("operator").get(f"/admin/messages/?{query}").get_data(as_text=True)
    assert str(wanted) in page
    assert str(other) not in page


def test_where_a_part_of_an_address_finds_nothing_it_says_that_the_whole_is_wanted(as_role, put):
    put()
    page = as_role("viewer").get("/admin/messages/?address=anna").get_data(as_text=True)
    assert 'placeholder="whole address or number"' in page
    assert "Take a filter away. Addresses and numbers have to be whole." in page
    assert "look further back" not in page.lower()


def test_where_older_ones_were_not_looked_at_it_leads_further_back(as_role, put, monkeypatch):
    monkeypatch.setattr(looking, "LOOK", 3)
    put(gateway="ses")
    for _ in range(4):
        put()
    page = as_role("viewer").get("/admin/messages/?gateway=ses").get_data(as_text=True)
    assert "Look further back below." in page
    assert 'rel="next"' in page


@pytest.mark.parametrize(("status", "heading"), [("delivered", "Earlier error"), ("failed", "Last error")])
def test_an_error_that_was_overcome_is_called_an_earlier_one(as_role, put, status, heading):
    at = sa.func.now() if status == "delivered" else None
    uuid = put(status=status, sent_at=at, delivered_at=at, last_error="down", last_error_class="transient")
    browser = as_role("viewer")
    row = browser.get("/admin/messages/").get_data(as_text=True).partition("<tbody>")[2]
    assert f'data-label="{heading}"' in row
    assert ("earlier: transient" in row) is (status == "delivered")
    assert f"<dt>{heading}</dt>" in browser.get(f"/admin/messages/{uuid}").get_data(as_text=True)


@pytest.mark.parametrize("query", ["until=2020-01-01", "since=2099-12-31", "days=1h&until=2020-01-01"])
def test_a_message_of_another_time_is_not_found(as_role, put, query):
    assert str(put()) not in as_role("viewer").get(f"/admin/messages/?{query}").get_data(as_text=True)


def test_of_two_times_the_later_one_counts(as_role, app, put):
    old, new = put(), put()
    with app.engine.begin() as conn:
        made = sa.func.now() - timedelta(hours=3)
        conn.execute(sa.update(message_queue).where(M.uuid == old).values(created_at=made))
    page = as_role("viewer").get("/admin/messages/?days=1h&since=2020-01-01").get_data(as_text=True)
    assert str(new) in page
    assert str(old) not in page


def test_by_its_uuid_one_is_found(as_role, put):
    wanted, other = put(), put()
    page = as_role("viewer").get(f"/admin/messages/?uuid={wanted}").get_data(as_text=True)
    assert str(wanted) in page
    assert str(other) not in page


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("uuid=7", "must be a uuid"),
        ("source=a:b", "must be a word"),
        ("since=soon", "must be a day"),
    ],
)
def test_what_cannot_be_looked_for_is_said_beside_its_field(as_role, query, words):
    assert words in as_role("viewer").get(f"/admin/messages/?{query}").get_data(as_text=True)


def test_a_look_that_no_index_leads_is_bounded_and_goes_on_behind(app, put, monkeypatch):
    monkeypatch.setattr(looking, "LOOK", 3)
    old = put(gateway="ses")
    for _ in range(4):
        put()
    wanted = Wanted(gateway="ses")
    first = look(app.engine, wanted, None)
    assert (first.rows, first.looked_back_to is None) == ([], False)
    second = look(app.engine, wanted, None, cursor=first.behind)
    assert [row.uuid for row in second.rows] == [old]
    assert second.behind is None


def test_what_is_last_in_one_look_is_found_by_it(app, put, monkeypatch):
    monkeypatch.setattr(looking, "LOOK", 3)
    put()
    on_the_edge = put(gateway="ses")
    for _ in range(2):
        put()
    first = look(app.engine, Wanted(gateway="ses"), None)
    assert [row.uuid for row in first.rows] == [on_the_edge]
    assert look(app.engine, Wanted(gateway="ses"), None, cursor=first.behind).rows == []


def test_pages_follow_each_other_without_a_gap(app, put):
    made = [put() for _ in range(5)]
    first = look(app.engine, Wanted(filters=Filters()), None, limit=3)
    second = look(app.engine, Wanted(filters=Filters()), None, cursor=first.behind, limit=3)
    assert [row.uuid for row in (*first.rows, *second.rows)] == made[::-1]


@pytest.mark.parametrize("role", ["viewer", "editor", "operator", "admin"])
def test_nobody_sees_address_or_words_unasked(as_role, put, role):
    uuid = put()
    browser = as_role(role)
    for path in ("/admin/messages/", f"/admin/messages/{uuid}"):
        page = browser.get(path).get_data(as_text=True)
        assert "a…@example.com" in page
        assert ADDRESS not in page
        assert WORDS not in page


@pytest.mark.usefixtures("sender")
def test_who_opens_a_message_sees_it_and_is_noted(as_role, app, put):
    uuid = put()
    browser = as_role("operator")
    browser.get(f"/admin/messages/{uuid}")
    page = browser.post(f"/admin/messages/{uuid}").get_data(as_text=True)
    assert ADDRESS in page
    assert WORDS in page
    with app.engine.connect() as conn:
        (entry,) = conn.execute(sa.select(audit_log).where(audit_log.c.action == "message.open")).all()
    assert (entry.actor, entry.target) == ("console/operator@example.com", f"message:{uuid}")


def open_message(browser, uuid):
    """Open a message; gives the address of its mail."""
    browser.get(f"/admin/messages/{uuid}")
    page = browser.post(f"/admin/messages/{uuid}").get_data(as_text=True)
    return re.search(r'src="(/admin/messages/[^"]+/mail[^"]+)"', page)[1]


@pytest.mark.usefixtures("sender")
def test_the_mail_is_shown_where_nothing_in_it_runs(as_role, put):
    browser = as_role("operator")
    mail = browser.get(open_message(browser, put()))
    assert WORDS in mail.get_data(as_text=True)
    policy = mail.headers["Content-Security-Policy"]
    assert "sandbox;" in policy
    assert "script" not in policy
    assert "default-src 'none'" in policy


def test_without_opening_there_is_no_mail(as_role, put):
    uuid = put()
    assert as_role("operator").get(f"/admin/messages/{uuid}/mail").status_code == 302
    assert as_role("operator").get(f"/admin/messages/{uuid}/mail?opened=forged").status_code == 302


@pytest.mark.usefixtures("sender")
def test_the_mail_that_one_person_opened_is_shown_to_no_other(as_role, put):
    opened, other = open_message(as_role("operator"), put()), as_role("admin")
    assert other.get(opened).status_code == 403


@pytest.mark.usefixtures("sender")
def test_who_opened_one_message_is_not_shown_the_mail_of_another(as_role, put):
    one, other = put(), put()
    browser = as_role("operator")
    opened = open_message(browser, one)
    assert browser.get(opened.replace(str(one), str(other))).status_code == 403


@pytest.mark.usefixtures("sender")
def test_a_message_does_not_stay_open_for_ever(as_role, put, monkeypatch):
    browser = as_role("operator")
    opened = open_message(browser, put())
    assert browser.get(opened).status_code == 200
    monkeypatch.setattr(messages, "_OPEN_FOR", timedelta(seconds=-1))
    assert browser.get(opened).status_code == 302


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_who_does_not_run_the_service_changes_and_opens_nothing(as_role, app, put, role):
    uuid = put()
    browser = as_role(role)
    assert browser.post(f"/admin/messages/{uuid}").status_code == 403
    assert browser.get(f"/admin/messages/{uuid}/mail").status_code == 403
    for action in ("cancel", "replay", "mark_sent", "resend", "give_up", "suppress"):
        assert do(browser, action, uuid).status_code == 403
    assert status_of(app, uuid) == "pending"


def test_pending_ones_are_cancelled_and_the_others_are_told(as_role, app, put):
    pending, failed = put(), put(status="failed", last_error="x", last_error_class="content")
    browser = as_role("operator")
    preview = browser.post("/admin/messages/do/cancel", {"selected": [str(pending), str(failed)]})
    assert "Cancel: 1 of 2 messages" in preview.get_data(as_text=True)
    answer = do(browser, "cancel", pending, failed)
    assert "only a pending message can be cancelled" in browser.get(answer.headers["Location"]).get_data(
        as_text=True
    )
    assert (status_of(app, pending), status_of(app, failed)) == ("cancelled", "failed")


def test_what_is_not_there_cannot_be_cancelled(app):
    with pytest.raises(NotFound):
        cancel_by_hand(app.engine, Who(actor="tests"), uuid4(), why="for the test")


def test_a_failed_one_is_replayed_through_another_gateway(as_role, app, put):
    uuid = put(status="failed", last_error="x", last_error_class="transient", attempts=3)
    do(as_role("operator"), "replay", uuid, gateway="postal")
    with app.engine.connect() as conn:
        row = conn.execute(sa.select(message_queue).where(M.uuid == uuid)).one()
    assert (row.status, row.attempts, row.gateway) == ("pending", 0, "postal")


@pytest.mark.parametrize(
    ("action", "state"), [("mark_sent", "sent"), ("resend", "pending"), ("give_up", "failed")]
)
def test_it_is_decided_about_a_held_one(as_role, app, put, action, state):
    uuid = put(priority="P3", status="held")
    do(as_role("operator"), action, uuid)
    assert status_of(app, uuid) == state
    with app.engine.connect() as conn:
        sources = conn.execute(sa.select(delivery_events.c.source)).scalars().all()
    assert sources == ["console"]


def test_a_recipient_is_suppressed(as_role, app, put):
    do(as_role("operator"), "suppress", put())
    with app.engine.connect() as conn:
        row = conn.execute(sa.select(suppression_list)).one()
    assert (row.address, row.channel, row.reason, row.note) == (ADDRESS, "email", "manual", "for the test")


def test_what_is_not_sent_since_its_recipient_is_suppressed_goes_through_nothing(as_role, app, put):
    uuid = put(status="suppressed")
    row = {"channel": "email", "address": ADDRESS.lower(), "reason": "complaint", "source": "ses"}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(suppression_list).values(row))
    page = as_role("operator").get(f"/admin/messages/{uuid}").get_data(as_text=True)
    assert "<dt>Through</dt><dd>nothing: it is not sent</dd>" in page
    assert "do/suppress" not in page


def test_a_failover_tells_from_where_to_where_and_why(as_role, app, put):
    uuid = put(gateway="ses")
    with app.engine.begin() as conn:
        message = conn.execute(sa.select(M.id).where(M.uuid == uuid)).scalar_one()
        event = {"message_id": message, "priority": "P1", "event_type": "failed_over", "source": "worker"}
        why = {"from": "postal", "reason": "it takes nothing now"}
        conn.execute(sa.insert(delivery_events).values(event | {"gateway": "ses", "data": why}))
    page = as_role("operator").get(f"/admin/messages/{uuid}").get_data(as_text=True)
    assert "<strong>failed over</strong> from postal to ses" in page
    assert "postal: it takes nothing now" in page


def test_an_error_without_a_class_is_told_without_one(as_role, put):
    uuid = put(status="suppressed", last_error="the recipient is suppressed: bounce_hard")
    page = as_role("operator").get(f"/admin/messages/{uuid}").get_data(as_text=True)
    assert "<dd>the recipient is suppressed: bounce_hard</dd>" in page


def test_a_message_leads_to_what_suppresses_its_recipient_and_says_whether_it_was_this_one(as_role, app, put):
    uuid, other = put(status="bounced"), put(recipient_address="else@example.com")
    with app.engine.begin() as conn:
        message = conn.execute(sa.select(M.id).where(M.uuid == uuid)).scalar_one()
        row = {"channel": "email", "address": ADDRESS.lower(), "reason": "bounce_hard", "source": "ses"}
        over = {"reason": "complaint", "expires_at": sa.func.now() - timedelta(days=1)}
        for values in (row | {"message_id": message}, row | over):
            conn.execute(sa.insert(suppression_list).values(values))
        number = conn.execute(sa.select(sa.func.min(suppression_list.c.id))).scalar_one()
    browser = as_role("viewer")
    page = browser.get(f"/admin/messages/{uuid}").get_data(as_text=True)
    assert f'<a href="/admin/suppressions/{number}">bounce hard</a>' in page
    assert "because of this message" in page
    assert ">complaint</a>" not in page
    assert "/admin/suppressions/" + str(number) not in browser.get(f"/admin/messages/{other}").text
    assert f'href="/admin/messages/{uuid}"' in browser.get(f"/admin/suppressions/{number}").text


def test_a_message_that_is_not_there_is_404(as_role):
    assert as_role("viewer").get(f"/admin/messages/{uuid4()}").status_code == 404
