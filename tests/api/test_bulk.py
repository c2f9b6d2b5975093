"""Bulk requests over HTTP: JSON, NDJSON, CSV, compressed or not, whole or cut."""

import gzip
import json
import zlib
from io import BytesIO

import pytest
import sqlalchemy as sa

from app.db.tables import batch_staging, idempotency_keys, message_batches
from app.services.audit import Who
from app.services.limit_rows import LimitDraft, LimitType

BULK = "/v1/messages/bulk"
ROWS = [{"address": f"reader{n}@example.com", "id": n} for n in range(5)]


def multipart(head, csv, *, first="batch", boundary="cut-here", end=True):
    batch = f'--{boundary}\r\nContent-Disposition: form-data; name="{first}"\r\n\r\n{head}\r\n'
    rows = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="recipients"; filename="r.csv"\r\n'
        f"Content-Type: text/csv\r\n\r\n{csv}"
    )
    last = f"\r\n--{boundary}--\r\n" if end else ""
    return f"{batch}{rows}{last}".encode(), f"multipart/form-data; boundary={boundary}"


def nothing_is_left(app):
    with app.engine.connect() as conn:
        tables = (message_batches, batch_staging, idempotency_keys)
        return all(
            conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0 for table in tables
        )


def test_the_answer_says_which_limits_are_too_small(api, app, head):
    app.limits.set(Who(actor="ann"), LimitType.DOMAIN, "example.com", LimitDraft(max_per_day=1))
    (said,) = api.post(BULK, head | {"recipients": ROWS}).json["warnings"]
    assert said.startswith("At most 1 of 5 messages")


def test_json_is_taken(api, head):
    answer = api.post(BULK, head | {"recipients": ROWS})
    assert answer.status_code == 202
    assert (answer.json["received"], answer.json["invalid"], answer.json["warnings"]) == (5, 0, [])
    assert answer.headers["Location"] == f"/v1/batches/{answer.json['batch']}"


def test_ndjson_is_taken_and_progress_can_be_read(api, head):
    answer = api.ndjson(head, *ROWS)
    assert answer.status_code == 202
    batch = api.get(answer.headers["Location"])
    assert (batch.status_code, batch.json["received"], batch.json["waiting"]) == (200, 5, 5)


def test_csv_is_taken_as_the_second_part(api, head):
    body, content_type = multipart(
        json.dumps(head), "address,id,name\na@example.com,1,Ada\nb@example.com,2,Bo\n"
    )
    answer = api.call("POST", BULK, data=body, content_type=content_type)
    assert answer.status_code == 202
    assert answer.json["received"] == 2


def test_broken_rows_are_rejected_with_line_and_reason_and_stop_no_other(api, head):
    csv = "address,id\na@example.com,1\nb@example.com,not a number\nc@example.com\nd@example.com,4\n"
    body, content_type = multipart(json.dumps(head), csv)
    answer = api.call("POST", BULK, data=body, content_type=content_type)
    assert (answer.status_code, answer.json["received"], answer.json["invalid"]) == (202, 4, 2)
    rejects = [json.loads(line) for line in api.get(answer.json["links"]["rejects"]).text.splitlines()]
    assert [reject["line"] for reject in rejects] == [3, 4]
    assert all(reject["reason"] for reject in rejects)


def test_an_ndjson_line_that_is_no_recipient_is_rejected(api, head):
    answer = api.ndjson(head, ROWS[0], b"no json\n", {"address": 7}, {"adress": "x"}, ROWS[1])
    assert (answer.status_code, answer.json["received"], answer.json["invalid"]) == (202, 5, 3)


@pytest.mark.parametrize("row", [{"address": "a@example.com", "data": {"x": "\0"}}, {"address": "a\0@b.com"}])
def test_a_row_that_the_database_could_not_hold_is_rejected(api, head, row):
    answer = api.ndjson(head, row, ROWS[0])
    assert answer.status_code == 202
    assert api.get(answer.json["links"]["self"]).status_code == 200


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_an_id_beyond_all_measure_is_rejected(api, head, number):
    answer = api.ndjson(head, {"address": "a@example.com", "id": number}, ROWS[0])
    assert (answer.status_code, answer.json["invalid"]) == (202, 1)


def test_compressed_uploads_are_taken(api, head):
    body = b"".join(json.dumps(line).encode() + b"\n" for line in [head, *ROWS])
    answer = api.ndjson(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json["received"]) == (202, 5)


def test_the_same_upload_with_the_same_key_is_replayed(api, head):
    first = api.ndjson(head, *ROWS, headers={"Idempotency-Key": "news-1"})
    again = api.ndjson(head, *ROWS, headers={"Idempotency-Key": "news-1"})
    assert again.status_code == 202
    assert again.json["batch"] == first.json["batch"]
    assert again.headers["Idempotency-Replayed"] == "true"


def test_another_upload_with_the_same_key_is_422(api, head):
    api.ndjson(head, *ROWS, headers={"Idempotency-Key": "news-1"})
    other = api.ndjson(head, *ROWS[:3], headers={"Idempotency-Key": "news-1"})
    assert other.status_code == 422
    assert other.json["type"] == "/problems/idempotency-key-reused"


