"""Sequences: what follows, when, and what stops it."""

import multiprocessing
import threading
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import orjson
import pytest
import sqlalchemy as sa

from app.db.engine import make_engine
from app.db.sql import run
from app.domain.vocabulary import Channel, MessageType
from app.errors import Conflict, InFlight, Invalid, KeyReused, NotFound, Unavailable
from app.queue import PACKAGE
from app.services import request_json
from app.services.catalog import Catalog
from app.services.following import StepDraft, request_of
from app.services.requests import File
from app.services.senders import SenderDraft, SenderService
from app.services.sequences import SequenceService
from app.services.suppressions import SuppressionDraft, SuppressionService
from app.services.upkeep.advancing import advance_sequences, forget_sequences
from tests.accepting import WHO, Place, RecordedWakes, email
from tests.world import wait_for

MINUTE = timedelta(minutes=1)
NUMBER = "+41791234567"
ORDER = {Channel.EMAIL: ("postal",), Channel.SMS: ("twilio",), Channel.VOICE: ("twilio_voice",)}
FORK = multiprocessing.get_context("fork")


@dataclass
class Sequences:
    """A place with three channels, and a scheduler's way to advance what is due."""

    place: Place
    service: SequenceService
    tools: SimpleNamespace

    def start(self, *steps, request=None, **options):
        request = request or email(message_type=MessageType.ALERT)
        return self.service.start(self.place.caller, request, steps or [sms()], **options)

    def advance(self):
        return advance_sequences(self.tools, self.place.settings)

    def get(self, begun):
        return self.service.get(self.place.caller, begun.sequence)

    def states(self, begun):
        return [step.state for step in self.get(begun).steps]

    def pass_(self, **length):
        """Let time pass for all that waits."""
        self.place.do(
            "UPDATE sequence_steps SET due_at = due_at - :length WHERE state = 'waiting'",
            length=timedelta(**length),
        )

    def channels(self):
        return [row[0] for row in self.place.all("SELECT channel FROM message_queue ORDER BY id")]

    def deliver(self, uuid):
        self.place.do(
            "UPDATE message_queue SET status = 'delivered', sent_at = now(), delivered_at = now()"
            " WHERE uuid = :uuid",
            uuid=uuid,
        )

    def tell(self, uuid, event_type):
        self.place.do(
            "INSERT INTO delivery_events (message_id, priority, event_type, source)"
            " SELECT id, priority, :event_type, 'test' FROM message_queue WHERE uuid = :uuid",
            uuid=uuid,
            event_type=event_type,
        )


def sms(after=MINUTE, **changes):
    changes = {"recipient_address": NUMBER, **changes}
    until = changes.pop("until", "delivered")
    return StepDraft(channel=Channel.SMS, after=after, until=until, changes=changes)


def voice(after=MINUTE, **changes):
    return replace(sms(after, **changes), channel=Channel.VOICE)


def tools_of(engine, catalog, wakes):
    return SimpleNamespace(
        engine=engine,
        once=engine.execution_options(isolation_level="AUTOCOMMIT"),
        catalog=catalog,
        wake=wakes,
        stopping=threading.Event(),
    )


@pytest.fixture
def sequences(place):
    place.catalog = Catalog(place.engine, ORDER)
    for channel in (Channel.SMS, Channel.VOICE):
        draft = SenderDraft(address="+41791112233", default_for=tuple(MessageType))
        SenderService(place.engine, place.catalog).save(WHO, channel, "hello", draft)
    tools = tools_of(place.engine, place.catalog, place.wakes)
    service = SequenceService(place.engine, place.catalog, place.wakes, place.settings)
    return Sequences(place, service, tools)


def test_the_first_message_is_sent_at_once_and_the_others_wait(sequences):
    begun = sequences.start(sms(), voice())
    assert sequences.channels() == ["email"]
    assert begun.accepted.status == "pending"
    assert sequences.states(begun) == ["sent", "waiting", "waiting"]
    assert sequences.place.wakes.lanes == [("P1", False)]


def test_before_its_time_nothing_follows(sequences):
    sequences.start()
    sequences.pass_(seconds=59)
    assert sequences.advance() == 0
    assert sequences.channels() == ["email"]


