from app.services.upkeep import bulk
from app.services.upkeep.bulk import Stalls
from app.services.upkeep.incoming import wake_inbox, wake_parked, wake_topics


def test_a_webhook_that_waits_wakes_recording(table, tools, wake):
    table.inbox()
    wake_inbox(tools)
    assert wake.told == [("inbox",)]


def test_processed_webhooks_wake_nobody(table, tools, wake):
    table.inbox(processed=True)
    wake_inbox(tools)
    assert wake.told == []


def test_a_parked_fact_wakes_its_recording(table, tools, wake):
    assert not wake_parked(tools)
    table("INSERT INTO parked_events (gateway, fact) VALUES ('postal', '{}')")
    wake_parked(tools)
    assert wake.told == [("parked",)]


def test_a_batch_whose_wake_was_lost_is_woken_at_the_second_look(table, tools, wake):
    batch = table.batch()
    stalls = Stalls()
    assert [stalls.wake(tools) for _ in range(2)] == [0, 1]
    assert wake.told == [("batch", "P2", batch)]


def test_a_batch_that_gets_on_is_left_alone(table, tools, wake):
    batch = table.batch(state="expanding")
    stalls = Stalls()
    for line in (10, 20, 30):
        table("UPDATE message_batches SET expanded_line = %s WHERE id = %s", line, batch)
        stalls.wake(tools)
    assert wake.told == []


def test_a_stalled_batch_is_woken_again_only_after_some_patience(table, tools, wake, monkeypatch):
    table.batch()
    stalls = Stalls()
    assert [stalls.wake(tools) for _ in range(4)] == [0, 1, 0, 0]
    monkeypatch.setattr(bulk, "PATIENCE", -1.0)
    assert stalls.wake(tools) == 1


def test_batches_in_upload_or_expanded_are_left_alone(table, tools, wake):
    for state in ("uploading", "expanded", "finished", "cancelled", "discarded"):
        table.batch(state=state)
    stalls = Stalls()
    assert [stalls.wake(tools) for _ in range(2)] == [0, 0]


def test_members_that_a_gateway_does_not_know_wake_whoever_tells_it(table, tools, wake):
    assert not wake_topics(tools)
    table("INSERT INTO topics (id, name) VALUES (1, 'news')")
    table("INSERT INTO device_tokens (id, token, platform, recipient_id) VALUES (1, 'a', 'fcm', 1)")
    table("INSERT INTO topic_members (topic_id, device_id, state) VALUES (1, 1, 'subscribing')")
    assert wake_topics(tools)
    assert wake.told == [("topics",)]
