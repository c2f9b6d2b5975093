"""What is kept about a person: given out whole, or erased wherever it stands."""

import json

import psycopg
import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, device_tokens, inbound_messages, message_queue, webhook_inbox
from app.domain.vocabulary import Priority
from app.errors import Invalid, NotFound
from app.services import recipients
from app.services.recipients import RecipientService
from app.services.sending.lane import work
from tests.services.dead_letters.conftest import ALICE

ADA = "Ada@example.com"


@pytest.fixture
def people(desk):
    return RecipientService(desk.world.tools.engine)


def erase(people, address=ADA, **changes):
    return people.erase(ALICE, address, **{"why": "she asked for it", **changes})


def exported(people, address):
    return [json.loads(line) for line in people.export(ALICE, address)]


def everything(owner_url):
    """Give all text in the database, but what the migrations keep."""
    with psycopg.connect(owner_url.replace("+psycopg", "")) as conn:
        tables = conn.execute(
            "SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relkind = 'r'"
            " AND c.relnamespace = 'public'::regnamespace"
        ).fetchall()
        return {
            name: "\n".join(str(row[0]) for row in conn.execute(f"SELECT t::text FROM {name} AS t"))
            for (name,) in tables
        }


def letter(world, body):
    row = {"gateway": "postal", "url": "https://x/?to=ada", "headers": {}, "body": body}
    made = sa.insert(webhook_inbox).values(row | {"processed_at": sa.func.now()})
    return world.execute(made.returning(webhook_inbox.c.id)).scalar_one()


def test_nothing_of_an_erased_person_is_left_anywhere(desk, people, owner_url):
    world = desk.world
    for status in ("sent", "failed", "pending", "held", "delivered"):
        message = desk.put(status, recipient_address=ADA, subject="Dear Ada", content_data={"n": "Ada"})
    inbox = letter(world, b"told of Ada@example.com")
    world.execute(
        sa.text(
            "INSERT INTO delivery_events (message_id, priority, event_type, source, inbox_id)"
            f" VALUES ({message.id}, 'P3', 'delivered', 'postal', {inbox})"
        )
    )
    erased = erase(people)
    assert (erased.messages, erased.cancelled, erased.in_flight, erased.webhooks) == (5, 2, 0, 1)
    found = {name for name, text in everything(owner_url).items() if "ada@example" in text.lower()}
    assert found == set()


def test_rows_and_counts_stay_under_one_name(desk, people):
    messages = [desk.put("sent", recipient_address=address) for address in (ADA, "ada@example.com")]
    other = desk.put("sent", recipient_address="bob@example.com")
    erased = erase(people, "ADA@example.com")
    assert {desk.world.row(message).recipient_address for message in messages} == {erased.name}
    assert desk.world.statuses(messages) == {"sent": 2}
    assert desk.world.row(other).recipient_address == "bob@example.com"


def test_two_erasures_of_the_same_address_cannot_be_told_to_be_of_one(desk, people):
    names = set()
    for _ in range(2):
        desk.put("sent", recipient_address=ADA)
        names.add(erase(people).name)
    assert len(names) == 2


def test_what_waits_is_cancelled_and_never_sent(desk, people):
    message = desk.put("pending", recipient_address=ADA)
    erase(people)
    assert work(desk.world.tools, Priority.P3, sweep=True) == 0
    assert desk.world.row(message).status == "cancelled"
    assert desk.world.history(message) == ["queued", "cancelled"]


def test_what_a_worker_has_is_told_of_and_erased_the_next_time(desk, people):
    message = desk.put("processing", recipient_address=ADA)
    assert erase(people).in_flight == 1
    desk.world.change(message, status="sent", sent_at=sa.func.now(), locked_by=None, locked_at=None)
    assert erase(people).messages == 1


def test_the_person_stays_suppressed(desk, people):
    desk.world.suppress("ada@example.com", reason="unsubscribe")
    assert erase(people).suppressions_kept == 1
    message = desk.put("pending", recipient_address=ADA)
    work(desk.world.tools, Priority.P3, sweep=True)
    assert desk.world.row(message).status == "suppressed"