def test_without_a_delivery_the_next_follows_once(sequences):
    begun = sequences.start(sms(), voice())
    sequences.pass_(seconds=60)
    assert [sequences.advance(), sequences.advance()] == [1, 0]
    assert sequences.channels() == ["email", "sms"]
    assert sequences.states(begun) == ["sent", "sent", "waiting"]


def test_the_lane_hears_of_what_follows(sequences):
    sequences.start()
    sequences.pass_(minutes=1)
    sequences.place.wakes.lanes.clear()
    sequences.advance()
    assert sequences.place.wakes.lanes == [("P1", False)]


def test_after_the_last_step_a_sequence_is_finished(sequences):
    begun = sequences.start()
    sequences.pass_(minutes=1)
    sequences.advance()
    view = sequences.get(begun)
    assert (view.state, [len(step.messages) for step in view.steps]) == ("finished", [1, 1])
    assert view.finished_at is not None


@pytest.mark.parametrize("until", ["delivered", "confirmed"])
def test_a_confirmation_of_any_earlier_message_stops_all_that_wait(sequences, until):
    begun = sequences.start(sms(), voice(until=until))
    sequences.pass_(minutes=1)
    sequences.advance()
    sequences.tell(begun.accepted.uuid, "confirmed")
    sequences.pass_(minutes=1)
    assert sequences.advance() == 0
    assert sequences.get(begun).state == "stopped"
    assert sequences.states(begun) == ["sent", "sent", "skipped"]


def test_a_delivery_stops_all_steps_that_ask_for_no_more(sequences):
    begun = sequences.start(sms(), voice())
    sequences.deliver(begun.accepted.uuid)
    sequences.pass_(minutes=1)
    assert sequences.advance() == 0
    assert sequences.states(begun) == ["sent", "skipped", "skipped"]
    assert sequences.get(begun).state == "stopped"


def test_a_step_that_waits_for_a_confirmation_is_not_stopped_by_a_delivery(sequences):
    begun = sequences.start(sms(), voice(until="confirmed"))
    sequences.deliver(begun.accepted.uuid)
    sequences.pass_(minutes=1)
    sequences.advance()
    assert sequences.states(begun) == ["sent", "skipped", "waiting"]
    sequences.pass_(minutes=1)
    assert sequences.advance() == 1
    assert sequences.channels() == ["email", "voice"]


def test_a_step_that_was_late_gives_the_next_one_its_whole_time(sequences):
    sequences.start(sms(), voice())
    sequences.pass_(hours=1)
    assert sequences.advance() == 1
    assert sequences.advance() == 0
    sequences.pass_(seconds=50)
    assert sequences.advance() == 0
    sequences.pass_(seconds=10)
    assert sequences.advance() == 1


def test_a_step_is_not_taken_while_an_earlier_one_waits(sequences):
    begun = sequences.start(sms(), voice())
    sequences.pass_(hours=1)
    which = sequences.place.value("SELECT id FROM sequences WHERE uuid = :uuid", uuid=begun.sequence)
    with sequences.place.engine.begin() as conn:
        assert run(conn, PACKAGE, "take_step", {"sequence": which, "position": 3}).all() == []


def test_a_scheduled_message_is_waited_for(sequences):
    later = datetime.now(UTC) + timedelta(hours=1)
    begun = sequences.start(request=email(message_type=MessageType.ALERT, scheduled_for=later))
    assert sequences.get(begun).steps[1].due_at == later + MINUTE


def test_a_suppressed_first_message_stops_nothing(sequences):
    service = SuppressionService(sequences.place.engine)
    service.add(WHO, SuppressionDraft(channel="email", address="ann@example.com"))
    begun = sequences.start()
    assert begun.accepted.status == "suppressed"
    sequences.pass_(minutes=1)
    assert sequences.advance() == 1


def test_a_suppressed_recipient_of_a_later_step_is_recorded_and_gets_nothing(sequences):
    service = SuppressionService(sequences.place.engine)
    begun = sequences.start(sms())
    service.add(WHO, SuppressionDraft(channel="sms", address=NUMBER))
    sequences.pass_(minutes=1)
    sequences.advance()
    assert [m.status for m in sequences.get(begun).steps[1].messages] == ["suppressed"]


def test_a_step_that_cannot_be_sent_any_more_lets_the_next_be_due_at_once(sequences):
    begun = sequences.start(sms(), voice(after=timedelta(hours=1)))
    sequences.place.do("UPDATE senders SET is_active = false WHERE channel = 'sms'")
    sequences.place.catalog.forget()
    sequences.pass_(minutes=1)
    assert [sequences.advance(), sequences.advance()] == [0, 1]
    view = sequences.get(begun)
    assert [step.state for step in view.steps] == ["sent", "failed", "sent"]
    assert "sender" in view.steps[1].error


