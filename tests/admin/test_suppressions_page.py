"""The page Suppressions: searched, added, imported, exported, released; nobody sees more than is theirs."""

import csv
import io
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from admin.formats import NONE
from app.db.tables import api_clients, audit_log, delivery_events, message_queue, suppression_list
from app.services import bounded, suppression_looking
from app.services.audit import Who
from app.services.suppression_looking import SuppressionFilters

ADDRESS = "anna.secret@example.com"
S = suppression_list.c


@pytest.fixture
def put(app):
    """Gives a function that inserts a row and gives its id."""

    def insert(**values):
        row = {"channel": "email", "address": ADDRESS, "reason": "manual", "source": "api", **values}
        with app.engine.begin() as conn:
            return conn.execute(sa.insert(suppression_list).values(row).returning(S.id)).scalar_one()

    return insert


def rows(app):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(suppression_list).order_by(S.id)).all()


def logged(app, action):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(audit_log).where(audit_log.c.action == action)).all()


def release(browser, *ids, why="they asked us to write again"):
    browser.get("/admin/account/")
    fields = {"selected": [str(each) for each in ids], "confirmed": "1", "why": why}
    return browser.post("/admin/suppressions/do/release", fields)


def upload(browser, name, content, why="from the old service"):
    browser.get("/admin/suppressions/import")
    return browser.post("/admin/suppressions/import", {"file": (io.BytesIO(content), name), "why": why})


@pytest.mark.parametrize(
    "query",
    [
        f"address={ADDRESS.upper()}",
        f"address={ADDRESS}&channel=email",
        "reason=complaint",
        "community_id=7",
        "category=news&channel=email",
        "sender=hello@example.com",
    ],
)
def test_a_row_is_found_by_what_is_known_of_it(as_role, put, query):
    wanted = put(reason="complaint", community_id=7, category="news", sender="hello@example.com")
    other = put(address="bo@example.com", channel="all")
    page = as_role("viewer").get(f"/admin/suppressions/?{query}").get_data(as_text=True)
    assert f'/admin/suppressions/{wanted}"' in page
    assert f'/admin/suppressions/{other}"' not in page


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("community_id=x", "must be a whole number"),
        ("reason=why", "must be one of"),
        ("after=x", "not one of ours"),
    ],
)
def test_what_cannot_be_looked_for_is_said(as_role, query, words):
    assert words in as_role("viewer").get(f"/admin/suppressions/?{query}").get_data(as_text=True)


def test_a_look_that_no_index_leads_is_bounded_and_goes_on_behind(app, put, monkeypatch):
    old = put(reason="legal")
    for number in range(4):
        put(address=f"reader{number}@example.com")
    monkeypatch.setattr(bounded.page_of, "__kwdefaults__", {"size": 3})
    wanted = SuppressionFilters(reason="legal")
    found, behind = suppression_looking.look(app.engine, wanted, None)
    assert (list(found), behind is None) == ([], False)
    found, behind = suppression_looking.look(app.engine, wanted, None, cursor=behind)
    assert ([row.id for row in found], behind) == ([old], None)


def test_pages_follow_each_other_without_a_gap(app, put):
    made = [put(address=f"reader{number}@example.com") for number in range(5)]
    first, behind = suppression_looking.look(app.engine, SuppressionFilters(), None, limit=3)
    second, end = suppression_looking.look(app.engine, SuppressionFilters(), None, cursor=behind, limit=3)
    assert ([row.id for row in (*first, *second)], end) == (made[::-1], None)


@pytest.mark.parametrize("role", ["viewer", "editor", "operator", "admin"])
def test_nobody_sees_an_address_unasked(as_role, put, role):
    number = put()
    browser = as_role(role)
    for path in ("/admin/suppressions/", f"/admin/suppressions/{number}"):
        page = browser.get(path).get_data(as_text=True)
        assert "a…@example.com" in page
        assert ADDRESS not in page


