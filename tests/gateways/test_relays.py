"""Mails given to relays by the transport, with real sockets on the other end."""

import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.gateways import relays as relays_module
from app.gateways.base import HttpFailure, HttpRequest, MailReply, MailRequest, Tls
from app.gateways.transport import Transport
from tests.gateways.relay_double import Relay, certificate

BODY = b"Subject: hello\r\n\r\n.one dot\r\n..two dots\r\nplain\r\n"


@pytest.fixture
def relay():
    """Makes relays; fields are replies by command."""
    made = []

    def start(*, tls=None, implicit=False, **replies):
        made.append(Relay(replies, tls=tls, implicit=implicit))
        return made[-1]

    yield start
    for each in made:
        each.stop()


@pytest.fixture
def transport():
    made = Transport(concurrency=8)
    yield made
    made.close()


def mail(to, **more):
    fields = {
        "url": to if isinstance(to, str) else to.url,
        "mail_from": "bounce+1@example.org",
        "recipient": "anna@example.com",
        "body": BODY,
        "tls": Tls.NEVER,
        "timeout": timedelta(seconds=5),
    }
    return MailRequest(**(fields | more))


def exchanged(transport, requests):
    waiting = list(enumerate(requests))

    def pull(free):
        given, waiting[:] = waiting[:free], waiting[free:]
        return given

    return {tag: result for batch in transport.exchange(pull) for tag, result in batch}


def test_a_mail_arrives_as_it_was_given_and_the_last_reply_comes_back(relay, transport):
    there = relay()
    reply = transport.fetch(mail(there))
    assert isinstance(reply, MailReply)
    assert (reply.status, reply.command, reply.body) == (250, "DOT", b"2.0.0 Ok: queued as 4F2A")
    assert reply.elapsed > timedelta(0)
    assert there.said == [
        "EHLO tocsin.example.org",
        "MAIL FROM:<bounce+1@example.org> SIZE=47",
        "RCPT TO:<anna@example.com>",
        "DATA",
        "DOT",
    ]
    assert there.mails == [BODY]


def test_mails_to_one_relay_share_a_connection(relay, transport):
    there = relay()
    for _ in range(3):
        assert transport.fetch(mail(there)).status == 250
    assert there.connections == 1
    assert len(there.mails) == 3
    assert "RSET" not in there.said


def test_a_relay_that_can_take_commands_together_gets_them_together(relay, transport):
    seen = []

    def answer(talk):
        seen.extend(talk.lines)
        return "250 ok"

    there = relay(EHLO="250-x\r\n250 PIPELINING", MAIL=answer)
    assert transport.fetch(mail(there)).status == 250
    assert seen == [b"RCPT TO:<anna@example.com>\r\n"]


def test_a_relay_that_can_is_asked_to_send_back_no_more_than_the_head(relay, transport):
    there = relay(EHLO="250-x\r\n250 DSN")
    transport.fetch(mail(there))
    assert there.said[1] == "MAIL FROM:<bounce+1@example.org> RET=HDRS"


def test_a_refused_recipient_is_a_reply_and_the_next_mail_begins_with_a_reset(relay, transport):
    replies = iter(["550-5.1.1 no\r\n550 5.1.1 such user", "250 ok"])
    there = relay(RCPT=lambda _: next(replies))
    refused = transport.fetch(mail(there))
    assert (refused.status, refused.command, refused.body) == (550, "RCPT", b"5.1.1 no\n5.1.1 such user")
    assert transport.fetch(mail(there)).status == 250
    assert there.connections == 1
    assert there.said[3:5] == ["RSET", "MAIL FROM:<bounce+1@example.org> SIZE=47"]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("CONNECT", "554 5.7.1 not you"),
        ("EHLO", "550 go away"),
        ("MAIL", "550 5.7.1 not that sender"),
        ("RCPT", "450 4.2.1 later"),
        ("DATA", "451 4.3.0 not now"),
        ("DOT", "554 5.7.1 spam"),
    ],
)
def test_every_refusal_says_to_what_it_was_the_answer(relay, transport, command, answer):
    there = relay(**{command: answer, "HELO": answer})
    reply = transport.fetch(mail(there))
    expected = "EHLO" if command == "CONNECT" else command
    assert isinstance(reply, MailReply)
    assert (reply.status, reply.command) == (int(answer[:3]), expected)
    assert reply.body == answer[4:].encode()


