"""The pages Batches and Upload: progress, pausing, cancelling; a list is tried before anything is sent."""

import io
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from werkzeug.datastructures import FileStorage
from werkzeug.test import stream_encode_multipart

from app.db.tables import (
    audit_log,
    batch_rejects,
    batch_staging,
    controls,
    message_batches,
    message_queue,
    suppression_list,
)
from app.domain.vocabulary import Channel, MessageType
from app.services.audit import Who
from app.services.batch_desk import BatchFilters
from app.services.expansion import expand
from app.services.limit_rows import LimitDraft, LimitType
from app.services.senders import SenderDraft, SenderService
from app.services.templates import TemplateDraft

B = message_batches.c
LIST = b"""email,customer_id,first
anna@example.com,7,Anna
bo@example.com,8,Bo
nobody,9,No
BO@example.com,8,Bo
"""
SAID = {"channel": "email", "message_type": "campaign", "subject": "Spring", "body_text": "Spring is here."}
CHOSEN = {"column0": "address", "column1": "id", "column2": "data"}


@pytest.fixture(autouse=True)
def sender(app):
    draft = SenderDraft(address="hello@example.com", default_for=tuple(MessageType))
    SenderService(app.engine, app.catalog).save(Who(actor="tests"), Channel.EMAIL, "hello", draft)


@pytest.fixture
def put(app):
    """Gives a function that makes a batch with some messages and gives its uuid."""
    shop = sa.text("INSERT INTO api_clients (name) VALUES ('shop') RETURNING id")
    with app.engine.begin() as conn:
        client = conn.execute(shop).scalar_one()

    def insert(*, messages=2, **values):
        row = {
            "client_id": client, "priority": "P3", "message_type": "campaign", "channel": "email",
            "subject": "Spring", "body_text": "x", "state": "expanded", "received": messages + 1,
            "invalid": 1, "queued": messages, "pending": messages, "accepted_at": sa.func.now(), **values,
        }  # fmt: skip
        with app.engine.begin() as conn:
            batch = conn.execute(sa.insert(message_batches).values(row).returning(B.id, B.uuid)).one()
            conn.execute(
                sa.insert(batch_rejects).values(batch_id=batch.id, line=3, reason="=address: is missing")
            )
            made = [
                conn.execute(message(batch.id, client, number)).scalar_one() for number in range(messages)
            ]
            if made:
                ids = {"first_id": min(made), "last_id": max(made)}
                conn.execute(sa.update(message_batches).where(B.id == batch.id).values(ids))
        return batch.uuid

    return insert


def message(batch, client, number):
    return (
        sa.insert(message_queue)
        .values(
            priority="P3", message_type="campaign", client_id=client, batch_id=batch, channel="email",
            recipient_address=f"reader{number}@example.com", subject="x", body_text="x", gateway="postal",
            scheduled_for=sa.func.now(), expires_at=sa.func.now() + timedelta(hours=1), max_attempts=3,
        )
        .returning(message_queue.c.id)
    )  # fmt: skip


def do(browser, action, uuid, why="for the test"):
    browser.get("/admin/account/")
    fields = {"selected": str(uuid), "confirmed": "1", "why": why}
    return browser.post(f"/admin/batches/do/{action}", fields)


def upload(browser, content=LIST, said=SAID, name="list.csv"):
    browser.get("/admin/batch-upload/")
    return browser.post("/admin/batch-upload/", {**said, "list": (io.BytesIO(content), name)})


def uploaded(browser, content=LIST, said=SAID):
    """Upload a list; gives the place of its columns."""
    answer = upload(browser, content, said)
    assert answer.status_code == 302, answer.get_data(as_text=True)
    return answer.headers["Location"]


def figures(page):
    named = re.findall(r'figure-name">([^<]+)</p><p class="figure-value">([^<]+)<', page)
    return dict(named)


def logged(app, action):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(audit_log).where(audit_log.c.action == action)).all()