def test_two_schedulers_at_once_send_a_step_once(sequences):
    sequences.start(sms(), voice())
    sequences.pass_(minutes=1)
    sent = []
    threads = [threading.Thread(target=lambda: sent.append(sequences.advance())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sent) == 1
    assert sequences.channels() == ["email", "sms"]


def test_whoever_dies_between_taking_a_step_and_its_message_has_done_neither(sequences, monkeypatch):
    begun = sequences.start()
    sequences.pass_(minutes=1)

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("app.services.upkeep.advancing.note_step", die)
        with pytest.raises(KeyboardInterrupt):
            sequences.advance()
    assert sequences.channels() == ["email"]
    assert sequences.states(begun) == ["sent", "waiting"]
    assert sequences.advance() == 1


def test_a_server_that_is_away_leaves_the_step_for_later(sequences, monkeypatch):
    begun = sequences.start()
    sequences.pass_(minutes=1)

    def away(*_, **__):
        raise Unavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr("app.services.upkeep.advancing.accept_within", away)
        with pytest.raises(Unavailable):
            sequences.advance()
    assert sequences.states(begun) == ["sent", "waiting"]


def test_a_cancelled_sequence_sends_nothing_more(sequences):
    begun = sequences.start(sms(), voice())
    view = sequences.service.cancel(sequences.place.caller, begun.sequence)
    assert view.state == "cancelled"
    assert [step.state for step in view.steps] == ["sent", "cancelled", "cancelled"]
    assert [message.status for message in view.steps[0].messages] == ["cancelled"]
    sequences.pass_(hours=1)
    assert sequences.advance() == 0


def test_a_sequence_that_is_over_cannot_be_cancelled(sequences):
    begun = sequences.start()
    sequences.service.cancel(sequences.place.caller, begun.sequence)
    with pytest.raises(Conflict, match="cancelled"):
        sequences.service.cancel(sequences.place.caller, begun.sequence)


def test_nobody_elses_sequence_is_there(sequences):
    begun = sequences.start()
    other = sequences.place.client("other", {"messages:send"})
    with pytest.raises(NotFound):
        sequences.service.get(other, begun.sequence)
    with pytest.raises(NotFound):
        sequences.service.cancel(other, begun.sequence)


def test_a_key_that_comes_again_gives_the_first_answer(sequences):
    first = sequences.start(idempotency_key="k", request_hash=b"1")
    again = sequences.start(idempotency_key="k", request_hash=b"1")
    assert again.sequence == first.sequence
    assert again.accepted.uuid == first.accepted.uuid
    assert again.accepted.replayed
    assert sequences.channels() == ["email"]


def test_a_key_of_another_request_is_refused(sequences):
    sequences.start(idempotency_key="k", request_hash=b"1")
    with pytest.raises(KeyReused):
        sequences.start(idempotency_key="k", request_hash=b"2")


def test_a_key_of_a_plain_message_is_refused_and_the_other_way_round(sequences):
    place = sequences.place
    sequences.start(idempotency_key="k")
    with pytest.raises(KeyReused):
        place.service.send(place.caller, email(), idempotency_key="k")
    place.service.send(place.caller, email(), idempotency_key="j")
    with pytest.raises(KeyReused):
        sequences.start(idempotency_key="j")


def test_a_key_in_use_is_refused_at_once(sequences):
    caller = sequences.place.caller
    with sequences.place.engine.begin() as conn:
        conn.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"),
            {"key": f"{caller.client_id}:k"},
        )
        with pytest.raises(InFlight):
            sequences.start(idempotency_key="k")


def test_faults_of_all_steps_are_told_by_their_number_and_nothing_is_kept(sequences):
    steps = [sms(recipient_address="12"), voice(after=timedelta(0)), sms(body_html="<p>x</p>")]
    with pytest.raises(Invalid) as caught:
        sequences.start(*steps, request=email(subject=None))
    fields = {fault.field for fault in caught.value.faults}
    assert {
        "subject",
        "sequence.0.recipient_address",
        "sequence.1.after_seconds",
        "sequence.2.body_html",
    } <= fields
    assert sequences.channels() == []


