"""Mails that come back, in the forms of RFC 3464 and RFC 5965 and as older systems write them."""

import base64
import hmac
from datetime import UTC, datetime
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.vocabulary import EventType, OutcomeClass
from app.errors import Forged, ProofMissing
from app.gateways.base import WebhookRequest
from app.gateways.email.smtp.bounces import facts_of
from app.gateways.email.smtp.webhook import SmtpWebhook
from app.settings import Settings

RECEIVED = datetime(2026, 11, 22, 12, tzinfo=UTC)
TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
BACK = f"bounce+{TAG}@bounces.example.org"


def report(fields, to=BACK, extra="", original=f"Message-ID: <{TAG}@bounces.example.org>", date=None):
    date = date or "Sun, 22 Nov 2026 10:00:00 +0000"
    text = f"""\
    From: Mail Delivery System <MAILER-DAEMON@mx.example.com>
    To: {to}
    Date: {date}
    Message-ID: <r1@mx.example.com>
    Auto-Submitted: auto-replied
    MIME-Version: 1.0
    Content-Type: multipart/report; report-type=delivery-status; boundary="b1"
    {extra}
    --b1
    Content-Type: text/plain

    This is the mail system. It could not be delivered.

    --b1
    Content-Type: message/delivery-status

    Reporting-MTA: dns; mx.example.com
    Arrival-Date: Sun, 22 Nov 2026 09:59:00 +0000

    """
    head = dedent(text).replace("\n\n--b1", "\n\n--b1", 1)
    ending = f"\n\n--b1\nContent-Type: text/rfc822-headers\n\n{original}\n\n--b1--\n"
    return (head + dedent(fields).strip() + ending).encode()


def failed(status, said="", action="failed"):
    return f"""
    Final-Recipient: rfc822; rcpt@example.com
    Action: {action}
    Status: {status}
    Diagnostic-Code: {said or "smtp; see above"}
    """


def only(source):
    (fact,) = facts_of(source, RECEIVED)
    return fact


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        ("5.1.1", "smtp; 550 5.1.1 user unknown", OutcomeClass.RECIPIENT),
        ("5.1.2", "", OutcomeClass.RECIPIENT),
        ("5.1.10", "", OutcomeClass.RECIPIENT),
        ("5.4.4", "", OutcomeClass.RECIPIENT),
        ("5.2.1", "", OutcomeClass.RECIPIENT),
        ("5.0.0", "smtp; 550 5.1.1 no such user", OutcomeClass.RECIPIENT),
        ("5.0.0", "smtp; 550 no such user", OutcomeClass.RECIPIENT),
        ("5.1.8", "smtp; 550 5.1.8 sender's domain", OutcomeClass.UNREACHABLE),
        ("5.2.2", "smtp; 552 5.2.2 full", OutcomeClass.UNREACHABLE),
        ("5.7.1", "smtp; 554 5.7.1 spam", OutcomeClass.UNREACHABLE),
        ("5.3.4", "", OutcomeClass.UNREACHABLE),
        ("4.4.7", "smtp; 451 delivery time expired", OutcomeClass.UNREACHABLE),
        ("5.0.0", "smtp; 554 rejected", OutcomeClass.UNREACHABLE),
        ("", "", OutcomeClass.UNREACHABLE),
    ],
)
def test_only_a_clear_no_about_the_address_is_a_hard_bounce(status, said, outcome):
    fact = only(report(failed(status, said)))
    assert (fact.event_type, fact.outcome) == (EventType.BOUNCED, outcome)
    assert str(fact.tag) == TAG


def test_a_bounce_says_when_which_and_why():
    fact = only(report(failed("5.0.0", "smtp; 550 5.1.1 <rcpt@example.com> unknown")))
    assert fact.occurred_at == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert fact.code == "5.1.1"
    assert fact.detail == "smtp; 550 5.1.1 <<address>> unknown"