def batches(app):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(message_batches)).all()


def statuses(app):
    with app.engine.connect() as conn:
        return sorted(conn.execute(sa.select(message_queue.c.status)).scalars())


def test_batches_are_found_by_state_and_client(as_role, put):
    running, finished = put(), put(state="finished", messages=0, received=1, finished_at=sa.func.now())
    browser = as_role("viewer")
    for query, wanted, other in (
        ("state=finished", finished, running),
        ("state=expanded", running, finished),
    ):
        page = browser.get(f"/admin/batches/?client=shop&{query}").get_data(as_text=True)
        assert str(wanted) in page
        assert str(other) not in page
    assert str(running) not in browser.get("/admin/batches/?client=console").get_data(as_text=True)
    assert "must be one of" in browser.get("/admin/batches/?state=lost").get_data(as_text=True)


def test_an_upload_that_was_not_accepted_is_no_batch_yet(as_role, put):
    uuid = put(state="uploading", accepted_at=None)
    assert str(uuid) not in as_role("viewer").get("/admin/batches/").get_data(as_text=True)
    assert as_role("viewer").get(f"/admin/batches/{uuid}").status_code == 404


def test_pages_follow_each_other_without_a_gap(app, put):
    made = [put(messages=0) for _ in range(5)]
    first, behind = app.batch_desk.look(BatchFilters(), limit=3)
    second, end = app.batch_desk.look(BatchFilters(), cursor=behind, limit=3)
    assert ([row.uuid for row in (*first, *second)], end) == (made[::-1], None)


def test_a_batch_tells_how_far_it_is_and_what_was_refused(as_role, put):
    uuid = put(messages=1, received=5, sent=3)
    page = as_role("viewer").get(f"/admin/batches/{uuid}").get_data(as_text=True)
    assert figures(page)["Messages"] == "4"
    assert figures(page)["Still to go"] == "1"
    assert "75.0 %" in page
    assert "is missing" in page
    assert f"/admin/messages/?batch={uuid}&amp;status=sent" in page


@pytest.mark.parametrize("scope", ["batch", "all"])
def test_a_pause_counts_neither_in_the_rate_nor_in_the_expected_end(as_role, app, put, scope):
    hour = sa.text("now() - interval '60 minutes'")
    uuid = put(messages=600, received=1201, sent=600, queued=1200, accepted_at=hour)
    (batch,) = batches(app)
    stop = {
        "scope": scope, "scope_key": str(batch.id) if scope == "batch" else None,
        "who": "tests", "why": "to see",
        "from_at": sa.text("now() - interval '59 minutes'"),
        "lifted_at": sa.text("now() - interval '9 minutes'"),
    }  # fmt: skip
    with app.engine.begin() as conn:
        conn.execute(sa.insert(controls).values(stop))
        # Another at the same time: it is one pause.
        conn.execute(sa.insert(controls).values(stop))
    view = app.batch_desk.progress(uuid)
    assert view.rate == pytest.approx(1, abs=0.05)
    assert view.expected_end - datetime.now(UTC) < timedelta(minutes=11)
    assert figures(as_role("viewer").get(f"/admin/batches/{uuid}").get_data(as_text=True))["Rate"] == "1.0 /s"


def test_refused_rows_are_taken_along_without_formulas(as_role, put):
    answer = as_role("viewer").get(f"/admin/batches/{put()}/rejects")
    assert answer.get_data(as_text=True).splitlines() == ["line,reason", "3,'=address: is missing"]
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"


