"""What people send us, on real rows: refusals, answers, calls for help, in whatever order."""

from dataclasses import replace
from datetime import timedelta
from itertools import count
from uuid import uuid4

import pytest
import sqlalchemy as sa

from app.db.tables import inbound_messages, message_queue, senders
from app.domain.facts import Inbound, InboundKind, Tag
from app.domain.vocabulary import Channel, MessageType, Priority
from app.services.recording.inbound import Received, take_in
from app.services.recording.record import record
from tests.world import only

OURS = "+15017122661"
THEIRS = "+15558675310"

numbers = count(1)


@pytest.fixture
def desk(world):
    """The world with a number of ours to write from."""
    number = {
        "slug": "desk",
        "channel": "sms",
        "address": OURS,
        "default_for": [kind.value for kind in MessageType],
    }
    world.execute(sa.insert(senders), [number, number | {"slug": "other", "address": "+15017122662"}])
    return world


def letter(world, text, *, ago=timedelta(0), **changes):
    wanted = {
        "key": f"in-{next(numbers)}",
        "kind": InboundKind.MESSAGE,
        "channel": Channel.SMS,
        "sender": THEIRS,
        "recipient": OURS,
        "text": text,
        "received_at": world.clock() - ago,
    }
    return Inbound(**wanted | changes)


def arrive(world, *letters):
    with world.tools.engine.begin() as conn:
        received = [Received(gateway="twilio", inbox=None, inbound=each) for each in letters]
        return record(conn, world.tools, take_in(conn, world.tools, received))


def write(world, *, ago=timedelta(minutes=5), **columns):
    """Put a message there that was sent to them from our number."""
    wanted = {
        "status": "sent",
        "sent_at": world.clock() - ago,
        "channel": "sms",
        "recipient_address": THEIRS,
        "subject": None,
        "gateway": "twilio",
        "options": {"sender": "desk"},
        "tries": 1,
    }
    return world.one("P3", **wanted | columns)


def kept(world):
    return world.all(sa.select(inbound_messages).order_by(inbound_messages.c.id))


def refused(world):
    return [(row.channel, row.address, row.reason, row.sender, row.category) for row in world.suppressed()]


BY_DESK = ("sms", THEIRS, "unsubscribe", OURS, None)


# Kept


def test_what_was_sent_is_kept(desk):
    sent = letter(desk, "Thank you", external_id="SM1", media=["https://example.com/a.jpg"])
    arrive(desk, sent)
    row = only(kept(desk))
    assert (row.channel, row.gateway, row.external_id, row.kind) == ("sms", "twilio", "SM1", "message")
    assert (row.sender_address, row.recipient_address, row.body) == (THEIRS, OURS, "Thank you")
    assert (row.media, row.received_at) == (["https://example.com/a.jpg"], sent.received_at)


def test_what_is_told_twice_is_kept_once(desk):
    sent = letter(desk, "Thank you")
    arrive(desk, sent)
    arrive(desk, sent, sent)
    assert len(kept(desk)) == 1


def test_another_gateways_key_is_another_message(desk):
    sent = letter(desk, "Thank you")
    arrive(desk, sent)
    with desk.tools.engine.begin() as conn:
        take_in(conn, desk.tools, [Received(gateway="bandwidth", inbox=None, inbound=sent)])
    assert len(kept(desk)) == 2


def test_what_the_database_cannot_keep_is_left_out(desk):
    arrive(desk, letter(desk, "a\x00b\ud800"))
    assert only(kept(desk)).body == "ab?"


# Refusals


@pytest.mark.parametrize("text", ["STOP", "stop.", "Arrêt", "STOPP", "baja"])
def test_a_refusal_suppresses_for_that_sender_alone(desk, text):
    arrive(desk, letter(desk, text))
    assert refused(desk) == [BY_DESK]
    assert only(desk.suppressed()).source == "twilio"


def test_a_refusal_by_another_channel_holds_there(desk):
    arrive(desk, letter(desk, "STOP", channel=Channel.WHATSAPP))
    assert refused(desk) == [("whatsapp", THEIRS, "unsubscribe", OURS, None)]


