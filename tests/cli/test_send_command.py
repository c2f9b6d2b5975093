import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

HELLO = ("--subject", "Hello", "--text", "Hello Anna")


@pytest.fixture
def sent(app, tocsin):
    """Sends to anna@example.com with more options; gives what was printed as JSON."""

    def sent(*more):
        said = tocsin("send", "--to", "anna@example.com", "--json", *more)
        assert said.code == 0, said.err
        return said.json

    return sent


def test_a_message_is_accepted_and_can_be_looked_at(sent, tocsin):
    accepted = sent(*HELLO)
    assert (accepted["status"], accepted["priority"], accepted["gateway"]) == ("pending", "P4", "postal")
    seen = tocsin("status", accepted["uuid"], "--json").json
    assert seen["recipient_address"] == "anna@example.com"
    assert [event["event_type"] for event in seen["events"]] == ["queued"]


def test_a_message_and_its_history_are_shown_to_people_with_the_address(sent, tocsin):
    said = tocsin("status", sent(*HELLO)["uuid"])
    assert said.code == 0
    assert "anna@example.com" in said.out
    assert "queued" in said.out


@pytest.mark.parametrize(
    ("kind", "priority"),
    [("emergency", "P0"), ("alert", "P1"), ("newsletter", "P2"), ("campaign", "P3"), ("transactional", "P4")],
)
def test_each_type_goes_with_its_own_priority(sent, kind, priority):
    assert sent(*HELLO, "--type", kind)["priority"] == priority


def test_another_priority_may_be_given(sent):
    assert sent(*HELLO, "--priority", "P1")["priority"] == "P1"


def test_a_suppressed_address_is_told_by_a_code_of_its_own(app, tocsin):
    tocsin("suppressions", "add", "anna@example.com")
    said = tocsin("send", "--to", "anna@example.com", *HELLO, "--json")
    assert said.code == 5
    assert (said.json["status"], said.json["reason"]) == ("suppressed", "manual")


def test_all_faults_are_told_in_one_line(app, tocsin):
    said = tocsin("send", "--to", "nobody")
    assert said.code == 5
    assert said.err.count("\n") == 1
    assert "recipient_address:" in said.err
    assert "body_text:" in said.err


def test_a_word_that_is_no_channel_is_a_wrong_call(app, tocsin):
    said = tocsin("send", "--to", "anna@example.com", *HELLO, "--channel", "pigeon")
    assert said.code == 2
    assert "none of email, sms, whatsapp, voice, push" in said.err


def test_texts_come_out_of_files(sent, tocsin, tmp_path):
    (tmp_path / "text").write_text("from a file")
    uuid = sent("--subject", "x", "--text", f"@{tmp_path / 'text'}")["uuid"]
    assert tocsin("status", uuid, "--json").json["body_text"] == "from a file"


def test_a_template_is_filled_in_with_data(sent, tocsin):
    tocsin("templates", "save", "hello", "--subject", "Hello {{ name }}", "--text", "{{ name }} is {{ age }}",
           "--variables", '[{"name": "name"}, {"name": "age", "type": "number"}]')  # fmt: skip
    uuid = sent("--template", "hello", "--data", "name=Anna", "--data", "age:=41")["uuid"]
    assert tocsin("status", uuid, "--json").json["content_data"] == {"name": "Anna", "age": 41}


def test_a_missing_variable_is_named(app, tocsin):
    tocsin("templates", "save", "hello", "--subject", "Hello", "--text", "{{ name }}")
    said = tocsin("send", "--to", "anna@example.com", "--template", "hello")
    assert said.code == 5
    assert "data.name: is missing" in said.err


def test_a_message_may_wait_for_its_time(sent, tocsin):
    uuid = sent(*HELLO, "--at", "+2h")["uuid"]
    due = datetime.fromisoformat(tocsin("status", uuid, "--json").json["scheduled_for"])
    assert timedelta(minutes=119) < due - datetime.now(UTC) <= timedelta(hours=2)


def test_an_idempotency_key_sends_once(sent):
    first = sent(*HELLO, "--idempotency-key", "k")
    again = sent(*HELLO, "--idempotency-key", "k")
    assert (again["uuid"], again["replayed"]) == (first["uuid"], True)


def test_a_key_with_another_message_is_refused(sent, tocsin):
    sent(*HELLO, "--idempotency-key", "k")
    said = tocsin("send", "--to", "ben@example.com", *HELLO, "--idempotency-key", "k")
    assert said.code == 5


def test_waiting_ends_when_the_message_has_arrived(sent, app, monkeypatch):
    def arrive(_seconds):
        with app.engine.begin() as conn:
            conn.exec_driver_sql(
                "UPDATE message_queue SET status = 'delivered', sent_at = now(), delivered_at = now()"
            )

    # The command's own, and not that of all threads.
    monkeypatch.setattr("app.cli.send.time", SimpleNamespace(sleep=arrive, monotonic=time.monotonic))
    assert sent(*HELLO, "--wait")["status"] == "delivered"


def test_an_unknown_uuid_is_no_message_and_no_batch(app, tocsin):
    said = tocsin("status", "01a20066-345e-7285-a18f-824c0d9e4146")
    assert said.code == 5
    assert said.err == (
        "Error: There is neither a message nor a batch 01a20066-345e-7285-a18f-824c0d9e4146.\n"
    )