def test_a_batch_is_paused_and_goes_on(as_role, app, put):
    uuid = put()
    browser = as_role("operator")
    preview = browser.post("/admin/batches/do/pause", {"selected": str(uuid)}).get_data(as_text=True)
    assert re.search(r"Wait to be sent</dt>\s*<dd>2<", preview)
    do(browser, "pause", uuid)
    with app.engine.connect() as conn:
        stop = conn.execute(sa.select(controls)).one()
    batch_id = batches(app)[0].id
    assert (stop.procedure, stop.scope, stop.scope_key) == ("stop", "batch", str(batch_id))
    assert (stop.who, stop.why, stop.lifted_at) == ("console/operator@example.com", "for the test", None)
    assert "Paused by" in browser.get(f"/admin/batches/{uuid}").get_data(as_text=True)
    do(browser, "pause", uuid)
    do(browser, "resume", uuid)
    with app.engine.connect() as conn:
        assert [row.lifted_by for row in conn.execute(sa.select(controls))] == [
            "console/operator@example.com"
        ]
    assert "Paused by" not in browser.get(f"/admin/batches/{uuid}").get_data(as_text=True)


def test_every_page_names_a_paused_batch_and_leads_to_it(as_role, put):
    uuid = put()
    browser = as_role("operator")
    do(browser, "pause", uuid)
    page = browser.get("/admin/gateways/").get_data(as_text=True)
    assert "Paused: batch Spring, by console/operator@example.com: for the test" in page
    assert f'<a href="/admin/batches/{uuid}">Open the batch</a>' in page


def test_what_is_over_cannot_be_paused_though_it_was_not_when_asked(as_role, app, put):
    uuid = put(pending=0, sent=2, state="finished")
    browser = as_role("operator")
    answer = do(browser, "pause", uuid)
    assert "nothing of it is left to pause" in browser.get(answer.headers["Location"]).get_data(as_text=True)
    with app.engine.connect() as conn:
        assert conn.execute(sa.select(controls)).all() == []


def test_while_workers_have_all_of_it_cancelling_is_offered_and_says_that_nothing_waits(as_role, app, put):
    uuid = put(pending=0, processing=2)
    browser = as_role("operator")
    assert "do/cancel" in browser.get(f"/admin/batches/{uuid}").get_data(as_text=True)
    preview = browser.post("/admin/batches/do/cancel", {"selected": str(uuid)}).get_data(as_text=True)
    assert "Nothing waits just now." in preview
    assert "Workers have all that is left." in preview


def test_what_waits_is_cancelled(as_role, app, put):
    uuid = put(messages=3)
    browser = as_role("operator")
    preview = browser.post("/admin/batches/do/cancel", {"selected": str(uuid)}).get_data(as_text=True)
    assert "Cancel 3 messages that wait?" in preview
    assert statuses(app) == ["pending"] * 3
    do(browser, "cancel", uuid)
    assert statuses(app) == ["cancelled"] * 3
    (entry,) = logged(app, "batch.cancel")
    assert (entry.actor, entry.target, entry.why) == (
        "console/operator@example.com", f"batch:{uuid}", "for the test",
    )  # fmt: skip


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_who_does_not_run_the_service_changes_and_uploads_nothing(as_role, app, put, role):
    uuid = put()
    browser = as_role(role)
    for action in ("pause", "resume", "cancel"):
        assert do(browser, action, uuid).status_code == 403
    assert browser.get("/admin/batch-upload/").status_code == 403
    assert browser.post("/admin/batch-upload/", SAID).status_code == 403
    for step in ("x", "x/send"):
        assert browser.post(f"/admin/batch-upload/{step}", CHOSEN).status_code == 403
    assert (statuses(app), len(batches(app))) == (["pending"] * 2, 1)


def test_the_first_rows_are_shown_and_the_columns_guessed(as_role):
    browser = as_role("operator")
    page = browser.get(uploaded(browser)).get_data(as_text=True)
    guessed = re.findall(r'<option value="([^"]*)" selected>', page)
    assert guessed == ["address", "id", "data"]
    assert "Anna" in page
    assert "a…@example.com" in page
    assert "anna@example.com" not in page


@pytest.mark.parametrize("sign", [";", "\t"])
def test_other_separators_are_understood(as_role, sign):
    browser = as_role("operator")
    place = uploaded(browser, LIST.replace(b",", sign.encode()))
    assert figures(browser.post(place, CHOSEN).get_data(as_text=True))["Would be sent"] == "2"


