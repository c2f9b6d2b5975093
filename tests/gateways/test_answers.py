from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass
from app.gateways.answers import identifier, in_short, json_object, key_of, moment, wait_asked_for
from app.gateways.base import HttpFailure, outcome_of_failure


@given(st.binary())
def test_any_body_is_an_object_or_an_empty_one(body):
    assert isinstance(json_object(body), dict)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1]", b'"x"', b"null", b"1", b"\xff", b'{"a":', b"[" * 9999]
)
def test_what_is_no_object_reads_as_empty(body):
    assert json_object(body) == {}


def test_words_to_keep_have_no_address_secret_or_line_break():
    said = "550 5.1.1 <Jo.Doe+x@Example.com>:\r\nno such user 'jo@example.net', key S3cret"
    assert in_short(said, without=["s3CRET"]) == (
        "550 5.1.1 <<address>>: no such user '<address>', key <removed>"
    )


def test_words_to_keep_are_cut():
    assert len(in_short("word " * 10_000)) == 300


@given(st.text(), st.text())
def test_no_text_makes_words_to_keep_with_an_address(before, after):
    assert "rcpt@example.com" not in in_short(f"{before}rcpt@example.com{after}")


def test_an_address_at_the_cut_leaves_nothing_of_itself():
    assert "rcpt" not in in_short("." * 293 + " rcpt@example.com")


@pytest.mark.parametrize(
    ("value", "expected"), [(7, "7"), ("a-1", "a-1"), ("", None), (None, None), (True, None), ({}, None)]
)
def test_an_id_is_a_number_or_text(value, expected):
    assert identifier(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1606752106.5, datetime(2020, 11, 30, 16, 1, 46, 500000, UTC)),
        ("2017-08-05T00:41:02.669Z", datetime(2017, 8, 5, 0, 41, 2, 669000, UTC)),
        ("2017-08-05T02:41:02+02:00", datetime(2017, 8, 5, 0, 41, 2, tzinfo=UTC)),
        ("2017-08-05T00:41:02", datetime(2017, 8, 5, 0, 41, 2, tzinfo=UTC)),
        ("soon", None),
        ("0001-01-01T00:00:00+14:00", None),
        (1e300, None),
        (True, None),
        (None, None),
    ],
)
def test_a_moment_is_read_in_utc(value, expected):
    assert moment(value) == expected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("30", 30), (" 5 ", 5), ("-1", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("٣", None)],
)
def test_the_wait_asked_for_is_a_number_of_seconds(header, seconds):
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert wait_asked_for({"retry-after": header}) == expected


def test_keys_differ_where_the_parts_are_split_otherwise():
    assert key_of("ab", "c") != key_of("a", "bc")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (
            HttpFailure(written=False, detail="no route"),
            Outcome(kind=OutcomeClass.TRANSIENT, code="not_sent", detail="no route"),
        ),
        (
            HttpFailure(written=True, detail="reset"),
            Outcome(kind=OutcomeClass.UNKNOWN, code="no_answer", detail="reset"),
        ),
        (
            HttpFailure(written=True, detail="slow", timed_out=True),
            Outcome(kind=OutcomeClass.UNKNOWN, code="timed_out", detail="slow"),
        ),
        (
            HttpFailure(written=False, detail="slow", timed_out=True),
            Outcome(kind=OutcomeClass.TRANSIENT, code="not_sent", detail="slow"),
        ),
    ],
)
def test_only_what_never_left_us_may_be_sent_again(failure, expected):
    assert outcome_of_failure(failure) == expected
