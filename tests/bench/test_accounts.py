"""The count at the gateways finds what it is for."""

from dataclasses import dataclass, field
from uuid import UUID

import psycopg
import pytest

from bench.accounts import account

KNOWN = UUID(int=1)
UNKNOWN = UUID(int=2)
_MESSAGE = """
INSERT INTO message_queue (
    uuid, priority, message_type, client_id, channel, recipient_address, status, possible_duplicate,
    sent_at, delivered_at, expires_at, max_attempts)
VALUES (
    %(uuid)s, 'P3', 'campaign', 1, 'email', 'reader@example.com', %(status)s, %(marked)s,
    CASE WHEN %(status)s IN ('sent', 'delivered') THEN now() END,
    CASE WHEN %(status)s = 'delivered' THEN now() END, now(), 3)
RETURNING id
"""


@dataclass
class Took:
    """Gateways that took these tries."""

    tries: list[tuple[UUID, int]] = field(default_factory=list)

    def entries(self):
        return [{"uuid": str(uuid), "attempt": attempt} for uuid, attempt in self.tries]


@pytest.fixture
def queue(owner_url):
    with psycopg.connect(owner_url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


def add(queue, status, *, marked=False):
    row = {"uuid": KNOWN, "status": status, "marked": marked}
    return queue.execute(_MESSAGE, row).fetchone()[0]


def test_a_message_that_was_sent_once_is_nothing_to_speak_of(queue):
    add(queue, "sent")
    found = account(queue, Took([(KNOWN, 1)]))
    assert (found.accepted, found.arrived) == (1, 1)
    assert not any((found.lost, found.doubled, found.held, found.miscounted, found.strangers))


def test_a_message_that_no_gateway_took_is_lost(queue):
    add(queue, "delivered")
    found = account(queue, Took())
    assert found.lost == (str(KNOWN),)
    assert found.miscounted == (str(KNOWN),)


def test_a_message_that_the_queue_does_not_know_is_lost(queue):
    add(queue, "sent")
    found = account(queue, Took([(KNOWN, 1)]), [str(KNOWN), str(UNKNOWN)])
    assert found.lost == (str(UNKNOWN),)


def test_a_held_message_is_known_to_be_unknown(queue):
    add(queue, "held")
    assert account(queue, Took()).held == 1
    assert account(queue, Took([(KNOWN, 1)])).unproven == 1
    assert not account(queue, Took()).lost


def test_two_tries_without_a_mark_are_told(queue):
    add(queue, "sent")
    found = account(queue, Took([(KNOWN, 1), (KNOWN, 2)]))
    assert found.doubled == 1
    assert found.unmarked == (str(KNOWN),)
    assert not found.repeated


def test_a_marked_row_may_have_arrived_twice(queue):
    add(queue, "sent", marked=True)
    found = account(queue, Took([(KNOWN, 1), (KNOWN, 2)]))
    assert found.doubled == 1
    assert not found.unmarked


def test_a_marked_event_is_a_mark_too(queue):
    message = add(queue, "sent")
    queue.execute(
        "INSERT INTO delivery_events (message_id, priority, event_type, source, data) "
        "VALUES (%s, 'P3', 'sent', 'worker', '{\"possible_duplicate\": true}')",
        (message,),
    )
    assert not account(queue, Took([(KNOWN, 1), (KNOWN, 2)])).unmarked


def test_one_try_that_arrived_twice_is_told_though_it_is_marked(queue):
    add(queue, "sent", marked=True)
    assert account(queue, Took([(KNOWN, 1), (KNOWN, 1)])).repeated == (str(KNOWN),)


def test_a_message_that_arrived_and_failed_with_us_is_miscounted(queue):
    add(queue, "failed")
    assert account(queue, Took([(KNOWN, 1)])).miscounted == (str(KNOWN),)


def test_what_is_not_ours_is_a_stranger(queue):
    assert account(queue, Took([(UNKNOWN, 1)])).strangers == (str(UNKNOWN),)