@pytest.mark.parametrize(
    ("action", "event", "outcome"),
    [
        ("delayed", EventType.DEFERRED, OutcomeClass.UNREACHABLE),
        ("Delayed (will retry)", None, None),
        ("delivered", EventType.DELIVERED, None),
        ("relayed", None, None),
        ("expanded", None, None),
        ("nonsense", None, None),
    ],
)
def test_each_action_has_its_meaning(action, event, outcome):
    facts = facts_of(report(failed("4.4.1", action=action)), RECEIVED)
    assert [(fact.event_type, fact.outcome) for fact in facts] == ([(event, outcome)] if event else [])


def test_what_failed_says_more_than_what_is_delayed():
    fields = dedent(failed("4.4.1", action="delayed")).strip() + "\n\n" + dedent(failed("5.1.1")).strip()
    assert only(report(fields)).outcome == OutcomeClass.RECIPIENT


@pytest.mark.parametrize(
    ("to", "extra", "original"),
    [
        (BACK, "", ""),
        (BACK.upper(), "", ""),
        ("postmaster@example.org", f"X-Original-To: {BACK}\n", ""),
        ("postmaster@example.org", f"Delivered-To: {BACK}\n", ""),
        ("postmaster@example.org", "", f"Message-ID: <{TAG}@example.org>"),
        ("postmaster@example.org", "", f"Return-Path: <{BACK}>"),
    ],
)
def test_our_tag_is_found_where_mail_systems_leave_it(to, extra, original):
    assert str(only(report(failed("5.1.1"), to=to, extra=extra, original=original)).tag) == TAG


def test_a_bounce_that_names_no_mail_of_ours_tells_nothing():
    assert facts_of(report(failed("5.1.1"), to="a@example.org", original="Message-ID: <x@y>"), RECEIVED) == []


def test_the_same_report_is_the_same_fact_and_another_is_not():
    one, two = report(failed("5.1.1")), report(failed("5.1.1"), extra="Received: by x\n")
    other = report(failed("5.1.1")).replace(b"<r1@", b"<r2@")
    assert only(one).key == only(two).key
    assert only(one).key != only(other).key


@pytest.mark.parametrize(
    "date", ["Sun, 22 Nov 2099 10:00:00 +0000", "yesterday", "Sun, 99 Nov 2026 10:00:00"]
)
def test_no_time_ahead_of_its_coming_is_believed(date):
    assert only(report(failed("5.1.1"), date=date)).occurred_at == RECEIVED


def complaint(kind, fields=f"Original-Mail-From: <{BACK}>"):
    text = f"""\
    From: <feedback@isp.example.com>
    To: abuse@example.org
    Date: Sun, 22 Nov 2026 10:00:00 +0000
    Message-ID: <c1@isp.example.com>
    MIME-Version: 1.0
    Content-Type: multipart/report; report-type=feedback-report; boundary="b1"

    --b1
    Content-Type: text/plain

    This is an abuse report.

    --b1
    Content-Type: message/feedback-report

    Feedback-Type: {kind}
    User-Agent: SomeISP/1.0
    Version: 1
    {fields}

    --b1
    Content-Type: message/rfc822

    From: Town Hall <news@example.org>
    Message-ID: <{TAG}@bounces.example.org>
    Subject: Hello

    Hi
    --b1--
    """
    return dedent(text).encode()


@pytest.mark.parametrize("kind", ["abuse", "Fraud", "virus", "other"])
def test_a_report_of_abuse_is_a_complaint(kind):
    fact = only(complaint(kind))
    assert (fact.event_type, str(fact.tag)) == (EventType.COMPLAINED, TAG)


def test_a_complaint_is_found_by_the_mail_it_is_about():
    assert str(only(complaint("abuse", "Arrival-Date: now")).tag) == TAG


def test_who_wants_no_more_unsubscribes():
    assert only(complaint("opt-out")).event_type == EventType.UNSUBSCRIBED


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "x-new"])
def test_other_feedback_tells_nothing(kind):
    assert facts_of(complaint(kind), RECEIVED) == []