def test_a_wrong_password_is_the_answer_to_auth(relay, transport):
    there = relay(EHLO="250-x\r\n250 AUTH PLAIN", AUTH="535 5.7.8 wrong")
    reply = transport.fetch(mail(there, username="u", password="p"))
    assert (reply.status, reply.command) == (535, "AUTH")


def test_a_right_password_lets_us_in(relay, transport):
    there = relay(EHLO="250-x\r\n250 AUTH PLAIN")
    assert transport.fetch(mail(there, username="u", password="p")).status == 250
    assert there.said[1] == "AUTH PLAIN AHUAcA=="


def test_another_password_takes_another_connection(relay, transport):
    there = relay(EHLO="250-x\r\n250 AUTH PLAIN")
    for password in ("one", "two", "one"):
        transport.fetch(mail(there, username="u", password=password))
    assert there.connections == 2


# Before the last byte nothing is sent, from there on nobody knows


def cutting(command):
    return {command: lambda talk: talk.cut()}


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_connection_cut_before_the_mail_means_nothing_was_sent(relay, transport, command):
    result = transport.fetch(mail(relay(**cutting(command))))
    assert isinstance(result, HttpFailure)
    assert (result.written, result.timed_out) == (False, False)


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
def test_silence_before_the_mail_means_nothing_was_sent(relay, transport, command):
    there = relay(**{command: lambda talk: talk.mute()})
    result = transport.fetch(mail(there, timeout=timedelta(milliseconds=200)))
    assert (result.written, result.timed_out) == (False, True)
    assert result.elapsed >= timedelta(milliseconds=190)


@pytest.mark.parametrize(("ending", "late"), [("cut", False), ("close", False), ("mute", True)])
def test_no_reply_to_the_whole_mail_leaves_its_fate_unknown(relay, transport, ending, late):
    there = relay(DOT=lambda talk: getattr(talk, ending)())
    result = transport.fetch(mail(there, timeout=timedelta(milliseconds=300)))
    assert isinstance(result, HttpFailure)
    assert (result.written, result.timed_out) == (True, late)
    assert len(there.mails) == 1


def test_a_connection_cut_inside_the_mail_means_nothing_was_sent(relay, transport):
    def cut_inside(talk):
        talk.sock.sendall(b"354 go\r\n")
        talk.sock.recv(10)
        talk.cut()

    large = b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 76 + b"\r\n") * 400_000
    result = transport.fetch(mail(relay(DATA=cut_inside), body=large))
    assert isinstance(result, HttpFailure)
    assert result.written is False


def test_a_relay_that_reads_nothing_has_nothing(relay, transport):
    def read_nothing(talk):
        talk.sock.sendall(b"354 go\r\n")
        talk.mute()

    large = (b"y" * 76 + b"\r\n") * 400_000
    there = relay(DATA=read_nothing)
    result = transport.fetch(mail(there, body=large, timeout=timedelta(milliseconds=500)))
    assert (result.written, result.timed_out) == (False, True)


def test_a_no_inside_the_mail_is_an_answer(relay, transport):
    def refuse_early(talk):
        talk.sock.sendall(b"354 go\r\n")
        talk.sock.recv(10)
        talk.sock.sendall(b"552 5.3.4 too large\r\n")
        talk.mute()

    large = (b"y" * 76 + b"\r\n") * 400_000
    result = transport.fetch(mail(relay(DATA=refuse_early), body=large))
    assert (result.status, result.command) == (552, "DATA")


def test_a_large_mail_arrives_whole(relay, transport):
    large = b"Subject: x\r\n\r\n" + (b"." * 76 + b"\r\n") * 200_000
    there = relay()
    assert transport.fetch(mail(there, body=large)).status == 250
    assert there.mails == [large]


# Connections that are kept


def test_an_idle_connection_that_was_closed_costs_nothing(relay, transport):
    closed = threading.Event()

    def close_after(talk):
        talk.sock.sendall(b"250 ok\r\n")
        talk.sock.close()
        closed.set()
        talk.close()

    there = relay(DOT=close_after)
    assert transport.fetch(mail(there)).status == 250
    closed.wait(5)
    there.replies["DOT"] = "250 ok"
    assert transport.fetch(mail(there)).status == 250
    assert there.connections == 2


@pytest.mark.parametrize("ending", ["421 4.7.0 enough for one connection", None])
def test_a_relay_that_ends_a_kept_connection_gets_the_mail_on_a_new_one(relay, transport, ending):
    there = relay()
    assert transport.fetch(mail(there)).status == 250

    def once(talk):
        there.replies["MAIL"] = "250 ok"
        return ending or talk.cut()

    there.replies["MAIL"] = once
    assert transport.fetch(mail(there)).status == 250
    assert (there.connections, len(there.mails)) == (2, 2)


