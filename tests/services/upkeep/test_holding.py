from datetime import timedelta

import pytest

from app.services.upkeep import holding
from app.services.upkeep.holding import review_held

SIX_HOURS = timedelta(hours=6)


def held(table, priority="P2", *, since="interval '7 hours'", left="interval '1 day'", **columns):
    [message] = table.messages(
        priority,
        status="'held'",
        tries="1",
        gateway="'postal'",
        updated_at=f"now() - {since}",
        expires_at=f"now() + {left}",
        **columns,
    )
    return message


def row(table, message, columns):
    return table(f"SELECT {columns} FROM message_queue WHERE id = %s", message)[0]


def test_what_was_held_too_long_fails(table, tools):
    message = held(table)
    review_held(tools, SIX_HOURS, "fail")
    assert table.statuses()[message] == "failed"
    assert table.events(message) == [("failed", "unknown", None)]


def test_more_than_one_lot_is_reviewed_in_one_go(table, tools, monkeypatch):
    monkeypatch.setattr(holding, "AT_A_TIME", 2)
    for _ in range(5):
        held(table)
    assert review_held(tools, SIX_HOURS, "fail") == "again 0, failed 5"


def test_the_messages_own_time_counts_where_it_is_over_earlier(table, tools):
    message = held(table, since="interval '1 hour'", left="interval '-1 second'")
    review_held(tools, SIX_HOURS, "fail")
    assert table.statuses()[message] == "failed"


def test_until_then_it_stays_held(table, tools):
    message = held(table, since="interval '5 hours'")
    assert review_held(tools, SIX_HOURS, "fail") == ""
    assert table.statuses()[message] == "held"


def test_by_the_other_rule_it_is_sent_again_marked_as_perhaps_a_second_time(table, tools, wake):
    message = held(table)
    review_held(tools, SIX_HOURS, "resend")
    assert row(table, message, "status, possible_duplicate, attempts, scheduled_for <= now()") == (
        "pending",
        True,
        1,
        True,
    )
    assert table.events(message) == [("attempt_failed", "unknown", {"possible_duplicate": True})]
    assert wake.told == [("lane", "P2", False)]


def test_a_message_off_the_clock_gets_back_the_time_it_was_held(table, tools):
    message = held(table, since="interval '30 minutes'", left="interval '-1 second'")
    review_held(tools, SIX_HOURS, "resend")
    left = row(table, message, "extract(epoch FROM expires_at - now())")[0]
    assert 29 * 60 < left <= 30 * 60


def test_a_message_on_the_clock_whose_time_is_over_is_not_sent_again(table, tools):
    message = held(table, "P1", left="interval '-1 second'")
    review_held(tools, SIX_HOURS, "resend")
    assert table.statuses()[message] == "failed"


def test_a_message_on_the_clock_with_time_left_is_sent_again_but_gets_no_more(table, tools):
    message = held(table, "P1", left="interval '1 hour'")
    review_held(tools, SIX_HOURS, "resend")
    status, more = row(table, message, "status, expires_at > now() + interval '1 hour'")
    assert (status, more) == ("pending", False)


def test_a_message_without_rounds_left_is_not_sent_again(table, tools):
    message = held(table, attempts="2", max_attempts="3")
    review_held(tools, SIX_HOURS, "resend")
    assert table.statuses()[message] == "failed"


@pytest.mark.parametrize("then", ["fail", "resend"])
def test_the_counts_of_the_batch_follow(table, tools, then):
    batch = table.batch(state="expanded")
    held(table, batch_id=str(batch))
    review_held(tools, SIX_HOURS, then)
    deltas = table("SELECT status, sum(change) FROM batch_deltas WHERE batch_id = %s GROUP BY 1", batch)
    assert dict(deltas) == {"held": -1, {"fail": "failed", "resend": "pending"}[then]: 1}


def test_no_other_state_is_touched(table, tools):
    [message] = table.messages("P2", updated_at="now() - interval '7 hours'", expires_at="now()")
    review_held(tools, SIX_HOURS, "fail")
    assert table.statuses()[message] == "pending"
