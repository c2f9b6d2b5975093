from datetime import timedelta
from itertools import pairwise

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.domain.vocabulary import Channel, Priority, Status
from app.services import dead_letter_rows as rows
from app.services.dead_letter_rows import Criteria


def everything(desk, criteria, limit=50):
    """Read all pages."""
    cursor, found = None, []
    while True:
        page = desk.letters.page(criteria, owner=None, cursor=cursor, limit=limit)
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


def test_what_was_not_sent_is_listed_newest_first(desk):
    messages = [desk.put(status) for status in ("failed", "held", "expired", "cancelled")]
    for status in ("pending", "sent", "delivered", "bounced", "suppressed", "processing"):
        desk.put(status)
    found = everything(desk, Criteria())
    assert [letter.uuid for letter in found] == [message.uuid for message in reversed(messages)]


def test_a_dead_letter_says_why(desk):
    message = desk.put("failed", last_error="550: no such user", last_error_class="recipient", gateway="ses")
    [letter] = everything(desk, Criteria())
    assert (letter.uuid, letter.error_class, letter.code, letter.gateway, letter.last_error) == (
        message.uuid,
        "recipient",
        "550",
        "ses",
        "550: no such user",
    )


@pytest.mark.parametrize("words", ["no gateway is healthy", "the recipient is suppressed: manual", None])
def test_what_is_no_code_is_told_as_none(desk, words):
    desk.put("failed", last_error=words)
    [letter] = everything(desk, Criteria())
    assert letter.code is None


@pytest.mark.parametrize(("look", "limit"), [(3, 2), (7, 5), (10_000, 5)])
def test_pages_give_each_match_once_in_order_however_far_a_look_reaches(desk, monkeypatch, look, limit):
    monkeypatch.setattr(rows, "LOOK", look)
    for number in range(40):
        desk.put(("failed", "expired", "held")[number % 3], gateway="ses" if number % 4 == 0 else "postal")
    found = everything(desk, Criteria(gateway="ses"), limit=limit)
    assert len(found) == 10
    assert all(first.created_at >= second.created_at for first, second in pairwise(found))
    assert len({letter.uuid for letter in found}) == 10


@pytest.mark.parametrize("look", [3, 10_000])
def test_a_count_sees_every_match(desk, monkeypatch, look):
    monkeypatch.setattr(rows, "LOOK", look)
    for number in range(20):
        desk.put(("failed", "expired")[number % 2], gateway="ses" if number % 4 == 0 else "postal")
    counted = desk.letters.count(Criteria(gateway="ses"), owner=None)
    assert (counted.count, counted.complete) == (5, True)


def test_a_count_stops_where_it_would_take_long(desk, monkeypatch):
    monkeypatch.setattr(rows, "LOOK", 4)
    monkeypatch.setattr("app.services.dead_letters.COUNTED_UP_TO", 8)
    desk.world.add("P3", 20, status="failed")
    counted = desk.letters.count(Criteria(), owner=None)
    assert (counted.count, counted.complete) == (8, False)


def test_reasons_are_counted_the_most_frequent_first(desk):
    desk.world.add(
        "P3", 3, status="failed", last_error="550: gone", last_error_class="recipient", gateway="ses"
    )
    desk.world.add("P1", 2, status="expired", last_error="no gateway is healthy", gateway=None)
    desk.put("held", last_error_class="unknown", last_error="timed_out: 15 s", gateway="postal")
    reasons = desk.letters.reasons(Criteria(), owner=None)
    assert reasons.complete
    assert [(r.status, r.error_class, r.gateway, r.code, r.count) for r in reasons.items] == [
        ("failed", "recipient", "ses", "550", 3),
        ("expired", None, None, None, 2),
        ("held", "unknown", "postal", "timed_out", 1),
    ]


def test_reasons_say_where_there_is_more_than_they_looked_at(desk, monkeypatch):
    monkeypatch.setattr(rows, "LOOK", 3)
    desk.world.add("P3", 4, status="failed")
    reasons = desk.letters.reasons(Criteria(), owner=None)
    assert [reason.count for reason in reasons.items] == [3]
    assert not reasons.complete


def test_a_client_sees_its_own(desk):
    mine = desk.put("failed", client_id=7)
    desk.put("failed", client_id=8)
    page = desk.letters.page(Criteria(), owner=7)
    assert [letter.uuid for letter in page.items] == [mine.uuid]
    assert desk.letters.count(Criteria(client_id=8), owner=7).count == 1
    assert desk.letters.reasons(Criteria(), owner=7).items[0].count == 1


def test_criteria_survive_being_kept(desk):
    message = desk.put("failed")
    criteria = Criteria(
        statuses=(Status.FAILED,),
        channel=Channel.SMS,
        priority=Priority.P1,
        since=desk.world.clock() - timedelta(days=1),
        uuids=(message.uuid,),
        batch=message.uuid,
        gateway="",
    )
    assert Criteria.read(criteria.spelled()) == criteria


def test_a_look_reads_its_own_index_and_no_table(desk, owner_url):
    with psycopg.connect(owner_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute(
            "INSERT INTO message_queue (priority, message_type, client_id, channel, recipient_address,"
            " expires_at, max_attempts, status) SELECT 'P3', 'campaign', 1, 'email', 'a@b.example', now(), 3,"
            " CASE n % 50 WHEN 0 THEN 'failed' WHEN 1 THEN 'cancelled' ELSE 'pending' END"
            " FROM generate_series(1, 20000) AS n"
        )
        owner.execute("VACUUM ANALYZE message_queue")
        looked = rows._looked(Criteria(), before=10_000, look=20)
        compiled = sa.select(looked).compile(
            dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
        )
        plan = owner.execute(f"EXPLAIN {compiled}".encode()).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "Seq Scan on message_queue_p3" not in text
    assert "message_queue_p3_cancelled_idx" in text
    assert "message_queue_p3_status_id_idx" in text