@pytest.mark.parametrize(("command", "written"), [("RCPT", False), ("DATA", False), ("DOT", True)])
def test_a_kept_connection_that_dies_in_the_middle_is_not_begun_anew(relay, transport, command, written):
    there = relay()
    transport.fetch(mail(there))
    there.replies[command] = lambda talk: talk.cut()
    result = transport.fetch(mail(there))
    assert isinstance(result, HttpFailure)
    assert result.written is written
    assert there.connections == 1


def test_a_421_on_a_new_connection_is_an_answer(relay, transport):
    there = relay(MAIL="421 4.7.0 too many")
    reply = transport.fetch(mail(there))
    assert (reply.status, reply.command, there.connections) == (421, "MAIL", 1)


def test_a_connection_that_was_idle_for_long_is_not_used(relay, transport, monkeypatch):
    there = relay()
    transport.fetch(mail(there))
    monkeypatch.setattr(relays_module, "MAX_IDLE", 0.0)
    transport.fetch(mail(there))
    assert there.connections == 2


def test_idle_connections_make_room_for_new_ones(relay):
    transport = Transport(concurrency=2)
    places = [relay() for _ in range(4)]
    for there in places:
        assert transport.fetch(mail(there)).status == 250
    assert len(transport._relays._idle) == 2
    transport.close()


def test_a_connection_outlives_the_time_of_the_mail_it_was_made_for(relay, transport):
    there = relay()
    transport.fetch(mail(there, timeout=timedelta(milliseconds=100)))
    time.sleep(0.15)  # The first mail's time limit has to pass.
    assert transport.fetch(mail(there)).status == 250
    assert there.connections == 1


def test_a_relay_that_does_not_take_its_leave_keeps_nobody(relay, transport):
    there = relay(QUIT=lambda talk: talk.mute(), RCPT="421 4.7.0 no")
    began = time.monotonic()
    assert transport.fetch(mail(there)).status == 421
    assert time.monotonic() - began < 1


# Many at once


