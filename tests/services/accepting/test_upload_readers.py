"""NDJSON, CSV and JSON uploads as rows, however their bytes are cut."""

import csv
import io

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.services.requests import Reject, Row
from app.services.uploads import LONGEST_LINE, csv_rows, json_rows, ndjson

HEAD = b'{"channel":"email"}\n'


def rows_of(body: bytes, size: int = 7) -> list[Row | Reject]:
    return list(ndjson(pieces(HEAD + body, size))[1])


def pieces(body: bytes, size: int):
    return (body[at : at + size] for at in range(0, len(body), size))


def rejected(rows) -> list[tuple[int, str]]:
    return [(row.line, row.reason.partition(":")[0]) for row in rows if isinstance(row, Reject)]


def test_the_first_line_is_the_head():
    assert ndjson([HEAD + b'{"address":"a"}'])[0] == HEAD.strip()


def test_a_byte_order_mark_is_passed_over():
    assert ndjson([b"\xef\xbb\xbf" + HEAD])[0] == HEAD.strip()


def test_an_empty_body_has_an_empty_head_and_no_rows():
    head, rows = ndjson([])
    assert (head, list(rows)) == (b"", [])


def test_rows_have_their_line_in_the_file():
    assert rows_of(b'{"address":"a@example.com"}\n\n{"address":"b@example.com","id":5}\n') == [
        Row(2, "a@example.com"),
        Row(4, "b@example.com", 5),
    ]


def test_a_last_line_without_its_end_is_read():
    assert rows_of(b'{"address":"a"}\r\n{"address":"b","type":"smb","data":{"x":1}}') == [
        Row(2, "a"),
        Row(3, "b", None, "smb", {"x": 1}),
    ]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"nope", "is no JSON"),
        (b"[1]", 'must be an object, as in {"address"'),
        (b'{"id":1}', "address"),
        (b'{"address":5}', "address"),
        (b'{"address":"a","id":"5"}', "id"),
        (b'{"address":"a","id":true}', "id"),
        (b'{"address":"a","id":1.5}', "id"),
        (b'{"address":"a","type":1}', "type"),
        (b'{"address":"a","data":[]}', "data"),
    ],
)
def test_a_line_that_is_no_recipient_is_rejected_with_its_number(line, field):
    assert rejected(rows_of(b'{"address":"a"}\n' + line + b'\n{"address":"b"}')) == [(3, field)]


def test_an_unknown_field_is_rejected():
    assert [row.line for row in rows_of(b'{"address":"a","nmae":"x"}') if isinstance(row, Reject)] == [2]


def test_a_line_beyond_all_measure_ends_the_upload():
    with pytest.raises(Invalid):
        rows_of(b'{"address":"' + b"a" * LONGEST_LINE + b'"}', size=10_000)


def test_an_endless_line_is_not_kept_in_memory():
    given_out = 0

    def endless():
        nonlocal given_out
        yield HEAD
        while True:
            given_out += 1
            yield b"x" * 1024 * 1024

    with pytest.raises(Invalid):
        list(ndjson(endless())[1])
    assert given_out < 20


@given(
    st.lists(
        st.fixed_dictionaries(
            {"address": st.text()},
            optional={
                "id": st.integers(min_value=-(2**53), max_value=2**53),
                "type": st.text(),
                "data": st.dictionaries(st.text(), st.text()),
            },
        )
    ),
    st.integers(min_value=1, max_value=50),
)
def test_however_the_body_is_cut_the_rows_are_the_same(recipients, size):
    body = b"".join(orjson.dumps(recipient) + b"\n" for recipient in recipients)
    read = rows_of(body, size)
    assert [row._replace(line=0) for row in read] == [row._replace(line=0) for row in json_rows(recipients)]


def test_csv_columns_beside_the_known_are_data():
    body = b"address,id,type,name,town\na@example.com,7,smb,Ann,\n"
    assert list(csv_rows(pieces(body, 5))) == [Row(2, "a@example.com", 7, "smb", {"name": "Ann"})]


def test_csv_with_byte_order_mark_and_dos_line_ends():
    body = b"\xef\xbb\xbfaddress,name\r\na@example.com,Ann\r\n"
    assert list(csv_rows([body])) == [Row(2, "a@example.com", None, None, {"name": "Ann"})]


def test_a_quoted_cell_may_hold_lines():
    body = b'address,note\na@example.com,"one\ntwo"\nb@example.com,three\n'
    assert list(csv_rows(pieces(body, 3))) == [
        Row(2, "a@example.com", None, None, {"note": "one\ntwo"}),
        Row(4, "b@example.com", None, None, {"note": "three"}),
    ]


def test_broken_csv_rows_are_rejected_and_stop_nothing():
    body = b'address,id\na@example.com,1,2\n"b"x,1\nc@example.com,x\nd@example.com,4\n'
    read = list(csv_rows([body]))
    assert [row.line for row in read if isinstance(row, Reject)] == [2, 3, 4]
    assert read[-1] == Row(5, "d@example.com", 4)


def test_a_quote_never_closed_is_reported():
    read = list(csv_rows([b'address\n"a@example.com\nb@example.com\n']))
    assert [(row.line, "up to line 3" in row.reason) for row in read] == [(2, True)]


@pytest.mark.parametrize(
    "body", [b"", b"mail\na@example.com\n", b"address,x,x\n", b"address,\n", b"address\n\xff\xfe\n"]
)
def test_csv_that_cannot_be_read_at_all_is_invalid(body):
    with pytest.raises(Invalid):
        list(csv_rows([body]))


@given(st.lists(st.text(st.characters(exclude_characters="\x00\r", codec="utf-8"), min_size=1), max_size=20))
def test_what_the_csv_module_writes_is_read_back(cells):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["address", "value"])
    writer.writerows(["a", cell] for cell in cells)
    read = csv_rows(pieces(text.getvalue().encode(), 11))
    assert [row.data["value"] for row in read] == cells
