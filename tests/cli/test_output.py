from datetime import UTC, datetime, timedelta

import pytest

from app.cli.output import cell, duration, print_json, print_table
from app.domain.vocabulary import Priority


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(milliseconds=3), "3 ms"),
        (timedelta(seconds=12.34), "12.3 s"),
        (timedelta(minutes=15), "15 min"),
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=36), "1.5 d"),
    ],
)
def test_durations_are_in_the_unit_that_people_would_take(value, text):
    assert duration(value) == text


def test_nothing_in_a_cell_is_obeyed_by_a_terminal():
    assert cell("a\x1b[2Jb\x07c\x9b1m").plain == "a�[2Jb�c�1m"


def test_markup_in_a_cell_is_text(capsys):
    print_table(("name",), [("[red]anna[/red]",)])
    assert "[red]anna[/red]" in capsys.readouterr().out


def test_long_rows_stay_whole_where_the_output_is_no_terminal(capsys):
    print_table(("a", "b"), [("x" * 90, "y" * 90)])
    assert "x" * 90 + "   " + "y" * 90 in capsys.readouterr().out


def test_json_has_times_with_offset_durations_in_seconds_and_sets_in_order(capsys):
    print_json(
        {
            "at": datetime(2027, 1, 31, 9, tzinfo=UTC),
            "age": timedelta(minutes=1),
            "set": {"b", "a"},
            "p": Priority.P0,
        }
    )
    said = "".join(capsys.readouterr().out.split())
    assert said == '{"at":"2027-01-31T09:00:00+00:00","age":60.0,"set":["a","b"],"p":"P0"}'
