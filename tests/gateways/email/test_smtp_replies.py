"""What relays' replies mean, with expected values from the RFCs and from what real relays say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass
from app.gateways.base import HttpResponse, MailReply
from app.gateways.email.smtp.sending import Smtp

SMTP = Smtp(url="smtp://relay.example.net:587/")
COMMANDS = ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "DOT"]


def outcome(envelope, command, status, text):
    reply = MailReply(status=status, body=text.encode(), command=command)
    (found,) = SMTP.read([envelope()], reply)
    return found


@pytest.mark.parametrize(
    ("command", "status", "text", "kind", "scope"),
    [
        ("EHLO", 421, "4.3.2 too many connections", "throttle", None),
        ("EHLO", 450, "4.3.2 try later", "transient", None),
        ("EHLO", 554, "5.7.1 no service for you", "config", "account"),
        ("AUTH", 535, "5.7.8 authentication failed", "config", "account"),
        ("AUTH", 454, "4.7.0 temporary authentication failure", "transient", None),
        ("MAIL", 421, "4.7.0 too fast", "throttle", None),
        ("MAIL", 451, "4.3.0 queue file write error", "transient", None),
        ("MAIL", 452, "4.3.1 insufficient system storage", "transient", None),
        ("MAIL", 530, "5.7.0 must issue a STARTTLS command first", "config", "account"),
        ("MAIL", 550, "5.7.1 sender rejected", "config", "sender"),
        ("MAIL", 553, "5.1.8 domain of sender does not exist", "config", "sender"),
        ("MAIL", 501, "5.1.7 bad sender address syntax", "config", "sender"),
        ("MAIL", 552, "5.3.4 message size exceeds fixed limit", "content", None),
        ("MAIL", 552, "too large", "content", None),
        ("RCPT", 550, "5.1.1 user unknown", "recipient", None),
        ("RCPT", 550, "5.1.2 no such host", "recipient", None),
        ("RCPT", 501, "5.1.3 bad recipient address syntax", "recipient", None),
        ("RCPT", 551, "5.1.6 has moved", "recipient", None),
        ("RCPT", 556, "5.1.10 domain takes no mail", "recipient", None),
        ("RCPT", 552, "5.2.2 over quota", "unreachable", None),
        ("RCPT", 450, "4.2.1 mailbox busy", "unreachable", None),
        ("RCPT", 452, "4.2.2 mailbox full", "unreachable", None),
        ("RCPT", 450, "4.7.1 greylisted", "throttle", None),
        ("RCPT", 421, "4.7.0 closing", "throttle", None),
        ("RCPT", 451, "4.3.0 lookup failure", "transient", None),
        ("RCPT", 450, "mailbox unavailable", "transient", None),
        ("RCPT", 554, "5.7.1 <a@b>: Relay access denied", "config", "account"),
        ("RCPT", 550, "Relaying denied", "config", "account"),
        ("RCPT", 550, "5.7.1 Authentication required", "config", "account"),
        ("RCPT", 553, "5.7.1 Sender address rejected: not owned by user", "config", "sender"),
        ("RCPT", 550, "5.1.8 Sender address rejected: Domain not found", "config", "sender"),
        ("RCPT", 554, "5.7.1 blocked by policy", "content", None),
        ("RCPT", 550, "no such user here", "content", None),
        ("RCPT", 550, "5.2.1 mailbox disabled", "content", None),
        ("DATA", 354, "go on", "transient", None),
        ("DATA", 451, "4.3.0 not now", "transient", None),
        ("DATA", 554, "5.5.1 no valid recipients", "content", None),
        ("DOT", 250, "2.0.0 ok", "accepted", None),
        ("DOT", 451, "4.3.0 try again", "transient", None),
        ("DOT", 421, "4.3.0 going down", "transient", None),
        ("DOT", 451, "4.7.1 too much", "throttle", None),
        ("DOT", 554, "5.7.1 spam", "content", None),
        ("DOT", 552, "5.3.4 too large", "content", None),
        ("DOT", 354, "what", "unknown", None),
    ],
)
def test_a_reply_means_what_it_answers(envelope, command, status, text, *, kind, scope):
    found = outcome(envelope, command, status, text)
    assert (found.kind, found.scope) == (kind, scope)


@pytest.mark.parametrize(
    ("text", "queue_id"),
    [
        ("2.0.0 Ok: queued as 4F2Ab9", "4F2Ab9"),
        ("OK id=1rTxyz-0003Ab-2C", "1rTxyz-0003Ab-2C"),
        ("2.0.0 Ok: queued as <4F2A>", "4F2A"),
        ("2.6.0 queued mail for delivery", None),
        ("Ok", None),
    ],
)
def test_the_relays_name_for_the_mail_is_kept(envelope, text, queue_id):
    assert outcome(envelope, "DOT", 250, text).external_id == queue_id


def test_the_relays_words_are_kept_without_the_address(envelope):
    found = outcome(envelope, "RCPT", 550, "5.1.1 <RCPT@example.com>: no such user\nin our table")
    assert found.code == "5.1.1"
    assert "rcpt@" not in found.detail.lower()
    assert "no such user" in found.detail


def test_without_a_code_of_its_own_the_replys_is_kept(envelope):
    assert outcome(envelope, "DOT", 554, "no").code == "554"


def test_an_answer_by_http_is_no_answer_of_a_relay(envelope):
    (found,) = SMTP.read([envelope()], HttpResponse(status=200, headers={}, body=b""))
    assert found == Outcome(kind=OutcomeClass.UNKNOWN, code="http_200")


@given(command=st.sampled_from(COMMANDS), status=st.integers(200, 599), body=st.binary(max_size=300))
def test_no_reply_is_too_strange_and_only_one_is_a_yes(envelope, command, status, body):
    (found,) = SMTP.read([envelope()], MailReply(status=status, body=body, command=command))
    assert (found.kind == "accepted") == (command == "DOT" and 200 <= status < 300)
    assert len(found.detail) <= 300


@given(command=st.sampled_from(COMMANDS[:-1]), status=st.integers(200, 599), body=st.binary(max_size=99))
def test_nothing_before_the_mail_is_unknown(envelope, command, status, body):
    (found,) = SMTP.read([envelope()], MailReply(status=status, body=body, command=command))
    assert found.kind != "unknown"