def test_a_trial_tells_what_would_become_of_the_rows_and_sends_nothing(as_role, app):
    with app.engine.begin() as conn:
        row = {"channel": "all", "address": "anna@example.com", "reason": "legal", "source": "api"}
        conn.execute(sa.insert(suppression_list).values(row))
    browser = as_role("operator")
    page = browser.post(uploaded(browser), CHOSEN).get_data(as_text=True)
    assert figures(page) == {
        "Would be sent": "1", "Cannot be sent": "1", "The same address again": "1", "Suppressed": "1",
    }  # fmt: skip
    assert "all 4 rows" in page
    with app.engine.connect() as conn:
        assert conn.execute(sa.select(batch_staging)).all() == []
    assert batches(app) == []


def test_a_trial_and_the_answer_say_which_limits_are_too_small(as_role, app):
    app.limits.set(Who(actor="ann"), LimitType.DOMAIN, "example.com", LimitDraft(max_per_day=1))
    browser = as_role("operator")
    place = uploaded(browser)
    words = "At most 1 of 3 messages"
    assert words in browser.post(place, CHOSEN).get_data(as_text=True)
    sent = browser.post(f"{place}/send", {**CHOSEN, "why": "for the test"}, follow_redirects=True)
    assert words in sent.get_data(as_text=True)


def test_a_trial_is_bounded(as_role, monkeypatch):
    monkeypatch.setattr("app.services.bulk_trial.MOST", 2)
    browser = as_role("operator")
    page = browser.post(uploaded(browser), CHOSEN).get_data(as_text=True)
    assert "the first 2 rows" in page
    assert "and all behind them" in page


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({**CHOSEN, "column0": "data"}, "which column is the address"),
        ({**CHOSEN, "column1": "address"}, "cannot both be"),
        ({**CHOSEN, "column1": "nonsense"}, "must be one of"),
    ],
)
def test_columns_that_cannot_be_are_told(as_role, chosen, words):
    browser = as_role("operator")
    answer = browser.post(uploaded(browser), chosen)
    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True)


def test_what_was_tried_is_sent_once(as_role, app):
    browser = as_role("operator")
    place = uploaded(browser)
    browser.post(place, CHOSEN)
    answers = [browser.post(f"{place}/send", {**CHOSEN, "why": "spring"}) for _ in range(2)]
    (batch,) = batches(app)
    assert {answer.headers["Location"] for answer in answers} == {f"/admin/batches/{batch.uuid}"}
    assert (batch.received, batch.invalid, batch.duplicate, batch.subject) == (4, 1, 1, "Spring")
    (entry,) = logged(app, "batch.send")
    assert (entry.actor, entry.target, entry.why) == (
        "console/operator@example.com", f"batch:{batch.uuid}", "spring",
    )  # fmt: skip
    assert entry.after["list"] == "list.csv"
    expand(app.engine, app.catalog, app.wake, app.settings.lanes, batch.id)
    with app.engine.connect() as conn:
        made = conn.execute(sa.select(message_queue).order_by(message_queue.c.id)).all()
    assert [(row.recipient_address, row.recipient_id, row.content_data) for row in made] == [
        ("anna@example.com", 7, {"first": "Anna"}),
        ("bo@example.com", 8, {"first": "Bo"}),
    ]


def test_nothing_is_sent_without_a_reason(as_role, app):
    browser = as_role("operator")
    place = uploaded(browser)
    browser.get(place)
    answer = browser.post(f"{place}/send", CHOSEN)
    assert (answer.status_code, batches(app)) == (422, [])
    assert "Say why" in answer.get_data(as_text=True)