def test_more_than_ten_steps_are_refused(sequences):
    with pytest.raises(Invalid, match="1 to 10"):
        sequences.start(*[sms()] * 11)


def test_what_was_sent_is_kept_in_the_step_no_longer(sequences):
    sequences.start()
    sequences.pass_(minutes=1)
    sequences.advance()
    assert sequences.place.value("SELECT count(*) FROM sequence_steps WHERE request IS NOT NULL") == 0


def test_only_sequences_that_ended_long_ago_are_forgotten(sequences):
    over, lately, running = sequences.start(), sequences.start(), sequences.start()
    for begun, days in ((over, 31), (lately, 29)):
        sequences.service.cancel(sequences.place.caller, begun.sequence)
        sequences.place.do(
            "UPDATE sequences SET finished_at = now() - :ago WHERE finished_at > now() - interval '1 day'",
            ago=timedelta(days=days),
        )
    assert forget_sequences(sequences.tools, timedelta(days=30)) == 1
    assert sequences.get(lately).state == "cancelled"
    assert sequences.states(running) == ["sent", "waiting"]


def full_request():
    return email(
        body_html="<p>x</p>",
        reply_to="a@example.com",
        headers={"List-Id": "x"},
        attachments=(File(filename="a", content_type="a/b", content=b"\x00\xff", content_id="c"),),
        sections={Channel.EMAIL: {"sandbox": True}},
        sender="hello",
        metadata={"a": [1, None]},
        scheduled_for=datetime(2027, 1, 1, tzinfo=UTC),
        expires_at=datetime(2027, 1, 2, tzinfo=UTC),
        data={"name": "Ann"},
        recipient_id=7,
    )


def test_a_request_survives_being_written_down(place):
    assert request_json.read(orjson.loads(request_json.spelled(full_request()))) == full_request()


def test_another_channel_inherits_words_and_nothing_that_only_mail_has():
    step = request_of(full_request(), sms())
    assert (step.body_text, step.data, step.recipient_id) == ("It is 4711.", {"name": "Ann"}, 7)
    assert (step.body_html, step.sender, step.attachments, step.sections) == (None, None, (), {})
    assert step.scheduled_for is None


def test_the_same_channel_inherits_all_but_the_time():
    step = request_of(full_request(), StepDraft(channel=Channel.EMAIL, after=MINUTE))
    assert step == replace(full_request(), scheduled_for=None)


def test_words_of_its_own_put_all_others_aside():
    step = request_of(
        full_request(), StepDraft(channel=Channel.EMAIL, after=MINUTE, changes={"body_text": "Hi"})
    )
    assert (step.body_text, step.body_html) == ("Hi", None)


def test_a_call_goes_to_the_number_that_the_sms_went_to():
    first = replace(email(), channel=Channel.SMS, recipient_address=NUMBER)
    assert request_of(first, StepDraft(channel=Channel.VOICE, after=MINUTE)).recipient_address == NUMBER


def test_a_push_does_not_go_to_a_mail_address():
    assert request_of(email(), StepDraft(channel=Channel.PUSH, after=MINUTE)).recipient_address is None


def test_whoever_is_killed_while_advancing_leaves_each_step_taken_once_or_not_at_all(sequences, database_url):
    count = 60
    for number in range(count):
        alert = email(message_type=MessageType.ALERT, recipient_address=f"a{number}@example.com")
        sequences.start(request=alert)
    sequences.pass_(minutes=1)
    for advanced in (5, 20, 40):
        child = FORK.Process(target=advance_alone, args=(database_url, sequences.place.settings))
        child.start()
        wait_for(lambda: len(sequences.channels()) >= count + advanced)  # noqa: B023
        child.kill()
        child.join()
    while sequences.advance():
        pass
    assert Counter(sequences.channels()) == {"email": count, "sms": count}
    told = "SELECT state, (SELECT count(*) FROM sequence_messages AS m WHERE m.sequence_id = s.sequence_id"
    told += " AND m.position = s.position) FROM sequence_steps AS s"
    assert sequences.place.all(told) == [("sent", 1)] * 2 * count


def advance_alone(url, settings):
    """Advance with connections of one's own."""
    engine = make_engine(url, pool=2, name="child")
    advance_sequences(tools_of(engine, Catalog(engine, ORDER), RecordedWakes()), settings)