def test_a_sentence_with_the_word_in_it_refuses_nothing(desk):
    arrive(desk, letter(desk, "Please stop by tomorrow"))
    assert refused(desk) == []


def test_what_the_gateway_took_for_a_refusal_is_one(desk):
    arrive(desk, letter(desk, "leave me alone", opt_out=True))
    assert refused(desk) == [BY_DESK]


def test_a_refused_sender_can_send_nothing_more(desk):
    arrive(desk, letter(desk, "STOP"))
    asked = sa.text("SELECT count(*) FROM suppressions_of('sms', :a, NULL, NULL, :s, false, '{}')")
    with desk.tools.engine.connect() as conn:
        assert conn.scalar(asked, {"a": THEIRS, "s": OURS}) == 1
        assert conn.scalar(asked, {"a": THEIRS, "s": "+15017122662"}) == 0


def test_a_refusal_is_told_at_the_message_it_answers(desk):
    message = write(desk)
    arrive(desk, letter(desk, "STOP"))
    assert desk.history(message) == ["queued", "unsubscribed"]
    assert only(desk.suppressed()).message_id == message.id


# Asking again


def test_asking_again_releases_what_was_refused(desk):
    arrive(desk, letter(desk, "STOP", ago=timedelta(minutes=1)))
    arrive(desk, letter(desk, "START"))
    assert refused(desk) == []


def test_asking_again_releases_nothing_else(desk):
    others = [
        {"reason": "unsubscribe", "sender": "+15017122662"},
        {"reason": "unsubscribe", "sender": OURS, "category": "offers"},
        {"reason": "unsubscribe", "sender": OURS, "community_id": 7},
        {"reason": "unsubscribe"},
        {"reason": "manual", "sender": OURS},
        {"reason": "complaint"},
    ]
    for other in others:
        desk.suppress(THEIRS, channel="sms", **other)
    desk.suppress("+15558675311", "unsubscribe", channel="sms", sender=OURS)
    desk.suppress(THEIRS, "unsubscribe", channel="whatsapp", sender=OURS)
    before = refused(desk)
    arrive(desk, letter(desk, "STOP", ago=timedelta(minutes=1)))
    arrive(desk, letter(desk, "START"))
    assert refused(desk) == before


def test_what_the_gateway_took_for_asking_again_releases(desk):
    arrive(desk, letter(desk, "STOP", ago=timedelta(minutes=1)))
    arrive(desk, letter(desk, "ok go on", opt_out=False))
    assert refused(desk) == []


def test_a_release_is_in_the_audit_log_without_the_address(desk):
    arrive(desk, letter(desk, "STOP", ago=timedelta(minutes=1)))
    arrive(desk, letter(desk, "START"))
    row = only(desk.all(sa.text("SELECT * FROM audit_log WHERE action = 'suppression.release'")))
    assert row.actor == "inbound"
    assert THEIRS not in str(row.before)


@pytest.mark.parametrize("together", [True, False])
def test_the_word_that_was_sent_last_counts_whatever_comes_last(desk, together):
    stop = letter(desk, "STOP", ago=timedelta(minutes=2))
    start = letter(desk, "START", ago=timedelta(minutes=1))
    if together:
        arrive(desk, start, stop)
    else:
        arrive(desk, start)
        arrive(desk, stop)
    assert refused(desk) == []


def test_an_older_start_does_not_lift_a_newer_refusal(desk):
    arrive(desk, letter(desk, "STOP", ago=timedelta(minutes=1)))
    arrive(desk, letter(desk, "START", ago=timedelta(minutes=2)))
    assert refused(desk) == [BY_DESK]


def test_of_two_words_at_once_the_refusal_counts(desk):
    stop = letter(desk, "STOP")
    start = replace(letter(desk, "START"), received_at=stop.received_at)
    arrive(desk, stop, start)
    assert refused(desk) == [BY_DESK]


def test_a_word_to_another_sender_does_not_decide_here(desk):
    arrive(desk, letter(desk, "START", recipient="+15017122662"))
    arrive(desk, letter(desk, "STOP", ago=timedelta(minutes=1)))
    assert refused(desk) == [BY_DESK]


