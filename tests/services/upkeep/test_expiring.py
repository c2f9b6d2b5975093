import pytest

from app.services.upkeep import expiring
from app.services.upkeep.expiring import Expiry

LATE = {"scheduled_for": "now() - interval '1 hour'", "expires_at": "now() - interval '1 second'"}


@pytest.mark.parametrize("priority", ["P0", "P1", "P4"])
def test_what_is_late_in_a_lane_on_the_clock_expires(table, tools, priority):
    [late] = table.messages(priority, **LATE)
    [in_time] = table.messages(priority)
    assert Expiry().sweep(tools) == 1
    assert table.statuses() == {late: "expired", in_time: "pending"}


@pytest.mark.parametrize("priority", ["P2", "P3"])
def test_where_our_own_waiting_does_not_count_the_sweep_expires_nothing(table, tools, priority):
    [message] = table.messages(priority, **LATE)
    assert Expiry().sweep(tools) == 0
    assert table.statuses() == {message: "pending"}


def test_a_lane_in_which_many_expire_is_left_after_a_while_and_gone_on_with(table, tools, monkeypatch):
    monkeypatch.setattr(expiring, "AT_A_TIME", 2)
    monkeypatch.setattr(expiring, "LONGEST", -1.0)
    table.messages("P1", 5, **LATE)
    expiry = Expiry()
    assert [expiry.sweep(tools) for _ in range(3)] == [2, 2, 1]


def test_an_expiry_is_an_event(table, tools):
    [message] = table.messages("P1", **LATE)
    Expiry().sweep(tools)
    assert table.events(message) == [("expired", None, None)]


def test_a_message_with_a_worker_is_left_to_it(table, tools):
    [message] = table.messages(
        "P1", **LATE, status="'processing'", locked_by="gen_random_uuid()", locked_at="now()"
    )
    assert Expiry().sweep(tools) == 0
    assert table.statuses() == {message: "processing"}


def test_the_counts_of_the_batch_follow(table, tools):
    batch = table.batch(state="expanded")
    table.messages("P1", 3, **LATE, batch_id=str(batch))
    Expiry().sweep(tools)
    deltas = table("SELECT status, sum(change) FROM batch_deltas WHERE batch_id = %s GROUP BY 1", batch)
    assert dict(deltas) == {"pending": -3, "expired": 3}


def test_more_than_fits_one_look_expires_in_one_sweep(table, tools, monkeypatch):
    monkeypatch.setattr(expiring, "AT_A_TIME", 10)
    table.messages("P1", 35, **LATE)
    assert Expiry().sweep(tools) == 35


def test_a_look_goes_no_further_than_its_share_and_the_next_goes_on(table, tools, monkeypatch):
    monkeypatch.setattr(expiring, "AT_A_TIME", 10)
    table.messages("P1", 25, scheduled_for="now() - interval '1 hour'")
    table.messages("P1", 1, scheduled_for="now() - interval '1 minute'", expires_at="now()")
    expiry = Expiry()
    assert [expiry.sweep(tools) for _ in range(3)] == [0, 0, 1]


def test_what_came_in_behind_is_found_on_the_next_round(table, tools, monkeypatch):
    monkeypatch.setattr(expiring, "AT_A_TIME", 10)
    table.messages("P1", 15, scheduled_for="now() - interval '1 minute'")
    expiry = Expiry()
    expiry.sweep(tools)
    table.messages("P1", **LATE)
    assert [expiry.sweep(tools) for _ in range(2)] == [0, 1]


def test_callers_without_due_work_do_not_make_the_look_smaller(table, tools, monkeypatch):
    monkeypatch.setattr(expiring, "AT_A_TIME", 10)
    for client in range(3, 23):
        table("INSERT INTO lane_flows VALUES ('P1', 'email', %s)", client)
    table.messages("P1", 9, scheduled_for="now() - interval '1 hour'")
    table.messages("P1", scheduled_for="now() - interval '1 minute'", expires_at="now()")
    assert Expiry().sweep(tools) == 1
