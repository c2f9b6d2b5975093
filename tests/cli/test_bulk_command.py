import gzip
import json

import pytest

from app.services.audit import Who
from app.services.limit_rows import LimitDraft, LimitType

HEAD = {
    "channel": "email",
    "priority": "P2",
    "message_type": "newsletter",
    "subject": "News",
    "body_text": "Some news",
}
ROWS = b'{"address": "anna@example.com"}\n{"address": "nobody"}\n{"address": "ben@example.com"}\n'


@pytest.fixture
def file(tmp_path):
    """Writes a file, and gives its name."""

    def file(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return file


def batch(tocsin, said):
    assert said.code == 0, said.err
    return tocsin("status", said.json["batch"], "--json").json


def test_rows_come_from_the_file_and_the_shared_fields_from_batch(app, tocsin, file):
    said = tocsin("bulk", file("people.ndjson", ROWS), "--batch", json.dumps(HEAD), "--json")
    assert (said.json["received"], said.json["invalid"]) == (3, 1)
    assert batch(tocsin, said)["message_type"] == "newsletter"


def test_limits_that_are_too_small_are_told(app, tocsin, file):
    app.limits.set(Who(actor="ann"), LimitType.DOMAIN, "example.com", LimitDraft(max_per_day=1))
    said = tocsin("bulk", file("people.ndjson", ROWS), "--batch", json.dumps(HEAD))
    assert "At most 1 of 2 messages" in said.out


def test_a_rejected_row_has_the_number_of_its_line_in_the_file(app, tocsin, file):
    said = tocsin("bulk", file("people.ndjson", ROWS), "--batch", json.dumps(HEAD), "--json")
    assert [reject["line"] for reject in batch(tocsin, said)["rejects"]] == [2]


def test_without_batch_the_first_line_has_the_shared_fields(app, tocsin, file):
    content = json.dumps(HEAD).encode() + b"\n" + ROWS
    said = tocsin("bulk", file("people.ndjson", content), "--json")
    assert said.json["received"] == 3
    assert [reject["line"] for reject in batch(tocsin, said)["rejects"]] == [3]


def test_csv_needs_batch(app, tocsin, file):
    said = tocsin("bulk", file("people.csv", b"address\nanna@example.com\n"))
    assert said.code == 2
    assert "--batch" in said.err


def test_csv_is_told_by_the_name_also_when_it_is_zipped(app, tocsin, file):
    path = file("people.csv.gz", gzip.compress(b"address,name\nanna@example.com,Anna\n"))
    assert tocsin("bulk", path, "--batch", json.dumps(HEAD), "--json").json["received"] == 1


def test_shared_fields_come_out_of_a_file(app, tocsin, file):
    head = file("head.json", json.dumps(HEAD).encode())
    assert tocsin("bulk", file("people.ndjson", ROWS), "--batch", f"@{head}").code == 0


def test_rows_come_from_standard_input(app, tocsin):
    said = tocsin("bulk", "-", "--batch", json.dumps(HEAD), "--json", stdin=ROWS)
    assert said.json["received"] == 3


def test_a_fault_in_the_shared_fields_is_told_by_its_field(app, tocsin, file):
    head = json.dumps({**HEAD, "chanel": "email"})
    said = tocsin("bulk", file("people.ndjson", ROWS), "--batch", head)
    assert said.code == 5
    assert 'did you mean "channel"?' in said.err


def test_shared_fields_that_are_no_json_are_a_wrong_call(app, tocsin, file):
    said = tocsin("bulk", file("people.ndjson", ROWS), "--batch", "{")
    assert said.code == 2
    assert "no valid JSON" in said.err


def test_an_idempotency_key_takes_a_file_in_once(app, tocsin, file):
    call = (
        "bulk",
        file("people.ndjson", ROWS),
        "--batch",
        json.dumps(HEAD),
        "--idempotency-key",
        "k",
        "--json",
    )
    first, again = tocsin(*call).json, tocsin(*call).json
    assert (again["batch"], again["replayed"]) == (first["batch"], True)


def test_a_key_with_other_shared_fields_is_refused(app, tocsin, file):
    path = file("people.ndjson", ROWS)
    tocsin("bulk", path, "--batch", json.dumps(HEAD), "--idempotency-key", "k")
    other = json.dumps({**HEAD, "subject": "Other news"})
    assert tocsin("bulk", path, "--batch", other, "--idempotency-key", "k").code == 5


def test_waiting_ends_when_the_batch_is_finished(app, tocsin, file, monkeypatch):
    def finish(_seconds):
        with app.engine.begin() as conn:
            conn.exec_driver_sql(
                "UPDATE message_batches SET state = 'finished', finished_at = now(), delivered = 2"
            )

    monkeypatch.setattr("app.cli.bulk.sleep", finish)
    said = tocsin("bulk", file("people.ndjson", ROWS), "--batch", json.dumps(HEAD), "--wait", "--json")
    assert (said.json["state"], said.json["delivered"]) == ("finished", 2)


def test_people_are_told_how_to_follow_a_batch(app, tocsin, file):
    said = tocsin("bulk", file("people.ndjson", ROWS), "--batch", json.dumps(HEAD))
    assert "tocsin status " in said.out


def test_a_batch_is_shown_to_people_with_counts_and_rejects(app, tocsin, file):
    said = tocsin("bulk", file("people.ndjson", ROWS), "--batch", json.dumps(HEAD), "--json")
    shown = tocsin("status", said.json["batch"]).out
    assert "waiting" in shown
    assert "rejected because" in shown
