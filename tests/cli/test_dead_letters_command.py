"""Dead letters from the command line."""

import pytest
import sqlalchemy as sa

from app.db.tables import message_queue

WHY = ("--why", "the account is paid again")


@pytest.fixture
def put(app, tocsin):
    """Send a message and let it come to rest in a state; gives its uuid."""

    def put(status, **columns):
        sent = tocsin("send", "--to", "ada@example.com", "--subject", "Hi", "--text", "Hello", "--json")
        assert sent.code == 0, sent.err
        uuid = sent.json["uuid"]
        values = {"status": status, **columns}
        with app.engine.begin() as conn:
            conn.execute(sa.update(message_queue).where(message_queue.c.uuid == uuid).values(values))
        return uuid

    return put


def test_dead_letters_are_listed_counted_and_replayed(tocsin, put):
    uuid = put("failed", last_error="550: no such user", last_error_class="recipient", gateway="postal")
    assert uuid in tocsin("dead-letters", "list").out
    [reason] = tocsin("dead-letters", "reasons", "--json").json["items"]
    assert (reason["code"], reason["count"]) == ("550", 1)
    preview = tocsin("dead-letters", "replay", "--class", "recipient", "--dry-run", *WHY)
    assert preview.out == "1 messages match.\n"
    replay = tocsin("dead-letters", "replay", uuid, *WHY, "--json").json
    assert (replay["replayed"], replay["state"]) == (1, "finished")
    assert tocsin("dead-letters", "progress", replay["uuid"], "--json").json["replayed"] == 1
    assert tocsin("dead-letters", "list").out == "no dead letter here\n"
    assert tocsin("dead-letters", "stop", replay["uuid"], *WHY).code == 5


def test_held_messages_are_decided_about(tocsin, put):
    uuid = put("held")
    assert tocsin("dead-letters", "decide", "sent", uuid, *WHY, "--json").json["count"] == 1
    assert tocsin("status", uuid, "--json").json["status"] == "sent"


@pytest.mark.parametrize("command", [("replay",), ("decide", "sent")])
def test_without_any_choice_nothing_is_done(tocsin, app, command):
    said = tocsin("dead-letters", *command, *WHY)
    assert (said.code, "which are meant" in said.err) == (2, True)
