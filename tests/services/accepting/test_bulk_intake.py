"""Taking in bulk requests: all rows or none, once for each key."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import sqlalchemy as sa

from app.errors import Conflict, Forbidden, InFlight, Invalid, KeyReused, NotFound, Unavailable
from app.services import inflow, staging
from app.services.bulk_upkeep import discard_abandoned_uploads
from app.services.requests import Reject, Row
from app.services.uploads import ndjson
from tests.accepting import email, newsletter


def people(count: int) -> list[Row]:
    return [Row(line, f"user{line}@example.com") for line in range(1, count + 1)]


class ConnectionLostError(Exception):
    pass


def broken(rows):
    yield from rows
    raise ConnectionLostError


def nothing_is_left(place) -> bool:
    tables = ("message_batches", "batch_staging", "batch_rejects", "message_queue", "idempotency_keys")
    return all(place.value(f"SELECT count(*) FROM {table}") == 0 for table in tables)


def lapse(place) -> None:
    place.do("UPDATE message_batches SET lease_until = now() - interval '1 second'")
    place.do("UPDATE idempotency_keys SET lease_until = now() - interval '1 second'")


def test_an_upload_is_staged_and_answered(place):
    answer = place.service.send_bulk(place.caller, newsletter(), people(3))
    assert (answer.status, answer.received, answer.invalid) == ("accepted", 3, 0)
    assert place.all("SELECT line, address FROM batch_staging ORDER BY line") == [
        (1, "user1@example.com"),
        (2, "user2@example.com"),
        (3, "user3@example.com"),
    ]


def test_an_accepted_batch_is_woken_for_its_lane(place):
    place.service.send_bulk(place.caller, newsletter(), people(1))
    batch = place.value("SELECT id FROM message_batches")
    assert place.wakes.batches == [("P2", batch)]


def test_what_rows_share_is_kept_once(place, welcome):
    place.service.send_bulk(
        place.caller,
        newsletter(template="welcome", subject=None, body_text=None, shared_data={"name": "all"}),
        people(1),
    )
    row = place.one("SELECT * FROM message_batches")
    assert (row.template, row.template_version, row.shared_data) == ("welcome", 1, {"name": "all"})
    assert row.options == {"sender": "hello"}


def test_bad_rows_are_rejected_with_line_and_reason(place):
    rows = [Row(2, "nobody"), Reject(3, "is no JSON"), Row(4, "ann@example.com"), Row(5, "")]
    answer = place.service.send_bulk(place.caller, newsletter(), rows)
    assert (answer.received, answer.invalid) == (4, 3)
    view = place.service.batch(place.caller, answer.batch)
    assert [(reject.line, reject.reason.partition(":")[0]) for reject in view.rejects] == [
        (2, "address"),
        (3, "is no JSON"),
        (5, "address"),
    ]


def test_a_row_without_its_variable_is_rejected(place, welcome):
    head = newsletter(template="welcome", subject=None, body_text=None)
    rows = [Row(1, "a@example.com", data={"name": "Ann"}), Row(2, "b@example.com", data={"nmae": "Bob"})]
    answer = place.service.send_bulk(place.caller, head, rows)
    rejects = place.service.batch(place.caller, answer.batch).rejects
    assert [(reject.line, reject.reason) for reject in rejects] == [(2, "data.name: is missing")]


def test_a_rows_own_data_wins_over_the_shared(place, welcome):
    head = newsletter(template="welcome", subject=None, body_text=None, shared_data={"name": "all"})
    rows = [Row(1, "a@example.com"), Row(2, "b@example.com", data={"name": 5})]
    assert place.service.send_bulk(place.caller, head, rows).invalid == 0


@pytest.mark.parametrize(
    "row",
    [
        Row(1, "a@example.com", type="x\ny"),
        Row(1, "a@example.com", id=2**63),
        Row(1, "a@example.com", data={"a": "\x00"}),
        Row(1, "a@example.com", data={"a": "x" * 40_000}),
    ],
)
def test_a_row_that_cannot_be_kept_is_rejected(place, row):
    assert place.service.send_bulk(place.caller, newsletter(), [row]).invalid == 1


@pytest.mark.parametrize("text", ["back\\slash", "\\N", "\\.", 'quo"te', "tab\there", "new\nline", "\\t"])
def test_texts_survive_the_way_into_staging(place, text):
    place.service.send_bulk(
        place.caller, newsletter(), [Row(1, "a@example.com", type="a\\b", data={"v": text})]
    )
    row = place.one("SELECT data, recipient_type FROM batch_staging")
    assert (row.data, row.recipient_type) == ({"v": text}, "a\\b")


def test_a_reason_with_any_text_survives(place):
    place.service.send_bulk(place.caller, newsletter(), [Reject(1, "a\tb\nc\\d"), Row(2, "a@example.com")])
    assert place.value("SELECT reason FROM batch_rejects") == "a\tb\nc\\d"


def test_the_first_line_of_an_address_counts(place):
    rows = [Row(1, "ann@example.com"), Row(2, "Bob@example.com"), Row(3, "ANN@EXAMPLE.COM"), Row(4, "x")]
    rows += [Row(line, "bob@example.com") for line in range(5, 10)]
    answer = place.service.send_bulk(place.caller, newsletter(), rows)
    assert place.all("SELECT line FROM batch_staging ORDER BY line") == [(1,), (2,)]
    view = place.service.batch(place.caller, answer.batch)
    assert (view.received, view.duplicate, view.invalid, view.waiting) == (9, 6, 1, 2)


def test_equal_hashes_alone_make_no_duplicate(place, monkeypatch):
    monkeypatch.setattr(inflow, "hash", lambda _: 1, raising=False)
    place.service.send_bulk(place.caller, newsletter(), [*people(3), Row(4, "user1@example.com")])
    assert place.all("SELECT line FROM batch_staging ORDER BY line") == [(1,), (2,), (3,)]


def test_duplicates_may_be_allowed(place):
    rows = [Row(1, "ann@example.com"), Row(2, "ann@example.com")]
    place.service.send_bulk(place.caller, newsletter(allow_duplicates=True), rows)
    assert place.value("SELECT count(*) FROM batch_staging") == 2


def test_an_upload_without_a_row_is_invalid_and_leaves_nothing(place):
    with pytest.raises(Invalid):
        place.service.send_bulk(place.caller, newsletter(), [], idempotency_key="k")
    assert nothing_is_left(place)


def test_the_shared_fields_are_judged_before_any_row_is_read(place):
    with pytest.raises(Invalid):
        place.service.send_bulk(place.caller, newsletter(subject="a\nb"), broken([]))
    with pytest.raises(Forbidden):
        place.service.send_bulk(place.client("weak", ()), newsletter(), broken([]))


def test_nothing_can_be_seen_of_an_upload_before_its_end(place):
    def rows():
        yield from people(inflow.CHUNK + 1)
        assert place.value("SELECT count(*) FROM batch_staging") == inflow.CHUNK
        uuid = place.value("SELECT uuid FROM message_batches")
        with pytest.raises(NotFound):
            place.service.batch(place.caller, uuid)
        assert place.expand(uuid) == 0
        assert place.wakes.batches == []

    place.service.send_bulk(place.caller, newsletter(), rows())


def test_a_broken_upload_leaves_nothing(place):
    with pytest.raises(ConnectionLostError):
        place.service.send_bulk(
            place.caller, newsletter(), broken([*people(inflow.CHUNK + 1), Reject(7000, "x")]),
            idempotency_key="k",
        )  # fmt: skip
    assert nothing_is_left(place)


def test_an_upload_cut_at_half_and_repeated_reaches_each_person_once(place):
    with pytest.raises(ConnectionLostError):
        place.service.send_bulk(place.caller, newsletter(), broken(people(inflow.CHUNK)), idempotency_key="k")
    answer = place.service.send_bulk(
        place.caller, newsletter(), people(inflow.CHUNK + 5), idempotency_key="k"
    )
    place.expand(answer.batch)
    assert place.value("SELECT count(*) FROM message_queue") == inflow.CHUNK + 5
    assert place.value("SELECT count(DISTINCT recipient_address) FROM message_queue") == inflow.CHUNK + 5


def test_a_key_is_in_flight_while_its_upload_runs(place):
    def rows():
        yield Row(1, "a@example.com")
        with pytest.raises(InFlight):
            place.service.send_bulk(place.caller, newsletter(), people(1), idempotency_key="k")
        with pytest.raises(InFlight):
            place.service.send(place.caller, email(), idempotency_key="k")

    place.service.send_bulk(place.caller, newsletter(), rows(), idempotency_key="k")


def test_the_first_answer_comes_again_for_the_same_upload(place):
    def send():
        digest = hashlib.sha256()

        def body():
            for chunk in (b"{}\n", b'{"address":"a@example.com"}\n'):
                digest.update(chunk)
                yield chunk

        _, rows = ndjson(body())
        return place.service.send_bulk(
            place.caller, newsletter(), rows, idempotency_key="k", request_hash=digest.digest
        )

    first, again = send(), send()
    assert (again.batch, again.received, again.replayed) == (first.batch, 1, True)
    assert place.value("SELECT count(*) FROM message_batches") == 1
    assert len(place.wakes.batches) == 1


def test_another_upload_with_the_key_is_refused(place):
    place.service.send_bulk(
        place.caller, newsletter(), people(1), idempotency_key="k", request_hash=lambda: b"1"
    )
    with pytest.raises(KeyReused):
        place.service.send_bulk(
            place.caller, newsletter(), people(1), idempotency_key="k", request_hash=lambda: b"2"
        )


def test_a_message_with_a_batchs_key_is_refused(place):
    place.service.send_bulk(
        place.caller, newsletter(), people(1), idempotency_key="k", request_hash=lambda: b"1"
    )
    with pytest.raises(KeyReused):
        place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"1")


def killed_midway(place):
    """Leave an upload as a killed process does, with its lease running."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.services.bulk.discard", lambda *_, **__: None)
        with pytest.raises(ConnectionLostError):
            place.service.send_bulk(
                place.caller, newsletter(), broken([*people(3), Reject(4, "x")]), idempotency_key="k"
            )