def test_one_slow_relay_holds_up_neither_other_mails_nor_http(relay, transport):
    slow, quick = relay(DOT=lambda talk: talk.mute()), relay()

    class Web(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    web = HTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    post = HttpRequest(url=f"http://127.0.0.1:{web.server_port}/", body=b"x", headers={})
    slowly = mail(slow, timeout=timedelta(seconds=1))
    results = exchanged(transport, [slowly, post, mail(quick), post, mail(quick)] * 2)
    web.shutdown()
    thread.join()
    web.server_close()
    assert [getattr(results[n], "status", None) for n in range(10)] == [None, 200, 250, 200, 250] * 2
    assert all(results[n].elapsed < timedelta(milliseconds=800) for n in (1, 2, 3, 4, 6, 7, 8, 9))
    assert results[0].timed_out


def test_as_many_mails_are_on_their_way_as_there_are_places(relay, transport):
    together = threading.Barrier(8, timeout=10)

    def wait(_):
        together.wait()
        return "250 ok"

    there = relay(DOT=wait)
    results = exchanged(transport, [mail(there)] * 24)
    assert {result.status for result in results.values()} == {250}
    assert (there.connections, len(there.mails)) == (8, 24)


def test_an_exchange_that_is_given_up_leaves_a_transport_that_works(relay, transport):
    mute, good = relay(DOT=lambda talk: talk.mute()), relay()
    exchange = transport.exchange(lambda free: [(n, mail(mute)) for n in range(free)][:1])
    threading.Timer(0.2, mute.stop).start()
    next(exchange)
    exchange.close()
    assert transport._relays.busy == 0
    assert transport.fetch(mail(good)).status == 250


# What cannot be sent, and what is no SMTP


@pytest.mark.parametrize(
    "broken",
    [
        {"recipient": "a@example.com>\r\nRCPT TO:<b@example.com"},
        {"recipient": "a b@example.com"},
        {"recipient": ""},
        {"mail_from": "a@example.com> SIZE=1"},
        {"body": b"Subject: x\r\n\r\nno end"},
        {"body": b"Subject: x\r\n\r\n\n.\nMAIL FROM:<x@example.com>\r\n"},
        {"body": b"Subject: x\r\n\r\n\r.\r\n"},
        {"url": "http://127.0.0.1:1/"},
        {"url": "ftp://127.0.0.1:1/"},
    ],
)
def test_a_mail_that_cannot_be_put_on_the_wire_fails_alone(relay, transport, broken):
    there = relay()
    results = exchanged(transport, [mail(there), mail(there, **broken), mail(there)])
    assert [results[0].status, results[2].status] == [250, 250]
    assert results[1].written is False
    assert len(there.mails) == 2


def test_an_empty_envelope_sender_is_allowed(relay, transport):
    there = relay()
    assert transport.fetch(mail(there, mail_from="")).status == 250
    assert there.said[1] == "MAIL FROM:<> SIZE=47"


@pytest.mark.parametrize("garbage", ["hello", "999 what", "250-" + "x" * 9000, "\r\n".join(["250-x"] * 300)])
def test_what_is_no_smtp_is_no_yes(relay, transport, garbage):
    sent = transport.fetch(mail(relay(DOT=garbage)))
    unsent = transport.fetch(mail(relay(RCPT=garbage)))
    assert (sent.written, unsent.written) == (True, False)


def test_a_greeting_without_end_is_cut_off(relay, transport):
    result = transport.fetch(mail(relay(EHLO="\r\n".join(["250-x"] * 100_000))))
    assert result.written is False


def test_no_failure_tells_a_secret(relay, transport):
    for command in ("CONNECT", "AUTH", "MAIL", "DOT"):
        there = relay(EHLO="250-x\r\n250 AUTH PLAIN", **cutting(command))
        result = transport.fetch(mail(there, username="user-secret", password="pass-secret"))
        assert "secret" not in result.detail
        assert "anna" not in result.detail


# TLS


def test_starttls_encrypts_the_mail(relay, tmp_path):
    context, ca_file = certificate(tmp_path)
    there = relay(tls=context, EHLO="250-x\r\n250-PIPELINING\r\n250 STARTTLS")
    transport = Transport(concurrency=2, ca_file=ca_file)
    results = [transport.fetch(mail(there, tls=Tls.REQUIRED)) for _ in range(2)]
    transport.close()
    assert [result.status for result in results] == [250, 250]
    assert there.said[:3] == ["EHLO tocsin.example.org", "STARTTLS", "EHLO tocsin.example.org"]
    assert there.connections == 1
    assert there.mails == [BODY, BODY]


def test_tls_from_the_first_byte(relay, tmp_path):
    context, ca_file = certificate(tmp_path)
    there = relay(tls=context, implicit=True)
    transport = Transport(concurrency=2, ca_file=ca_file)
    large = b"Subject: x\r\n\r\n" + (b"." * 76 + b"\r\n") * 50_000
    assert transport.fetch(mail(there, tls=Tls.REQUIRED, body=large)).status == 250
    transport.close()
    assert there.mails == [large]


@pytest.mark.parametrize(("ending", "written"), [("DATA", False), ("DOT", True)])
def test_what_is_known_of_a_cut_connection_is_the_same_under_tls(relay, tmp_path, ending, written):
    context, ca_file = certificate(tmp_path)
    there = relay(tls=context, implicit=True, **cutting(ending))
    transport = Transport(concurrency=2, ca_file=ca_file)
    result = transport.fetch(mail(there, tls=Tls.REQUIRED))
    transport.close()
    assert result.written is written


def test_a_relay_without_tls_hears_nothing_where_it_is_required(relay, transport):
    there = relay()
    result = transport.fetch(mail(there, tls=Tls.REQUIRED, username="u", password="p"))
    assert result.written is False
    assert there.said == ["EHLO tocsin.example.org"]


def test_tls_that_is_offered_is_taken_and_else_done_without(relay, tmp_path):
    context, ca_file = certificate(tmp_path)
    with_tls, without = relay(tls=context, EHLO="250-x\r\n250 STARTTLS"), relay()
    transport = Transport(concurrency=2, ca_file=ca_file)
    replies = [transport.fetch(mail(there, tls=Tls.OFFERED)).status for there in (with_tls, without)]
    transport.close()
    assert replies == [250, 250]
    assert "STARTTLS" in with_tls.said


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(relay, transport, tmp_path):
    context, _ = certificate(tmp_path)
    there = relay(tls=context, implicit=True)
    result = transport.fetch(mail(there, tls=Tls.REQUIRED))
    assert isinstance(result, HttpFailure)
    assert result.written is False
    assert there.said == []