# Answers


def test_an_answer_is_told_at_the_last_message_from_that_sender(desk):
    older, message = write(desk, ago=timedelta(hours=2)), write(desk)
    other = write(desk, ago=timedelta(minutes=1), options={"sender": "other"})
    arrive(desk, letter(desk, "Thank you"))
    event = desk.events(message)[-1]
    assert (event.event_type, event.source) == ("replied", "twilio")
    assert event.data == {"inbound_id": only(kept(desk)).id}
    assert [desk.history(each) for each in (older, other)] == [["queued"], ["queued"]]


def test_what_was_sent_is_kept_with_the_message_it_answers(desk):
    message = write(desk)
    arrive(desk, letter(desk, "Thank you"))
    row = only(kept(desk))
    assert (row.message_id, row.message_uuid, row.client_id) == (message.id, message.uuid, 1)


def test_an_answer_to_a_bulk_message_finds_its_sender_in_the_batch(desk):
    batch = desk.batch(channel="sms", options={"sender": "desk"})
    message = write(desk, batch_id=batch, options=None)
    arrive(desk, letter(desk, "Thank you"))
    assert desk.history(message) == ["queued", "replied"]


def test_an_answer_to_a_messaging_service_is_found(desk):
    options = {"sender": "other", "sms": {"messaging_service": "MG1"}}
    message = write(desk, options=options)
    arrive(desk, letter(desk, "Thank you", recipient="MG1"))
    assert desk.history(message) == ["queued", "replied"]


def test_who_refuses_a_service_refuses_the_number_that_wrote_to_them_as_well(desk):
    arrive(desk, letter(desk, "STOP", recipient="MG1", number=OURS))
    assert {sender for *_, sender, _ in refused(desk)} == {"MG1", OURS}
    arrive(desk, letter(desk, "START", recipient="MG1", number=OURS))
    assert refused(desk) == []


def test_a_refusal_of_the_service_alone_is_taken_back_by_any_of_its_numbers(desk):
    message = write(desk, options={"sender": "other", "sms": {"messaging_service": "MG1"}})
    arrive(desk, letter(desk, "STOP", recipient="MG1"))
    assert {sender for *_, sender, _ in refused(desk)} == {"MG1"}
    arrive(desk, letter(desk, "YES", recipient="MG1", number=OURS))
    assert refused(desk) == []
    assert "replied" not in desk.history(message)


def test_a_refusal_of_the_number_alone_is_taken_back_by_asking_the_service(desk):
    arrive(desk, letter(desk, "STOP"))
    message = write(desk)
    arrive(desk, letter(desk, "YES", recipient="MG1", number=OURS))
    assert refused(desk) == []
    assert desk.history(message) == ["queued"]


@pytest.mark.parametrize("ago", [timedelta(days=8), -timedelta(hours=1)])
def test_an_answer_far_from_the_message_is_none_to_it(desk, ago):
    message = write(desk, ago=ago)
    assert arrive(desk, letter(desk, "Thank you")).recorded == 0
    assert desk.history(message) == ["queued"]


def test_an_answer_is_told_once(desk):
    message = write(desk)
    sent = letter(desk, "Thank you")
    arrive(desk, sent)
    arrive(desk, sent)
    assert desk.history(message) == ["queued", "replied"]


def test_a_yes_where_nothing_was_refused_is_an_answer(desk):
    message = write(desk)
    arrive(desk, letter(desk, "Yes"))
    assert desk.history(message) == ["queued", "replied"]


def test_a_yes_after_a_refusal_asks_again(desk):
    message = write(desk)
    arrive(desk, letter(desk, "STOP", ago=timedelta(minutes=1)))
    arrive(desk, letter(desk, "Yes"))
    assert refused(desk) == []
    assert desk.history(message) == ["queued", "unsubscribed"]


# Keys pressed during a call


def press(desk, message, digits, **changes):
    tag = Tag(uuid=message.uuid, priority=Priority.P3, attempt=1)
    return letter(desk, digits, kind=InboundKind.DIGITS, channel=Channel.VOICE, tag=tag, **changes)


