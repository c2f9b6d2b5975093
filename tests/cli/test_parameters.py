from datetime import UTC, datetime, timedelta

import click
import pytest

from app.cli.parameters import Content, Duration, Moment, data_of


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", timedelta(seconds=30)), ("15m", timedelta(minutes=15)), ("24h", timedelta(days=1)),
     ("7d", timedelta(days=7))],
)  # fmt: skip
def test_a_duration_is_a_number_with_its_unit(text, value):
    assert Duration().convert(text, None, None) == value


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5h", "7 d", "1w"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(click.BadParameter, match="is no duration"):
        Duration().convert(text, None, None)


def test_a_time_may_be_given_with_its_offset():
    moment = Moment().convert("2027-01-31T09:00:00+01:00", None, None)
    assert moment == datetime(2027, 1, 31, 8, tzinfo=UTC)


def test_a_time_without_offset_is_the_local_one():
    assert Moment().convert("2027-01-31T09:00", None, None) == datetime(2027, 1, 31, 9).astimezone()


def test_a_time_may_be_given_from_now_on():
    wait = Moment().convert("+15m", None, None) - datetime.now(UTC)
    assert timedelta(minutes=14) < wait <= timedelta(minutes=15)


@pytest.mark.parametrize("text", ["tomorrow", "+soon", "2027-13-01T00:00Z"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(click.BadParameter):
        Moment().convert(text, None, None)


def test_data_is_text_json_or_a_file_and_later_ones_win(tmp_path):
    file = tmp_path / "data.json"
    file.write_text('{"name": "Anna", "age": 41}')
    given = [f"@{file}", "name=Ben", "tags:=[1, true]", "equation=a=b"]
    assert data_of(given) == {"name": "Ben", "age": 41, "tags": [1, True], "equation": "a=b"}


@pytest.mark.parametrize("item", ["name", "=x", ":=1", "n:=nope", "@/does/not/exist"])
def test_data_that_cannot_be_read_is_refused(item):
    with pytest.raises(click.BadParameter):
        data_of([item])


def test_a_file_of_data_must_hold_an_object(tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(click.BadParameter, match="must be a JSON object"):
        data_of([f"@{tmp_path / 'list.json'}"])


def test_content_that_is_no_utf_8_is_refused(tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(click.BadParameter, match="no UTF-8"):
        Content().convert(f"@{tmp_path / 'latin'}", None, None)