def test_a_template_is_filled_and_its_missing_data_told(as_role, app):
    draft = TemplateDraft(name="Spring", subject="Dear {{ first }}", body_text="Dear {{ first }}")
    version = app.templates.save(Who(actor="tests"), "spring", Channel.EMAIL, draft)
    assert version.version == 1
    browser = as_role("operator")
    said = {"channel": "email", "message_type": "campaign", "template": "spring"}
    place = uploaded(browser, said=said)
    assert figures(browser.post(place, CHOSEN).get_data(as_text=True))["Would be sent"] == "2"
    page = browser.post(place, {**CHOSEN, "column2": ""}).get_data(as_text=True)
    assert figures(page)["Would be sent"] == "0"
    assert "first" in page


def test_a_time_is_taken_in_the_zone_of_whoever_says_it(as_role, app):
    browser = as_role("operator")
    day = datetime.now(UTC) + timedelta(days=2)
    said = {**SAID, "scheduled_for": f"{day:%Y-%m-%d}T12:00", "scheduled_offset": "120"}
    place = uploaded(browser, said=said)
    browser.post(place, CHOSEN)
    browser.post(f"{place}/send", {**CHOSEN, "why": "spring"})
    (batch,) = batches(app)
    assert batch.scheduled_for == day.replace(hour=10, minute=0, second=0, microsecond=0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"channel": "fax"}, "must be one of"),
        ({"message_type": ""}, "is missing"),
        ({"template": "nowhere", "subject": "", "body_text": ""}, "nowhere"),
        ({"sender": "nobody"}, "no such sender"),
        ({"scheduled_for": "soon"}, "must be a time"),
        ({"channel": "sms"}, "no gateway"),
    ],
)
def test_what_cannot_be_sent_is_said_before_the_columns(as_role, wrong, words):
    answer = upload(as_role("operator"), said={**SAID, **wrong})
    assert answer.status_code in (409, 422)
    assert words in answer.get_data(as_text=True).lower()


@pytest.mark.parametrize("content", [b"", b"a,a\n1,2\n", b"\xff\xfe,b\n"])
def test_a_list_without_names_of_columns_is_refused(as_role, content):
    browser = as_role("operator")
    assert browser.get(uploaded(browser, content)).status_code == 422


def test_without_a_list_nothing_goes_on(as_role):
    browser = as_role("operator")
    browser.get("/admin/batch-upload/")
    assert "Choose a file" in browser.post("/admin/batch-upload/", SAID).get_data(as_text=True)


def test_a_list_is_larger_than_other_forms_and_bounded_too(as_role):
    browser = as_role("operator")
    browser.get("/admin/batch-upload/")
    assert send_large(browser, "/admin/batch-upload/", 3_000_000) == 302
    assert send_large(browser, "/admin/batch-upload/", 9_000_000) == 413
    assert send_large(browser, "/admin/suppressions/import", 3_000_000) == 413


def send_large(browser, path, size):
    """Send a list of some bytes; gives the status. Encoded here, since the client leaves a file open."""
    content = LIST + b"reader@example.com,7,Anna\n" * (size // 26)
    fields = {**SAID, "why": "x", "csrf_token": browser.token}
    fields["list"] = FileStorage(io.BytesIO(content), "list.csv")
    stream, _, boundary = stream_encode_multipart(fields, use_tempfile=False)
    kind = f"multipart/form-data; boundary={boundary}"
    with browser.client.post(path, data=stream.read(), content_type=kind) as answer:
        return answer.status_code


def test_an_upload_is_its_persons_alone_and_ends(as_role, app):
    place = uploaded(as_role("operator"))
    other = as_role("admin")
    assert other.get(place).status_code == 404
    assert other.post(f"{place}/send", {**CHOSEN, "why": "x"}).status_code == 404
    (key,) = [key for key in app.redis.scan_iter("console:upload:*") if app.redis.type(key) == "string"]
    assert 0 < app.redis.ttl(key) <= 3600
    app.redis.delete(key)
    assert as_role("operator").get(place).status_code == 404


def test_a_batch_that_is_not_there_is_404(as_role):
    assert as_role("viewer").get(f"/admin/batches/{uuid4()}").status_code == 404
