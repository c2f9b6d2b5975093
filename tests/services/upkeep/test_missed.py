import pytest

from app.services.audit import Who
from app.services.suppressions import SuppressionService
from app.services.upkeep.missed import suppress_missed


def bounced(
    table, event_type="bounced", outcome="recipient", age="5 minutes", address="'A.Reader@example.com'"
):
    [message] = table.messages(
        "P2", status="'bounced'", recipient_address=address, last_error_class=f"'{outcome}'"
    )
    table.event(message, "P2", event_type, outcome, age)
    return message


def suppressed(table):
    return table("SELECT address, reason, expires_at IS NULL FROM suppression_list ORDER BY id")


@pytest.mark.parametrize(
    ("event_type", "outcome", "reason"),
    [
        ("bounced", "recipient", "bounce_hard"),
        ("failed", "recipient", "bounce_hard"),
        ("complained", None, "complaint"),
    ],
)
def test_a_consequence_that_was_missed_is_drawn(table, tools, event_type, outcome, reason):
    bounced(table, event_type, outcome)
    assert suppress_missed(tools) == 1
    assert suppressed(table) == [("a.reader@example.com", reason, True)]


def test_drawn_once_it_is_not_missed_any_more(table, tools):
    bounced(table)
    suppress_missed(tools)
    assert suppress_missed(tools) == 0


def test_what_happened_more_than_an_hour_ago_is_left_alone(table, tools):
    bounced(table, age="61 minutes")
    assert suppress_missed(tools) == 0


def test_other_failures_suppress_nobody(table, tools):
    bounced(table, "failed", "content")
    bounced(table, "deferred", "transient")
    assert suppress_missed(tools) == 0


def test_three_soft_bounces_of_one_address_suppress_it_for_a_while(table, tools):
    for _ in range(3):
        bounced(table, outcome="unreachable")
    # Most are below the threshold, and looked at each time: they are not told of as missed.
    assert suppress_missed(tools) == 0
    assert suppressed(table) == [("a.reader@example.com", "bounce_soft", False)]


def test_two_soft_bounces_do_not(table, tools):
    for _ in range(2):
        bounced(table, outcome="unreachable")
    suppress_missed(tools)
    assert suppressed(table) == []


def test_an_opt_out_told_as_a_refusal_is_not_made_a_bounce(table, tools):
    message = bounced(table, "failed")
    table(
        "INSERT INTO suppression_list (channel, address, reason, source, sender, message_id)"
        " VALUES ('email', 'a.reader@example.com', 'unsubscribe', 'x', 's', %s)",
        message,
    )
    assert suppress_missed(tools) == 0


def test_what_somebody_released_since_stays_released(table, tools):
    bounced(table)
    suppress_missed(tools)
    [(row,)] = table("SELECT id FROM suppression_list")
    SuppressionService(tools.engine).release(Who(actor="a"), row, why="their mailbox is back")
    assert suppress_missed(tools) == 0
    assert suppressed(table) == []


def test_a_release_of_somebody_else_changes_nothing(table, tools):
    bounced(table, address="'somebody@example.com'")
    suppress_missed(tools)
    [(row,)] = table("SELECT id FROM suppression_list")
    SuppressionService(tools.engine).release(Who(actor="a"), row, why="their mailbox is back")
    bounced(table)
    assert suppress_missed(tools) == 1