def test_what_came_from_a_number_and_its_device_are_erased(desk, people):
    world = desk.world
    row = {"channel": "sms", "gateway": "twilio", "sender_address": "+15550100001"}
    inbox = letter(world, b"From=%2B15550100001")
    world.execute(
        sa.insert(inbound_messages).values(
            **row, recipient_address="+15550100100", body="I am Ada", inbox_id=inbox
        )
    )
    world.execute(sa.insert(device_tokens).values(token="tok:Ada", platform="fcm", recipient_id=7))
    assert (erase(people, "+1 555 010 0001").inbound, erase(people, "tok:Ada").devices) == (1, 1)
    [kept] = world.all(sa.select(inbound_messages))
    assert (kept.body, kept.sender_address.startswith("erased-")) == (None, True)
    [device] = world.all(sa.select(device_tokens))
    assert (device.recipient_id, device.deactivated_at is not None) == (0, True)
    [told] = world.all(sa.select(webhook_inbox))
    assert (told.body, told.url) == (None, "")


def test_a_token_in_other_letters_is_another_device(desk, people):
    message = desk.put("sent", channel="push", recipient_address="tokABC")
    with pytest.raises(NotFound):
        erase(people, "tokabc")
    assert desk.world.row(message).recipient_address == "tokABC"


def test_who_erased_and_why_is_kept_without_the_address(desk, people):
    desk.put("sent", recipient_address=ADA)
    erased = erase(people)
    [line] = desk.audited("recipient.erase")
    assert (line.actor, line.why, line.target) == (
        "alice",
        "she asked for it",
        f"recipient:{erased.name}",
    )
    assert line.after["messages"] == 1


def test_an_erasure_needs_a_reason_and_somebody_to_erase(desk, people):
    desk.put("sent", recipient_address=ADA)
    with pytest.raises(Invalid):
        erase(people, why=" ")
    with pytest.raises(NotFound):
        erase(people, "nobody@example.com")
    assert desk.world.all(sa.select(message_queue.c.recipient_address)) == [(ADA,)]


def test_all_that_is_kept_is_given_out(desk, people):
    desk.put("sent", recipient_address=ADA, body_text="Hello Ada")
    desk.put("sent", recipient_address="bob@example.com")
    desk.world.suppress("ada@example.com", reason="complaint")
    lines = exported(people, "ada@example.com")
    assert [line["kind"] for line in lines] == ["message", "suppression"]
    assert (lines[0]["body_text"], lines[0]["events"][0]["event_type"]) == ("Hello Ada", "queued")
    assert lines[1]["reason"] == "complaint"
    with pytest.raises(NotFound):
        exported(people, "nobody@example.com")


def test_however_much_is_kept_all_of_it_is_given_out(desk, people, monkeypatch):
    monkeypatch.setattr(recipients, "AT_A_TIME", 2)
    for _ in range(5):
        desk.put("sent", recipient_address=ADA)
    lines = exported(people, ADA)
    assert len({line["uuid"] for line in lines}) == len(lines) == 5


def test_what_is_suppressed_everywhere_stays_so_and_is_given_out_too(desk, people):
    desk.world.suppress("ada@example.com", channel="all")
    assert [line["kind"] for line in exported(people, ADA)] == ["suppression"]
    assert erase(people).suppressions_kept == 1


def test_that_it_was_given_out_is_kept_without_the_address(desk, people):
    desk.put("sent", recipient_address=ADA)
    exported(people, ADA)
    [line] = desk.world.all(sa.select(audit_log).where(audit_log.c.action == "recipient.export"))
    assert (line.actor, "ada" in line.target.lower()) == ("alice", False)


def test_what_was_erased_is_never_sent_though_it_is_replayed(desk, people):
    message = desk.put("failed", recipient_address=ADA)
    erase(people)
    desk.letters.replay_one(ALICE, message.uuid, owner=None, why="it is mended")
    work(desk.world.tools, Priority.P3, sweep=True)
    assert desk.world.row(message).status == "cancelled"
    assert desk.world.history(message)[-2:] == ["replayed", "cancelled"]
    assert desk.world.gateways.requests("postal") == 0
