from dataclasses import replace

import pytest

from app.domain.vocabulary import Channel, Priority
from app.services.upkeep.dispatching import depth, dispatch, dispatch_urgent, dispatch_waiting, wakes_for

ALL = ("P0", "P1", "P2", "P3", "P4")


def due_everywhere(table):
    for priority in ALL:
        table.messages(priority)


def test_every_second_only_the_urgent_lanes_are_woken_emergencies_first(table, tools, wake):
    due_everywhere(table)
    dispatch_urgent(tools)
    assert wake.told == [("lane", "P0", False), ("lane", "P4", False)]


def test_the_other_lanes_are_woken_every_second_to_go_on_from_where_they_are(table, tools, wake):
    due_everywhere(table)
    table("DELETE FROM message_queue WHERE priority = 'P2'")
    table.messages("P2", scheduled_for="now() + interval '1 minute'")
    dispatch_waiting(tools)
    assert wake.told == [("lane", "P1", False), ("lane", "P3", False)]


def test_an_urgent_lane_without_due_work_is_left_alone(table, tools, wake):
    table.messages("P4")
    dispatch_urgent(tools)
    assert wake.told == [("lane", "P4", False)]


def test_all_five_lanes_are_swept_emergencies_first(table, tools, wake):
    due_everywhere(table)
    dispatch(tools)
    assert wake.told[0] == ("lane", "P0", True)
    assert sorted(wake.told) == [("lane", priority, True) for priority in ALL]


def test_nobody_is_woken_for_what_is_not_due(table, tools, wake):
    table.messages("P1", scheduled_for="now() + interval '1 minute'")
    table.messages("P2", status="'sent'", sent_at="now()")
    dispatch(tools)
    assert wake.told == []


@pytest.mark.parametrize(
    ("due", "wakes"), [(0, 0), (1, 1), (99, 1), (100, 1), (101, 2), (950, 10), (1000, 10), (10**6, 10)]
)
def test_a_lane_gets_a_wake_for_each_hundred_but_no_more_than_ten(due, wakes):
    assert wakes_for(due) == wakes


def test_ninety_nine_alerts_give_one_wake(table, tools, wake):
    table.messages("P1", 99)
    dispatch(tools)
    assert wake.told == [("lane", "P1", True)]


def test_only_the_first_of_many_wakes_sweeps(table, tools, wake):
    table.messages("P1", 250)
    dispatch(tools)
    assert wake.told == [("lane", "P1", True), ("lane", "P1", False), ("lane", "P1", False)]


def test_a_held_lane_gets_one_sweeping_wake_behind_a_closed_gate(table, make_tools, wake):
    table.messages("P1", 5)
    table.messages("P2", 300)
    dispatch(make_tools(gate_depth=5))
    assert [told for told in wake.told if told[1] == "P2"] == [("lane", "P2", True)]


def test_a_held_lane_gets_its_wakes_while_the_gate_is_open(table, make_tools, wake):
    table.messages("P1", 4)
    table.messages("P2", 300)
    dispatch(make_tools(gate_depth=5))
    assert [told for told in wake.told if told[1] == "P2"] == [
        ("lane", "P2", True),
        ("lane", "P2", False),
        ("lane", "P2", False),
    ]


def test_a_gate_that_is_closed_for_one_channel_leaves_the_others_their_wakes(table, make_tools, wake):
    tools = make_tools(gate_depth=5)
    texts = replace(tools.gateways["postal"], channel=Channel.SMS)
    table.messages("P1", 5)
    table.messages("P2", 300)
    dispatch(replace(tools, gateways={**tools.gateways, "texts": texts}))
    assert len([told for told in wake.told if told[1] == "P2"]) == 3


def test_transactional_messages_do_not_wait_behind_the_gate(table, make_tools, wake):
    table.messages("P1", 5)
    table.messages("P4", 150)
    dispatch(make_tools(gate_depth=5))
    assert [told for told in wake.told if told[1] == "P4"] == [("lane", "P4", True), ("lane", "P4", False)]


def test_counting_stops_at_the_limit_over_all_callers_together(table, tools):
    table.messages("P3", 30, client=1)
    table.messages("P3", 30, client=2)
    assert depth(tools, Priority.P3, limit=41) == 41
    assert depth(tools, Priority.P3, limit=100) == 60