def test_who_opens_an_address_sees_it_and_is_noted(as_role, app, put):
    number = put()
    browser = as_role("operator")
    browser.get(f"/admin/suppressions/{number}")
    assert ADDRESS in browser.post(f"/admin/suppressions/{number}").get_data(as_text=True)
    (entry,) = logged(app, "suppression.open")
    assert (entry.actor, entry.target) == ("console/operator@example.com", f"suppression:{number}")


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_who_does_not_run_the_service_opens_and_changes_nothing(as_role, app, put, role):
    number = put()
    browser = as_role(role)
    assert browser.post(f"/admin/suppressions/{number}").status_code == 403
    assert release(browser, number).status_code == 403
    for path in ("new", "import", "export", "export-all"):
        assert browser.post(f"/admin/suppressions/{path}").status_code == 403
    assert [row.id for row in rows(app)] == [number]


def test_why_a_row_is_there_leads_to_the_message_and_its_event(as_role, app, put):
    message, uuid = refused_message(app)
    number = put(message_id=message, reason="bounce_hard", source="ses")
    page = as_role("viewer").get(f"/admin/suppressions/{number}").get_data(as_text=True)
    assert f'href="/admin/messages/{uuid}"' in page
    assert "550 5.1.1 No such user" in page
    gone = put(message_id=4711, reason="complaint")
    assert "no longer kept" in as_role("viewer").get(f"/admin/suppressions/{gone}").get_data(as_text=True)


def test_a_row_of_no_message_leads_to_what_was_sent_to_the_address(as_role, app, put):
    _message, uuid = refused_message(app)
    with app.engine.connect() as conn:
        query = sa.select(message_queue.c.recipient_address).where(message_queue.c.uuid == uuid)
        address = conn.execute(query).scalar_one()
    place = f"/admin/suppressions/{put(address=address)}"
    page = as_role("viewer").get(place).get_data(as_text=True)
    assert f'href="/admin/messages/{uuid}"' in page
    assert f'<td data-label="Through">{NONE}</td>' not in page
    with app.engine.begin() as conn:
        conn.execute(sa.update(message_queue).values(status="suppressed"))
    assert f'<td data-label="Through">{NONE}</td>' in as_role("viewer").get(place).get_data(as_text=True)


def test_somebody_is_suppressed(as_role, app):
    browser = as_role("operator")
    browser.get("/admin/suppressions/new")
    said = {
        "address": f" {ADDRESS.upper()} ", "channel": "email", "reason": "legal", "why": "a letter came",
        "community_id": "7", "category": "news", "expires_at": "2031-05-31",
    }  # fmt: skip
    answer = browser.post("/admin/suppressions/new", said)
    (row,) = rows(app)
    assert answer.headers["Location"] == f"/admin/suppressions/{row.id}"
    assert (row.address, row.channel, row.reason, row.source) == (ADDRESS, "email", "legal", "console")
    assert (row.community_id, row.category, row.note) == (7, "news", "a letter came")
    assert row.expires_at == datetime(2031, 6, 1, tzinfo=UTC)
    (entry,) = logged(app, "suppression.add")
    assert (entry.actor, entry.why) == ("console/operator@example.com", "a letter came")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"address": "nobody"}, "f-address"),
        ({"why": " "}, "Say why"),
        ({"channel": "fax"}, "must be one of"),
        ({"community_id": "many"}, "must be a whole number"),
        ({"expires_at": "soon"}, "must be a day"),
    ],
)
def test_what_cannot_be_suppressed_is_said_beside_its_field(as_role, app, wrong, words):
    browser = as_role("operator")
    browser.get("/admin/suppressions/new")
    said = {"address": ADDRESS, "channel": "email", "reason": "manual", "why": "so", **wrong}
    answer = browser.post("/admin/suppressions/new", said)
    assert answer.status_code == 422
    assert 'class="fault"' in answer.get_data(as_text=True)
    assert words in answer.get_data(as_text=True)
    assert rows(app) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", b"channel,address\nemail,a@example.com\nemail,nobody\nemail,a@example.com\n"),
        (
            "list.ndjson",
            b'{"channel":"email","address":"a@example.com"}\n{"channel":"email","address":"x"}\n',
        ),
    ],
)
def test_a_file_is_imported_and_its_bad_lines_are_told(as_role, app, name, content):
    page = upload(as_role("operator"), name, content).get_data(as_text=True)
    assert [(row.address, row.source) for row in rows(app)] == [("a@example.com", "import")]
    assert "Refused lines" in page
    (entry,) = logged(app, "suppression.import")
    assert (entry.actor, entry.why) == ("console/operator@example.com", "from the old service")


