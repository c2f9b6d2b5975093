"""Emergency procedures from the command line."""

import pytest
import sqlalchemy as sa

WHY = ("--why", "the wrong price went out")


@pytest.fixture
def sent(app, tocsin):
    """Accepts messages that wait, since nothing sends here."""
    for number in range(2):
        said = tocsin("send", "--to", f"reader{number}@example.com", "--subject", "Hi", "--text", "Hello")
        assert said.code == 0, said.err


def test_a_stop_is_shown_and_lifted(sent, tocsin):
    stopped = tocsin("emergency", "stop", "all", *WHY, "--json")
    assert stopped.code == 0, stopped.err
    assert "EVERYTHING IS STOPPED" in tocsin("emergency", "state").out
    [stop] = tocsin("emergency", "state", "--json").json["stops"]
    assert (stop["waiting"], stop["who"].startswith("cli/")) == (2, True)
    assert tocsin("emergency", "resume", stop["id"], *WHY).code == 0
    assert "Sending goes on." in tocsin("emergency", "state").out
    [use] = tocsin("emergency", "history", "--json").json["items"]
    assert (use["procedure"], use["state"]) == ("stop", "ended")


def test_a_stop_of_one_thing_says_what_and_how_to_end_it(app, tocsin):
    said = tocsin("emergency", "stop", "channel", "email", *WHY)
    assert "channel email" in said.out
    assert "emergency resume" in said.out


def test_without_a_reason_nothing_is_done(app, tocsin):
    assert tocsin("emergency", "stop", "all").code == 2
    assert tocsin("emergency", "state", "--json").json["stops"] == []


def test_what_is_not_there_is_refused(app, tocsin):
    said = tocsin("emergency", "stop", "gateway", "nobody", *WHY)
    assert said.code == 5
    assert tocsin("emergency", "resume", "4711", *WHY).code == 5


def test_resuming_needs_ids_or_everything(app, tocsin):
    assert tocsin("emergency", "resume", *WHY).code == 2


def test_clearing_counts_asks_and_can_be_undone(sent, tocsin):
    said = tocsin("emergency", "clear-queue", "--channel", "email", *WHY, stdin=b"n\n")
    assert (said.code, "Cancel 2 messages?" in said.err) == (130, True)
    said = tocsin("emergency", "clear-queue", "--channel", "email", *WHY, stdin=b"y\n")
    assert (said.code, "2 messages are cancelled" in said.out) == (0, True)
    clearing = tocsin("emergency", "history", "--json").json["items"][0]["id"]
    undone = tocsin("emergency", "undo-clear", clearing, *WHY, "--json").json
    assert (undone["state"], undone["restored"]) == ("undone", 2)


def test_clearing_for_programs_needs_no_answer(sent, tocsin):
    cleared = tocsin("emergency", "clear-queue", "--yes", "--json", *WHY).json
    assert (cleared["state"], cleared["count"], cleared["cancelled"]) == ("done", 2, 2)


def test_breakers_order_and_limits(app, tocsin):
    with app.engine.begin() as conn:
        conn.execute(sa.text("SELECT 1"))
    assert (
        tocsin("emergency", "trip-breaker", "email", "postal", *WHY, "--json").json["breaker"]["state"]
        == "open"
    )
    assert "closed" in tocsin("emergency", "reset-breaker", "email", "postal", *WHY).out
    assert tocsin("emergency", "switch-provider", "email", "postal", *WHY, "--json").json["tier"] == 1
    assert tocsin("emergency", "reset-limits", *WHY, "--json").json == {"windows": 0}
