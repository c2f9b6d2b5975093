"""The relay's double, spoken to by the standard library's client."""

import base64
import hmac
import smtplib
from email import message_from_bytes

import pytest

from app.simulator.environment import port_of

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"
BACK = f"bounce+{TAG}@bounces.simulator.example"
MAIL = f"From: N <n@example.org>\r\nSubject: S\r\nMessage-ID: <{TAG}@x.example>\r\n\r\n.dot\r\n..two\r\n"


@pytest.fixture
def client():
    """A function that connects to the relay of a simulator, logged in."""
    clients = []

    def connect(simulated, word="simulated"):
        made = smtplib.SMTP("127.0.0.1", port_of("smtp", simulated.base), timeout=10)
        clients.append(made)
        made.login("simulator", word)
        return made

    yield connect
    for each in clients:
        each.close()


def refusal(client, recipient="anna@example.com", sender=BACK):
    """The code and the first word of what the relay says no with."""
    try:
        client.sendmail(sender, [recipient], MAIL)
    except smtplib.SMTPRecipientsRefused as exc:
        code, text = exc.recipients[recipient]
    except smtplib.SMTPResponseException as exc:
        code, text = exc.smtp_code, exc.smtp_error
    else:
        return None
    return code, text.decode().split()[0]


def test_a_mail_is_taken_with_our_tag(simulated, client):
    relay = client(simulated)
    for name in ("anna", "bert"):
        assert refusal(relay, f"{name}@example.com") is None
    entries = simulated.entries()
    assert [(each["gateway"], each["address"], each["tag"]) for each in entries] == [
        ("smtp", "anna@example.com", TAG),
        ("smtp", "bert@example.com", TAG),
    ]


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ("delivered", None),
        ("bounce", (550, "5.1.1")),
        ("held", (554, "5.7.1")),
        ("throttled", (450, "4.7.1")),
        ("rejected", (554, "5.7.1")),
        ("down", (451, "4.3.2")),
        ("late-bounce", None),
    ],
)
def test_the_recipient_decides_what_is_said(simulated, client, fate, expected):
    assert refusal(client(simulated), f"{fate}+1@example.com") == expected
    assert len(simulated.entries()) == (expected is None)


def test_after_a_refusal_the_connection_carries_on(simulated, client):
    relay = client(simulated)
    assert refusal(relay, "bounce@example.com") == (550, "5.1.1")
    assert refusal(relay) is None


def test_a_wrong_password_is_refused(simulated, client):
    with pytest.raises(smtplib.SMTPAuthenticationError):
        client(simulated, word="wrong")


def test_nothing_is_taken_of_strangers(simulated):
    with smtplib.SMTP("127.0.0.1", port_of("smtp", simulated.base), timeout=10) as relay:
        assert refusal(relay) == (530, "5.7.0")


def test_a_sender_of_others_is_refused(simulated, client):
    assert refusal(client(simulated), sender="n@unverified.example") == (553, "5.7.1")


def test_a_mail_may_be_lost_after_it_was_taken(simulated, client):
    with pytest.raises(smtplib.SMTPServerDisconnected):
        refusal(client(simulated), "lost@example.com")
    assert len(simulated.entries()) == 1


def test_its_port_can_be_closed_and_opened(simulated, client):
    relay = client(simulated)
    simulated.control("POST", "faults", gateway="smtp", mode="refuse")
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.1", port_of("smtp", simulated.base), timeout=10)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        relay.noop()
    simulated.control("DELETE", "faults")
    assert refusal(client(simulated)) is None


def test_a_fault_of_the_whole_relay_strikes_every_mail(simulated, client):
    simulated.control("POST", "faults", gateway="smtp", mode="throttle")
    assert refusal(client(simulated)) == (451, "4.7.1")
    assert simulated.entries() == []


@pytest.mark.parametrize(
    ("fate", "told"),
    [
        ("late-bounce", [("failed", "5.1.1")]),
        ("soft-bounce", [("delayed", "4.2.2"), ("failed", "4.2.2")]),
        ("deferred", [("delayed", "4.2.2")]),
    ],
)
def test_what_cannot_be_delivered_comes_back_as_a_report(telling, receiver, client, fate, told):
    simulated = telling()
    refusal(client(simulated), f"{fate}@example.com")
    reports = []
    for got in receiver.take(len(told)):
        signature = hmac.new(b"simulated", got.body, "sha256").hexdigest()
        assert (got.path, got.headers["x-tocsin-signature"]) == ("/webhooks/smtp", f"sha256={signature}")
        mail = message_from_bytes(got.body)
        assert mail["to"] == f"<{BACK}>"
        assert mail.get_content_type() == "multipart/report"
        status = mail.get_payload(1).get_payload(1)
        reports.append((status["action"], status["status"]))
    assert reports == told


def test_a_complaint_comes_as_a_feedback_report(telling, receiver, client):
    simulated = telling()
    refusal(client(simulated), "complaint@example.com")
    (got,) = receiver.take()
    report = message_from_bytes(got.body).get_payload(1).get_payload(0)
    assert (report["feedback-type"], report["original-mail-from"]) == ("abuse", f"<{BACK}>")


def test_a_login_in_two_steps_is_one(simulated):
    with smtplib.SMTP("127.0.0.1", port_of("smtp", simulated.base), timeout=10) as relay:
        relay.ehlo()
        assert relay.docmd("AUTH PLAIN")[0] == 334
        assert relay.docmd(base64.b64encode(b"\0simulator\0simulated").decode())[0] == 235