def test_a_file_that_is_none_is_refused(as_role, app):
    browser = as_role("operator")
    browser.get("/admin/suppressions/import")
    assert "Choose a file" in browser.post("/admin/suppressions/import", {"why": "x"}).get_data(as_text=True)
    answer = upload(browser, "list.csv", b"name\nanna\n")
    assert answer.status_code == 422
    assert "address among them" in answer.get_data(as_text=True)
    assert rows(app) == []


def test_what_fits_is_exported_without_formulas(as_role, app, put):
    put(address="+41791234567", channel="sms", note="=1+1")
    put(address="bo@example.com", reason="legal")
    browser = as_role("operator")
    answer = browser.post("/admin/suppressions/export", {"channel": "sms"})
    (line,) = csv.DictReader(io.StringIO(answer.get_data(as_text=True)))
    assert (line["address"], line["note"]) == ("'+41791234567", "'=1+1")
    (entry,) = logged(app, "suppression.export")
    assert entry.after == {"filters": {"channel": "sms"}}


def test_an_export_is_bounded_and_goes_over_pages(app, put, monkeypatch):
    made = [put(address=f"reader{number}@example.com") for number in range(5)]
    monkeypatch.setattr(suppression_looking, "_CHUNK", 2)
    monkeypatch.setattr(suppression_looking, "MOST_EXPORTED", 4)
    found = suppression_looking.export(app.engine, Who(actor="tests"), SuppressionFilters(), None)
    assert [row.id for row in found] == made[:0:-1]


def test_the_whole_list_is_exported_as_it_is_imported(as_role, app, put):
    put()
    browser = as_role("operator")
    content = browser.post("/admin/suppressions/export-all").get_data()
    assert b'"address":"anna.secret@example.com"' in content
    assert len(logged(app, "suppression.export")) == 1
    page = upload(browser, "again.ndjson", content).get_data(as_text=True)
    assert "Known already" in page
    assert len(rows(app)) == 1


def test_the_log_of_an_export_has_no_address(as_role, app, put):
    put()
    as_role("operator").post("/admin/suppressions/export", {"address": ADDRESS})
    (entry,) = logged(app, "suppression.export")
    assert ADDRESS not in str(entry)


def test_a_release_says_what_it_does_and_does_it(as_role, app, put):
    kept, first, second = put(), put(reason="complaint"), put(address="bo@example.com")
    browser = as_role("operator")
    preview = browser.post("/admin/suppressions/do/release", {"selected": [str(first), str(second)]})
    assert "Release 2 of 2?" in preview.get_data(as_text=True)
    assert "1 asked not to be contacted" in preview.get_data(as_text=True)
    release(browser, first, second)
    assert [row.id for row in rows(app)] == [kept]
    assert {entry.why for entry in logged(app, "suppression.release")} == {"they asked us to write again"}


def test_nothing_is_released_without_a_reason(as_role, app, put):
    number = put()
    assert "Say why" in release(as_role("operator"), number, why=" ").get_data(as_text=True)
    assert [row.id for row in rows(app)] == [number]


def test_a_row_that_is_not_there_is_404(as_role):
    assert as_role("viewer").get("/admin/suppressions/4711").status_code == 404


def refused_message(app):
    with app.engine.begin() as conn:
        client = conn.execute(
            sa.insert(api_clients).values(name="shop").returning(api_clients.c.id)
        ).scalar_one()
        values = {
            "priority": "P3", "message_type": "campaign", "client_id": client, "channel": "email",
            "recipient_address": ADDRESS, "subject": "Spring", "body_text": "x", "gateway": "ses",
            "status": "bounced", "scheduled_for": sa.func.now(), "expires_at": sa.func.now(),
            "max_attempts": 3,
        }  # fmt: skip
        made = sa.insert(message_queue).values(values).returning(message_queue.c.id, message_queue.c.uuid)
        row = conn.execute(made).one()
        conn.execute(
            sa.insert(delivery_events).values(
                message_id=row.id, priority="P3", event_type="bounced", gateway="ses", source="ses",
                detail="550 5.1.1 No such user",
            )
        )  # fmt: skip
    return row.id, row.uuid