def old(text, sender="MAILER-DAEMON@mx.example.com", extra=""):
    return f"From: {sender}\nTo: {BACK}\nMessage-ID: <o@x>\n{extra}\n{text}\n".encode()


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("<a@b>: 550 5.1.1 no such user", OutcomeClass.RECIPIENT),
        ("host said: 550 no such user", OutcomeClass.UNREACHABLE),
        ("452 4.2.2 mailbox full", OutcomeClass.UNREACHABLE),
    ],
)
def test_plain_words_of_a_mail_system_count_too(text, outcome):
    fact = only(old(text))
    assert (fact.event_type, fact.outcome) == (EventType.BOUNCED, outcome)


@pytest.mark.parametrize(
    "source",
    [
        old("I am away until 5.1.1 2027, call 550", sender="anna@example.com"),
        old("550 5.1.1", extra="Auto-Submitted: auto-replied (vacation)\n"),
        old("I have no idea what happened."),
        b"",
        b"\xff\xfe\0",
        b"Content-Type: multipart/report; boundary=\n\n--\n",
    ],
)
def test_what_is_no_report_tells_nothing(source):
    assert facts_of(source, RECEIVED) == []


def test_a_mail_nested_beyond_reason_tells_nothing():
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(3000))
    assert facts_of(nested, RECEIVED) == []


@given(st.binary(max_size=400), st.integers(0, 900))
def test_no_damage_makes_it_raise(damage, at):
    source = report(failed("5.1.1"))
    # Not even the message's name is sure: it may be what was damaged.
    assert len(facts_of(source[:at] + damage + source[at + len(damage) :], RECEIVED)) <= 1


# The proof


WEBHOOK = SmtpWebhook(secrets=("new-secret", "old-secret"))


def request(**headers):
    return WebhookRequest(
        method="POST",
        url="https://t.example.org/webhooks/smtp",
        headers=headers,
        body=report(failed("5.1.1")),
        received_at=RECEIVED,
    )


def basic(text):
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def signed(secret):
    digest = hmac.new(secret.encode(), report(failed("5.1.1")), "sha256").hexdigest()
    return {"x-tocsin-signature": f"sha256={digest}"}


@pytest.mark.parametrize("secret", ["new-secret", "old-secret"])
def test_each_secret_proves_it_in_either_way(secret):
    WEBHOOK.verify(request(**basic(f"anybody:{secret}")), None, RECEIVED)
    WEBHOOK.verify(request(**signed(secret)), None, RECEIVED)
    (fact,) = WEBHOOK.events(request())
    assert fact.event_type == EventType.BOUNCED


@pytest.mark.parametrize(
    "headers",
    [
        basic("anybody:wrong"),
        basic("new-secret"),
        basic("anybody:"),
        {"authorization": "Basic %%%"},
        {"authorization": "Basic /w=="},
        signed("wrong"),
        {"x-tocsin-signature": ""},
        {"x-tocsin-signature": "new-secret"},
        basic("anybody:new-secret") | {"x-tocsin-signature": "sha256=0"},
    ],
)
def test_what_is_not_proven_is_forged(headers):
    with pytest.raises(Forged) as raised:
        WEBHOOK.verify(request(**headers), None, RECEIVED)
    assert not isinstance(raised.value, ProofMissing)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer new-secret"}])
def test_without_credentials_they_are_asked_for(headers):
    with pytest.raises(ProofMissing):
        WEBHOOK.verify(request(**headers), None, RECEIVED)


def test_a_signature_is_of_these_very_bytes():
    proven = request(**signed("new-secret"))
    other = WebhookRequest(method="POST", url=proven.url, headers=proven.headers, body=proven.body + b" ")
    with pytest.raises(Forged):
        WEBHOOK.verify(other, None, RECEIVED)


def test_without_a_secret_there_is_no_webhook():
    assert SmtpWebhook.configured(Settings(_env_file=None)) is None
    made = SmtpWebhook.configured(Settings(_env_file=None, smtp_webhook_secrets="a, b"))
    assert made == SmtpWebhook(secrets=("a", "b"))
    assert "secrets" not in repr(made)
