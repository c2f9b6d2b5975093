"""Accepting one message: what is written, what is refused, and what comes once only."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from app.db.engine import make_engine
from app.db.tables import gateways
from app.domain.vocabulary import Channel, MessageType, Priority, Status, SuppressionReason
from app.errors import Forbidden, InFlight, Invalid, KeyReused, NoGateway, Unavailable
from app.services.catalog import Catalog
from app.services.messages import MessageService
from app.services.requests import File
from app.services.suppressions import SuppressionDraft, SuppressionService
from app.services.way import Way
from tests.accepting import WHO, email


def fields(caught) -> set[str]:
    return {fault.field for fault in caught.value.faults}


def refused(place, **changes) -> set[str]:
    with pytest.raises(Invalid) as caught:
        place.service.send(place.caller, email(**changes))
    return fields(caught)


def suppress(place, **draft) -> None:
    wanted = {"channel": "email", "address": "ann@example.com"} | draft
    SuppressionService(place.engine).add(WHO, SuppressionDraft(**wanted))


def test_an_accepted_message_is_pending_and_says_where_it_goes(place):
    accepted = place.service.send(place.caller, email())
    assert (accepted.status, accepted.priority, accepted.gateway) == ("pending", "P4", "postal")


def test_an_accepted_message_is_a_row_with_all_that_was_said(place):
    uuid = place.service.send(place.caller, email(source_type="orders", source_id=7)).uuid
    row = place.one("SELECT * FROM message_queue WHERE uuid = :uuid", uuid=uuid)
    assert (row.recipient_address, row.subject, row.body_text) == (
        "ann@example.com",
        "Your code",
        "It is 4711.",
    )
    assert (row.source_type, row.source_id, row.client_id) == ("orders", 7, place.caller.client_id)
    assert (row.ip_pool, row.max_attempts) == ("transactional", 5)


def test_a_transactional_message_expires_after_an_hour(place):
    uuid = place.service.send(place.caller, email()).uuid
    row = place.one("SELECT expires_at - scheduled_for AS limit FROM message_queue WHERE uuid = :u", u=uuid)
    assert row.limit == timedelta(seconds=3600)


def test_a_message_scheduled_for_later_expires_by_that_time(place):
    later = datetime.now(UTC) + timedelta(days=2)
    uuid = place.service.send(place.caller, email(scheduled_for=later)).uuid
    row = place.one("SELECT * FROM message_queue WHERE uuid = :uuid", uuid=uuid)
    assert (row.scheduled_for, row.expires_at) == (later, later + timedelta(hours=1))


def test_a_time_that_has_passed_means_now(place):
    uuid = place.service.send(place.caller, email(scheduled_for=datetime.now(UTC) - timedelta(hours=3))).uuid
    age = place.value("SELECT now() - scheduled_for FROM message_queue WHERE uuid = :uuid", uuid=uuid)
    assert age < timedelta(minutes=1)


def test_an_accepted_message_has_its_event(place):
    uuid = place.service.send(place.caller, email()).uuid
    events = place.all(
        "SELECT event_type, source, e.priority FROM delivery_events e JOIN message_queue m"
        " ON m.id = e.message_id WHERE m.uuid = :uuid",
        uuid=uuid,
    )
    assert events == [("queued", "api", "P4")]


def test_an_accepted_message_makes_its_flow_known(place):
    place.service.send(place.caller, email())
    place.service.send(place.caller, email())
    flows = place.all("SELECT priority, channel, client_id FROM lane_flows")
    assert flows == [("P4", "email", place.caller.client_id)]


def test_the_lane_is_woken_after_the_commit(place):
    place.service.send(place.caller, email())
    assert place.wakes.lanes == [(Priority.P4, False)]


def test_the_address_is_kept_in_canonical_form(place):
    uuid = place.service.send(place.caller, email(recipient_address=" Ann@EXAMPLE.com ")).uuid
    assert place.value("SELECT recipient_address FROM message_queue WHERE uuid = :u", u=uuid) == (
        "Ann@example.com"
    )


def test_all_faults_of_a_request_come_at_once(place):
    assert refused(
        place,
        recipient_address="nobody",
        subject="two\nlines",
        template="unknown",
        body_text=None,
        sender="nobody",
        reply_to="x",
        headers={"Bcc": "eve@example.com"},
        category="",
        metadata={"a": "x" * 5000},
        scheduled_for=datetime.now(UTC) + timedelta(days=400),
        source_id=2**63,
    ) == {
        "recipient_address",
        "subject",
        "template",
        "sender",
        "reply_to",
        "headers.Bcc",
        "category",
        "metadata",
        "scheduled_for",
        "source_id",
    }


@pytest.mark.parametrize("subject", ["a\r\nBcc: eve@example.com", "a\nb", "a\x00b", "a\u2028b", "\ud800"])
def test_what_could_end_the_subject_is_refused(place, subject):
    assert refused(place, subject=subject) == {"subject"}


@pytest.mark.parametrize("name", ["Bcc", "To", "X-Mailer", "Subject", "List-\r\nBcc", "list", ""])
def test_other_headers_than_the_allowed_are_refused(place, name):
    with pytest.raises(Invalid) as caught:
        place.service.send(place.caller, email(headers={name: "x"}))
    assert all(field.startswith("headers") for field in fields(caught))


@pytest.mark.parametrize("name", ["In-Reply-To", "references", "List-Id", "List-Unsubscribe"])
def test_allowed_headers_are_kept(place, name):
    uuid = place.service.send(place.caller, email(headers={name: "<a@example.com>"})).uuid
    kept = place.value("SELECT options -> 'headers' FROM message_queue WHERE uuid = :uuid", uuid=uuid)
    assert kept == {name: "<a@example.com>"}


def test_a_header_with_a_line_break_is_refused(place):
    assert refused(place, headers={"References": "<a>\r\nBcc: eve@example.com"}) == {"headers.References"}


@pytest.mark.parametrize(
    "file",
    [
        File(filename="a\r\nb", content_type="text/plain", content=b"x"),
        File(filename="a.txt", content_type="text\nplain", content=b"x"),
        File(filename="a.txt", content_type="text/plain", content=b""),
        File(filename="a.txt", content_type="text/plain", content=b"x" * (10 * 1024 * 1024 + 1)),
    ],
)
def test_attachments_that_cannot_be_sent_are_refused(place, file):
    with pytest.raises(Invalid) as caught:
        place.service.send(place.caller, email(attachments=(file,)))
    assert all(field.startswith("attachments") for field in fields(caught))


def test_an_attachment_is_kept_as_the_sending_half_reads_it(place):
    file = File(filename="a.txt", content_type="text/plain", content=b"hello")
    uuid = place.service.send(place.caller, email(attachments=(file,))).uuid
    kept = place.value("SELECT options -> 'attachments' FROM message_queue WHERE uuid = :uuid", uuid=uuid)
    assert kept == [{"filename": "a.txt", "content_type": "text/plain", "content": "aGVsbG8="}]


@pytest.mark.parametrize("data", [{"a": "x\x00"}, {"a": 2**70}, {"a": "\ud800"}, {"a": "x" * 70_000}])
def test_data_that_cannot_be_kept_is_refused(place, data):
    assert refused(place, data=data) == {"data"}


def test_data_may_spell_an_escaped_nul(place):
    uuid = place.service.send(place.caller, email(data={"a": "\\u0000"})).uuid
    assert place.value("SELECT content_data FROM message_queue WHERE uuid = :u", u=uuid) == {"a": "\\u0000"}


def test_a_body_with_nul_is_refused(place):
    assert refused(place, body_text="a\x00b") == {"body_text"}


def test_a_message_without_words_is_refused(place):
    assert refused(place, subject=None, body_text=None) == {"subject", "body_text"}


def test_a_template_beside_a_body_is_refused(place, welcome):
    assert refused(place, template="welcome", data={"name": "Ann"}) == {"template"}


def test_a_missing_variable_is_named(place, welcome):
    assert refused(place, template="welcome", subject=None, body_text=None) == {"data.name"}


def test_a_message_keeps_its_templates_version(place, welcome):
    uuid = place.service.send(
        place.caller, email(template="welcome", subject=None, body_text=None, data={"name": "Ann"})
    ).uuid
    row = place.one("SELECT * FROM message_queue WHERE uuid = :uuid", uuid=uuid)
    assert (row.template, row.template_version, row.content_data) == ("welcome", 1, {"name": "Ann"})


def test_a_naive_time_is_refused(place):
    assert refused(place, scheduled_for=datetime(2030, 1, 1)) == {"scheduled_for"}  # noqa: DTZ001 - that is the fault.


def test_an_expiry_before_the_schedule_is_refused(place):
    now = datetime.now(UTC)
    assert refused(place, scheduled_for=now + timedelta(hours=2), expires_at=now + timedelta(hours=1)) == {
        "expires_at"
    }


@pytest.mark.parametrize(
    ("missing", "changes"),
    [
        ("messages:send", {}),
        ("messages:p0", {"message_type": MessageType.EMERGENCY}),
        ("messages:priority", {"priority": Priority.P2}),
        ("messages:gateway", {"gateway": "ses"}),
    ],
)
def test_what_a_key_may_not_do_is_forbidden(place, missing, changes):
    caller = place.client("weak", place.caller.scopes - {missing})
    with pytest.raises(Forbidden, match=missing):
        place.service.send(caller, email(**changes))


def test_a_named_gateway_is_pinned(place):
    uuid = place.service.send(place.caller, email(gateway="ses")).uuid
    row = place.one("SELECT gateway, gateway_pinned FROM message_queue WHERE uuid = :uuid", uuid=uuid)
    assert tuple(row) == ("ses", True)


def disable(place, gateway):
    values = {"channel": "email", "gateway": gateway, "enabled": False}
    with place.engine.begin() as conn:
        conn.execute(sa.insert(gateways).values(values))
    place.catalog.forget()


def test_what_is_urgent_is_taken_though_an_operator_disabled_the_gateway_that_it_names(place):
    disable(place, "ses")
    uuid = place.service.send(place.caller, email(gateway="ses")).uuid
    row = place.one("SELECT gateway, gateway_pinned FROM message_queue WHERE uuid = :uuid", uuid=uuid)
    assert tuple(row) == ("postal", False)


@pytest.mark.parametrize("changes", [{"gateway_only": True}, {"message_type": MessageType.CAMPAIGN}])
def test_all_else_that_names_it_is_refused(place, changes):
    disable(place, "ses")
    assert refused(place, gateway="ses", **changes) == {"gateway"}


def test_no_other_gateway_needs_one_that_is_named(place):
    assert refused(place, gateway_only=True) == {"gateway_only"}


def test_that_no_other_may_take_it_is_kept_with_the_message(place):
    uuid = place.service.send(place.caller, email(gateway="ses", gateway_only=True)).uuid
    assert place.one("SELECT options FROM message_queue WHERE uuid = :uuid", uuid=uuid)[0]["gateway_only"]


def test_a_gateway_that_is_none_is_refused(place):
    assert refused(place, gateway="carrier-pigeon") == {"gateway"}


def test_a_channel_without_gateway_says_so(place):
    with pytest.raises(NoGateway, match="sms"):
        place.service.send(
            place.caller, email(channel=Channel.SMS, recipient_address="+447700900123", subject=None)
        )


def test_without_any_gateway_the_variables_to_set_are_named(place):
    service = MessageService(place.engine, Catalog(place.engine, {}), place.wakes, place.settings, Way(None))
    with pytest.raises(NoGateway, match="POSTAL_URL"):
        service.send(place.caller, email())


def test_a_suppressed_recipient_is_recorded_and_not_pending(place):
    suppress(place, reason=SuppressionReason.BOUNCE_HARD)
    accepted = place.service.send(place.caller, email())
    assert (accepted.status, accepted.reason) == ("suppressed", "bounce_hard")
    assert place.all("SELECT event_type, data FROM delivery_events") == [
        ("suppressed", {"reason": "bounce_hard"})
    ]
    assert place.value("SELECT status FROM message_queue WHERE uuid = :u", u=accepted.uuid) == "suppressed"


def test_nobody_is_woken_for_a_suppressed_recipient(place):
    suppress(place)
    place.service.send(place.caller, email())
    assert place.wakes.lanes == []


def test_suppressions_compare_without_case(place):
    suppress(place, address="ANN@Example.com")
    assert place.service.send(place.caller, email(recipient_address="aNN@example.com")).status == "suppressed"


def test_an_expired_suppression_blocks_nobody(place):
    suppress(place, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert place.service.send(place.caller, email()).status == "pending"


def test_a_suppression_of_one_sender_blocks_everything_of_that_sender_only(place):
    suppress(place, reason=SuppressionReason.UNSUBSCRIBE, sender="Hello@example.com")
    assert place.service.send(place.caller, email()).status == "suppressed"
    suppress(place, address="bob@example.com", reason=SuppressionReason.UNSUBSCRIBE, sender="x@example.com")
    assert place.service.send(place.caller, email(recipient_address="bob@example.com")).status == "pending"


# Who is blocked by what, as the design decides it.
@pytest.mark.parametrize(
    ("reason", "blocked"),
    [
        ("bounce_hard", {"P0", "P1", "P2", "P3", "P4"}),
        ("legal", {"P0", "P1", "P2", "P3", "P4"}),
        ("manual", {"P0", "P1", "P2", "P3", "P4"}),
        ("complaint", {"P1", "P2", "P3"}),
        ("bounce_soft", {"P1", "P2", "P3", "P4"}),
        ("unsubscribe", {"P2", "P3"}),
    ],
)
def test_each_reason_blocks_its_priorities(place, reason, blocked):
    suppress(place, reason=SuppressionReason(reason))
    answers = {kind: place.service.send(place.caller, email(message_type=kind)) for kind in MessageType}
    assert {answer.priority for answer in answers.values() if answer.status == "suppressed"} == blocked


def test_an_unsubscribe_from_a_category_blocks_that_category_of_any_type(place):
    suppress(place, reason=SuppressionReason.UNSUBSCRIBE, category="digest")
    statuses = [
        place.service.send(place.caller, email(message_type=kind, category=category)).status
        for kind in (MessageType.NEWSLETTER, MessageType.TRANSACTIONAL)
        for category in ("digest", "other")
    ]
    assert statuses == ["suppressed", "pending", "suppressed", "pending"]


def test_the_first_answer_comes_again_for_the_same_key(place):
    first = place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"1")
    again = place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"1")
    assert (again.uuid, again.status, again.gateway, again.replayed) == (
        first.uuid,
        first.status,
        first.gateway,
        True,
    )
    assert place.value("SELECT count(*) FROM message_queue") == 1


def test_a_replay_wakes_nobody(place):
    for _ in range(2):
        place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"1")
    assert len(place.wakes.lanes) == 1


def test_a_suppressed_answer_comes_again_with_its_reason(place):
    suppress(place)
    for _ in range(2):
        answer = place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"1")
    assert (answer.status, answer.reason, answer.replayed) == (Status.SUPPRESSED, "manual", True)


def test_the_same_key_with_another_body_is_refused(place):
    place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"1")
    with pytest.raises(KeyReused):
        place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"2")


def test_keys_of_two_clients_are_two_keys(place):
    other = place.client("other")
    place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"1")
    assert not place.service.send(other, email(), idempotency_key="k", request_hash=b"2").replayed


def test_a_key_may_be_used_again_after_its_day(place):
    place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"1")
    assert place.value("SELECT expires_at - now() FROM idempotency_keys") > timedelta(hours=23)
    place.do("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")
    assert not place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"2").replayed
    assert place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"2").replayed


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "ü"])
def test_a_key_that_is_none_is_refused(place, key):
    with pytest.raises(Invalid, match="Idempotency-Key"):
        place.service.send(place.caller, email(), idempotency_key=key)


def test_an_invalid_request_leaves_its_key_free(place):
    with pytest.raises(Invalid):
        place.service.send(place.caller, email(subject=""), idempotency_key="k", request_hash=b"1")
    assert not place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"2").replayed


def test_twenty_requests_with_one_key_at_once_make_one_message(place):
    barrier = Barrier(20)

    def send(_):
        barrier.wait()
        try:
            return place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"1").uuid
        except InFlight:
            return None

    with ThreadPoolExecutor(20) as threads:
        answers = set(threads.map(send, range(20))) - {None}
    assert len(answers) == 1
    assert place.all("SELECT uuid FROM message_queue") == [(answers.pop(),)]


def test_a_key_in_use_by_a_running_request_is_refused_at_once(place):
    with place.engine.begin() as conn:
        conn.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
            {"name": f"{place.caller.client_id}:k"},
        )
        with pytest.raises(InFlight):
            place.service.send(place.caller, email(), idempotency_key="k", request_hash=b"1")


def test_a_key_taken_between_snapshot_and_lock_gives_the_first_answer(place):
    """Hold another request with the key between its write and its commit, with its lock let go."""
    with place.engine.connect() as other:
        other.execute(
            sa.text(
                "INSERT INTO idempotency_keys (client_id, key, request_hash, state, answer, expires_at)"
                " VALUES (:client, 'k', :hash, 'done', jsonb_build_object('uuid', new_uuid(), 'status',"
                " 'pending', 'priority', 'P4', 'gateway', 'postal', 'reason', NULL),"
                " now() + interval '1 day')"
            ),
            {"client": place.caller.client_id, "hash": b"message:1"},
        )
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(
                place.service.send, place.caller, email(), idempotency_key="k", request_hash=b"1"
            )
            while not place.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                assert not waiting.done()
            other.commit()
            assert waiting.result(10).replayed
    assert place.value("SELECT count(*) FROM message_queue") == 0


def test_a_database_that_is_down_is_unavailable(place):
    engine = make_engine("postgresql://nobody@127.0.0.1:1/none", pool=2, name="test")
    service = MessageService(engine, place.catalog, place.wakes, place.settings, Way(None))
    try:
        with pytest.raises(Unavailable):
            service.send(place.caller, email())
    finally:
        engine.dispose()