def test_a_body_shorter_than_its_length_leaves_nothing_and_frees_the_key(api, app, head):
    body = b"".join(json.dumps(line).encode() + b"\n" for line in [head, *ROWS])
    cut = api.call(
        "POST",
        BULK,
        input_stream=BytesIO(body[:-40]),
        environ_overrides={"CONTENT_LENGTH": str(len(body))},
        content_type="application/x-ndjson",
        headers={"Idempotency-Key": "news-1"},
    )
    assert cut.status_code == 400
    assert nothing_is_left(app)
    again = api.call(
        "POST", BULK, data=body, content_type="application/x-ndjson", headers={"Idempotency-Key": "news-1"}
    )
    assert (again.status_code, again.json["received"]) == (202, 5)
    assert "Idempotency-Replayed" not in again.headers


def test_a_compressed_upload_that_breaks_off_leaves_nothing(api, app, head):
    body = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in [head, *ROWS]))
    answer = api.ndjson(body[:-10], headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400
    assert nothing_is_left(app)


def test_a_multipart_upload_without_its_end_leaves_nothing(api, app, head):
    body, content_type = multipart(json.dumps(head), "address\na@example.com\n", end=False)
    answer = api.call("POST", BULK, data=body, content_type=content_type)
    assert answer.status_code == 400
    assert nothing_is_left(app)


def test_plain_ndjson_without_a_length_is_411(api, head):
    answer = api.call(
        "POST",
        BULK,
        input_stream=BytesIO(json.dumps(head).encode()),
        content_type="application/x-ndjson",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"CONTENT_LENGTH": ""},
    )
    assert answer.status_code == 411
    assert answer.json["type"] == "/problems/length-required"


def test_a_body_that_grows_without_measure_is_413(api, app):
    bomb = zlib.compress(b" " * 40_000_000, wbits=31)
    answer = api.ndjson(bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413
    assert nothing_is_left(app)


def test_what_is_not_compressed_as_its_header_says_is_400(api, head):
    assert api.ndjson(head, *ROWS, headers={"Content-Encoding": "gzip"}).status_code == 400


def test_an_unknown_encoding_is_415(api, head):
    assert api.ndjson(head, *ROWS, headers={"Content-Encoding": "br"}).status_code == 415


def test_a_json_body_beyond_its_measure_is_413_and_names_the_other_ways(api, head):
    answer = api.post(BULK, head | {"recipients": [{"address": "a@example.com"}] * 60_000})
    assert answer.status_code == 413
    assert "NDJSON" in answer.json["detail"]


def test_faults_of_the_shared_fields_and_of_the_list_are_told_together(api, head):
    answer = api.post(BULK, head | {"priority": "P9", "recipients": {}, "extra": 1})
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json["errors"]} == {"priority", "extra", "recipients"}


@pytest.mark.parametrize("recipients", [None, [], "x", 7, {}])
def test_a_list_without_recipients_is_422(api, head, recipients):
    answer = api.post(BULK, head | {"recipients": recipients})
    assert answer.status_code == 422


def test_a_first_line_that_is_no_json_is_400(api, app):
    assert api.ndjson(b"no json\n", *ROWS).status_code == 400
    assert nothing_is_left(app)


def test_an_upload_without_rows_is_422(api, app, head):
    assert api.ndjson(head).status_code == 422
    assert nothing_is_left(app)


def test_text_that_is_not_utf8_is_422(api, app, head):
    body, content_type = multipart(json.dumps(head), "address\n")
    body = body.replace(b"address\n", b"address\n\xff\xfe@example.com\n")
    answer = api.call("POST", BULK, data=body, content_type=content_type)
    assert answer.status_code == 422
    assert nothing_is_left(app)


@pytest.mark.parametrize(
    ("first", "head_text", "status"),
    [("other", "{}", 422), ("batch", "{", 400), ("batch", "{}", 422), ("batch", "[]", 422)],
)
def test_a_first_part_that_is_not_the_batch_is_refused(api, first, head_text, status):
    body, content_type = multipart(head_text, "address\na@example.com\n", first=first)
    assert api.call("POST", BULK, data=body, content_type=content_type).status_code == status


def test_a_third_part_is_refused(api, app, head):
    body, content_type = multipart(json.dumps(head), "address\na@example.com\n")
    more = b'\r\n--cut-here\r\nContent-Disposition: form-data; name="more"\r\n\r\nx\r\n--cut-here--\r\n'
    answer = api.call(
        "POST", BULK, data=body.replace(b"\r\n--cut-here--\r\n", more), content_type=content_type
    )
    assert answer.status_code == 422
    assert nothing_is_left(app)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "text/csv", ""]
)
def test_a_content_type_that_cannot_be_read_is_refused(api, content_type):
    answer = api.call("POST", BULK, data=b"address\na@example.com\n", content_type=content_type)
    assert answer.status_code in (400, 415)


def test_a_batch_is_cancelled(api, head):
    path = api.ndjson(head, *ROWS).headers["Location"]
    assert api.delete(path).json["state"] == "cancelled"
    assert api.delete(path).status_code == 200


def test_batches_of_another_client_are_not_there(api, head):
    path = api.ndjson(head, *ROWS).headers["Location"]
    other = api.as_key("sender")
    assert other.get(path).status_code == 404
    assert other.get(f"{path}/rejects").status_code == 404
    assert other.delete(path).status_code == 404


def test_a_place_in_the_share_of_uploads_is_given_back_also_after_a_failure(api, head):
    for _ in range(5):
        assert api.ndjson(b"no json\n", *ROWS).status_code == 400
        assert api.ndjson(head, *ROWS).status_code == 202