def test_an_upload_with_a_running_lease_is_left_alone(place):
    killed_midway(place)
    assert discard_abandoned_uploads(place.engine) == 0
    assert not nothing_is_left(place)


def test_an_abandoned_upload_is_removed_once_its_lease_is_over(place):
    killed_midway(place)
    lapse(place)
    assert discard_abandoned_uploads(place.engine) == 1
    assert nothing_is_left(place)


def test_a_removal_that_was_cut_short_goes_on(place):
    killed_midway(place)
    place.do("UPDATE message_batches SET state = 'discarded'")
    place.do("DELETE FROM idempotency_keys")
    discard_abandoned_uploads(place.engine)
    assert nothing_is_left(place)


def test_the_key_of_a_dead_upload_can_be_used_without_waiting_for_the_job(place):
    killed_midway(place)
    lapse(place)
    answer = place.service.send_bulk(place.caller, newsletter(), people(2), idempotency_key="k")
    assert place.all("SELECT uuid FROM message_batches") == [(answer.batch,)]
    assert place.value("SELECT count(*) FROM batch_staging") == 2


def test_an_upload_that_lost_its_lease_cannot_finish(place):
    def rows():
        yield Row(1, "a@example.com")
        lapse(place)
        discard_abandoned_uploads(place.engine)

    with pytest.raises(Conflict):
        place.service.send_bulk(place.caller, newsletter(), rows(), idempotency_key="k")
    assert nothing_is_left(place)