def test_keys_that_nobody_asked_for_are_an_answer(desk):
    message = write(desk, channel="voice", gateway="twilio_voice")
    arrive(desk, press(desk, message, "1"))
    event = desk.events(message)[-1]
    assert event.event_type == "replied"
    assert event.data == {"inbound_id": only(kept(desk)).id, "digits": "1"}


def test_the_key_that_was_asked_for_is_left_to_the_gateways_own_fact(desk):
    options = {"sender": "desk", "voice": {"confirm_digit": "1"}}
    message = write(desk, channel="voice", gateway="twilio_voice", options=options)
    arrive(desk, press(desk, message, "2"), press(desk, message, "1"))
    assert desk.history(message) == ["queued", "replied"]
    assert len(kept(desk)) == 2


def test_keys_for_a_message_that_is_not_known_yet_wait_for_it(desk):
    message = write(desk, channel="voice")
    unknown = replace(press(desk, message, "1"), tag=Tag(uuid=uuid4(), priority=Priority.P3, attempt=1))
    assert arrive(desk, unknown).parked == 1


# Help


@pytest.fixture
def helping(desk, settings):
    """The same process with a text for those who ask, and a way to send it."""
    settings = settings.model_copy(update={"help_text": "Call +1 501 712 2600."})
    app = replace(desk.app, settings=settings)
    catalog = app.catalog
    catalog._configured = {Channel.SMS: ("twilio",)}
    yield desk.with_tools(help_desk=app.help_desk)
    if "broker" in app.__dict__:
        app.broker.client.close()
    app.redis.close()


def answers(world):
    return world.all(sa.select(message_queue).where(message_queue.c.body_text == "Call +1 501 712 2600."))


def test_help_is_answered_by_a_message_of_ours(helping):
    arrive(helping, letter(helping, "HELP"))
    row = only(answers(helping))
    assert (row.priority, row.channel, row.recipient_address) == ("P4", "sms", THEIRS)
    assert row.options["sender"] == "desk"


def test_help_is_answered_by_the_number_of_a_service_that_it_came_to(helping):
    arrive(helping, letter(helping, "HELP", recipient="MG1", number=OURS))
    assert only(answers(helping)).options["sender"] == "desk"


def test_help_is_answered_once_an_hour(helping):
    arrive(helping, letter(helping, "HELP"), letter(helping, "info"))
    arrive(helping, letter(helping, "HELP"))
    assert len(answers(helping)) == 1
    helping.execute(sa.text("UPDATE inbound_messages SET answered_at = answered_at - interval '61 minutes'"))
    arrive(helping, letter(helping, "HELP"))
    assert len(answers(helping)) == 2


def test_everybody_who_asks_is_answered(helping):
    arrive(helping, letter(helping, "HELP"), letter(helping, "HELP", sender="+15558675311"))
    assert {row.recipient_address for row in answers(helping)} == {THEIRS, "+15558675311"}


def test_an_answer_that_is_done_again_after_a_fault_is_sent_once(helping):
    sent = Received(gateway="twilio", inbox=None, inbound=letter(helping, "HELP"))
    with helping.tools.engine.connect() as conn:
        take_in(conn, helping.tools, [sent])
        conn.rollback()
    with helping.tools.engine.begin() as conn:
        take_in(conn, helping.tools, [sent])
    assert len(answers(helping)) == 1


def test_who_asks_a_number_that_is_not_ours_is_not_answered(helping):
    arrive(helping, letter(helping, "HELP", recipient="+15017122663"))
    assert answers(helping) == []


def test_without_a_text_nobody_is_answered(desk):
    arrive(desk, letter(desk, "HELP"))
    assert answers(desk) == []
    assert only(kept(desk)).meaning == "help"


def test_who_refused_us_gets_no_help_either(helping):
    arrive(helping, letter(helping, "STOP", ago=timedelta(minutes=1)))
    arrive(helping, letter(helping, "HELP"))
    assert only(answers(helping)).status == "suppressed"
