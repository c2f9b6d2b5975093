"""Counting and ending batches, and cancelling them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import Conflict, NotFound
from app.services import batches, expansion
from app.services.bulk_upkeep import discard_abandoned_uploads, fold_batch_deltas, remove_expired_keys
from app.services.requests import Reject, Row
from tests.accepting import email, newsletter

STATUSES = ("pending", "processing", "sent", "delivered", "bounced", "failed", "expired", "cancelled", "held")


def taken_in(place, count: int, **head):
    rows = [Row(line, f"user{line}@example.com") for line in range(1, count + 1)]
    return place.service.send_bulk(place.caller, newsletter(**head), rows).batch


def expanded(place, count: int, **head):
    batch = taken_in(place, count, **head)
    place.expand(batch)
    return batch


def move(place, status: str, at_most: int, before: str = "pending") -> None:
    place.do(
        "UPDATE message_queue SET status = :status, sent_at = now(), delivered_at = now(),"
        " locked_by = CASE WHEN :status = 'processing' THEN gen_random_uuid() END,"
        " locked_at = CASE WHEN :status = 'processing' THEN now() END"
        " WHERE id IN (SELECT id FROM message_queue WHERE status = :before ORDER BY id LIMIT :most)",
        status=status,
        before=before,
        most=at_most,
    )


def counts(view) -> dict[str, int]:
    return {status: getattr(view, status) for status in STATUSES if getattr(view, status)}


def test_counts_are_right_before_anything_is_folded(place):
    batch = expanded(place, 10)
    move(place, "processing", 4)
    move(place, "sent", 3, "processing")
    assert counts(place.service.batch(place.caller, batch)) == {"pending": 6, "processing": 1, "sent": 3}


def test_folding_changes_no_count(place):
    batch = expanded(place, 10)
    move(place, "processing", 4)
    move(place, "failed", 2, "processing")
    before = place.service.batch(place.caller, batch)
    assert fold_batch_deltas(place.engine) == 4
    assert place.value("SELECT count(*) FROM batch_deltas") == 0
    assert counts(place.service.batch(place.caller, batch)) == counts(before)


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_is_counted(place, status):
    batch = expanded(place, 3)
    move(place, status, 2)
    fold_batch_deltas(place.engine)
    counted = counts(place.service.batch(place.caller, batch))
    assert counted == ({"pending": 3} if status == "pending" else {"pending": 1, status: 2})


def test_a_batch_is_finished_when_all_its_messages_rest(place):
    batch = expanded(place, 4)
    move(place, "sent", 3)
    fold_batch_deltas(place.engine)
    assert place.service.batch(place.caller, batch).state == "expanded"
    move(place, "bounced", 1)
    fold_batch_deltas(place.engine)
    view = place.service.batch(place.caller, batch)
    assert (view.state, view.percentage) == ("finished", 100.0)
    assert view.finished_at is not None


def test_a_held_message_keeps_its_batch_open(place):
    batch = expanded(place, 1)
    move(place, "held", 1)
    fold_batch_deltas(place.engine)
    assert place.service.batch(place.caller, batch).state == "expanded"


def test_a_batch_without_a_message_is_finished(place):
    batch = place.service.send_bulk(place.caller, newsletter(), [Reject(1, "x")]).batch
    place.expand(batch)
    fold_batch_deltas(place.engine)
    assert place.service.batch(place.caller, batch).state == "finished"


def test_a_replay_opens_a_finished_batch_again(place):
    batch = expanded(place, 2)
    move(place, "failed", 2)
    fold_batch_deltas(place.engine)
    move(place, "pending", 1, "failed")
    fold_batch_deltas(place.engine)
    assert place.service.batch(place.caller, batch).state == "expanded"
    move(place, "sent", 1)
    fold_batch_deltas(place.engine)
    view = place.service.batch(place.caller, batch)
    assert (view.state, counts(view)) == ("finished", {"sent": 1, "failed": 1})


def test_folders_at_once_count_each_change_once(place):
    batch = expanded(place, 200)
    for _ in range(20):
        move(place, "sent", 5)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: fold_batch_deltas(place.engine), range(4)))
    assert counts(place.service.batch(place.caller, batch)) == {"pending": 100, "sent": 100}


def test_every_received_row_is_in_exactly_one_count(place, monkeypatch):
    monkeypatch.setattr(expansion, "FIRST_SLICE", 3)
    rows = [Row(line, f"user{line % 7}@example.com") for line in range(1, 11)] + [Reject(11, "x")]
    batch = place.service.send_bulk(place.caller, newsletter(), rows).batch
    for _ in range(2):
        view = place.service.batch(place.caller, batch)
        of_status = sum(getattr(view, status) for status in (*STATUSES, "suppressed"))
        assert view.received == of_status + view.waiting + view.invalid + view.duplicate == 11
        place.expand(batch)


def test_another_clients_batch_is_not_to_be_seen(place):
    batch = taken_in(place, 1)
    other = place.client("other", {"messages:read"})
    for call in (place.service.batch, place.service.batch_rejects, place.service.cancel_batch):
        with pytest.raises(NotFound):
            call(other, batch)
    assert place.service.batch(place.client("boss"), batch).received == 1


def test_rejected_rows_come_in_pages(place):
    rows = [Row(1, "a@example.com"), *(Reject(line, f"reason {line}") for line in range(2, 9))]
    batch = place.service.send_bulk(place.caller, newsletter(), rows).batch
    found, cursor = [], None
    while True:
        page = place.service.batch_rejects(place.caller, batch, cursor=cursor, limit=3)
        found += [reject.line for reject in page.items]
        if (cursor := page.next) is None:
            break
    assert found == list(range(2, 9))


def test_cancelling_a_batch_leaves_what_was_sent(place):
    batch = expanded(place, 10)
    move(place, "processing", 3)
    move(place, "sent", 2, "processing")
    view = place.service.cancel_batch(place.caller, batch)
    assert view.state == "cancelled"
    assert counts(view) == {"processing": 1, "sent": 2, "cancelled": 7}


def test_cancelled_messages_have_their_event(place):
    place.service.cancel_batch(place.caller, expanded(place, 3))
    assert place.value("SELECT count(*) FROM delivery_events WHERE event_type = 'cancelled'") == 3


def test_a_cancelled_batch_is_expanded_no_further(place, monkeypatch):
    monkeypatch.setattr(expansion, "FIRST_SLICE", 4)
    monkeypatch.setattr(batches, "_SLICE", 3)
    batch = taken_in(place, 20)
    place.wakes.lane = lambda *_, **__: place.service.cancel_batch(place.caller, batch)
    place.expand(batch)
    view = place.service.batch(place.caller, batch)
    assert counts(view) == {"cancelled": 20}
    assert place.value("SELECT count(*) FROM message_queue") == 4
    assert place.value("SELECT count(*) FROM batch_staging") == 0


def test_a_cancelled_batch_is_finished_when_the_rest_rests(place):
    batch = expanded(place, 3)
    move(place, "processing", 1)
    place.service.cancel_batch(place.caller, batch)
    fold_batch_deltas(place.engine)
    assert place.service.batch(place.caller, batch).finished_at is None
    move(place, "sent", 1, "processing")
    fold_batch_deltas(place.engine)
    view = place.service.batch(place.caller, batch)
    assert (view.state, counts(view)) == ("cancelled", {"sent": 1, "cancelled": 2})
    assert view.finished_at is not None


def test_cancelling_again_is_no_error(place):
    batch = expanded(place, 3)
    first = place.service.cancel_batch(place.caller, batch)
    assert counts(place.service.cancel_batch(place.caller, batch)) == counts(first)


def test_a_finished_batch_cannot_be_cancelled(place):
    batch = expanded(place, 1)
    move(place, "sent", 1)
    fold_batch_deltas(place.engine)
    with pytest.raises(Conflict, match="finished"):
        place.service.cancel_batch(place.caller, batch)


def test_what_an_expander_left_staged_is_removed(place, monkeypatch):
    monkeypatch.setattr(expansion, "_clear_staging", lambda *_: None)
    expanded(place, 3)
    discard_abandoned_uploads(place.engine)
    assert place.value("SELECT count(*) FROM batch_staging") == 0


def test_only_expired_keys_are_removed(place):
    for key in ("old", "new"):
        place.service.send(place.caller, email(), idempotency_key=key)
    place.do("UPDATE idempotency_keys SET expires_at = now() - interval '1 second' WHERE key = 'old'")
    assert remove_expired_keys(place.engine) == 1
    assert place.all("SELECT key FROM idempotency_keys") == [("new",)]