def test_each_stored_chunk_renews_the_lease(place):
    def rows():
        yield Row(1, "a@example.com")
        place.do("UPDATE message_batches SET lease_until = now()")
        place.do("UPDATE idempotency_keys SET lease_until = now()")
        yield from (Row(line, f"u{line}@example.com") for line in range(2, inflow.CHUNK + 2))
        left = place.one(
            "SELECT b.lease_until - now() AS batch, k.lease_until - now() AS key"
            " FROM message_batches b, idempotency_keys k"
        )
        assert min(left) > staging.LEASE / 2

    place.service.send_bulk(place.caller, newsletter(), rows(), idempotency_key="k")


def test_twenty_uploads_with_one_key_at_once_make_one_batch(place):
    begun = Event()

    def rows():
        begun.set()
        yield from people(10)

    def send(_):
        try:
            return place.service.send_bulk(place.caller, newsletter(), rows(), idempotency_key="k").batch
        except InFlight:
            return None

    with ThreadPoolExecutor(20) as threads:
        answers = set(threads.map(send, range(20))) - {None}
    assert len(answers) == 1
    assert place.value("SELECT count(*) FROM message_batches") == 1
    assert place.value("SELECT count(*) FROM batch_staging") == 10


def test_connections_lost_between_chunks_cost_nothing(place):
    def rows():
        yield from people(inflow.CHUNK)
        with place.engine.connect() as conn:
            conn.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            )
        yield Row(inflow.CHUNK + 1, "last@example.com")

    place.service.send_bulk(place.caller, newsletter(), rows(), idempotency_key="k")
    assert place.value("SELECT count(*) FROM batch_staging") == inflow.CHUNK + 1


def test_a_connection_lost_in_a_chunk_undoes_the_upload(place, monkeypatch):
    def store(engine, *_):
        with engine.begin() as conn:
            conn.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    monkeypatch.setattr(inflow, "store", store)
    with pytest.raises(Unavailable):
        place.service.send_bulk(place.caller, newsletter(), people(1), idempotency_key="k")
    assert nothing_is_left(place)
