import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from app.domain.facts import Tag
from app.domain.vocabulary import EventType
from app.errors import Forged
from app.gateways.base import WebhookRequest
from app.gateways.push.fcm.webhook import FirebaseWebhook

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
WEBHOOK = FirebaseWebhook(secrets=("new", "old"))


def report(reports, *, by="new", at=NOW, **headers):
    body = reports if isinstance(reports, bytes) else orjson.dumps(reports)
    timestamp = str(int(at.timestamp()))
    signed = hmac.new(by.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    given = {"x-tocsin-timestamp": timestamp, "x-tocsin-signature": f"sha256={signed}"}
    return WebhookRequest(
        method="POST", url="https://t.example/webhooks/firebase", headers=given | headers, body=body
    )


def test_a_report_becomes_a_fact():
    (fact,) = WEBHOOK.events(report([{"tag": TAG, "event": "opened", "at": "2026-11-22T11:59:00Z"}]))
    assert fact.tag == Tag.parse(TAG)
    assert fact.event_type is EventType.OPENED
    assert fact.occurred_at == NOW - timedelta(minutes=1)


def test_seconds_since_1970_are_a_time_too():
    (fact,) = WEBHOOK.events(report([{"tag": TAG, "event": "delivered", "at": 1795348800}]))
    assert (fact.event_type, fact.occurred_at) == (EventType.DELIVERED, NOW)


def test_the_same_report_is_the_same_fact_however_it_is_told():
    one = {"tag": TAG, "event": "opened", "at": 1795348800}
    again = {"tag": TAG, "event": "opened", "at": 1795348860}
    other = {"tag": TAG, "event": "delivered", "at": 1795348800}
    keys = [fact.key for fact in WEBHOOK.events(report([one, again, other]))]
    assert keys[0] == keys[1] != keys[2]


def test_what_cannot_be_read_is_left_out():
    good = {"tag": TAG, "event": "opened", "at": 1795348800}
    bad = [
        None,
        1,
        {},
        good | {"tag": "x"},
        good | {"event": "bounced"},
        good | {"at": "soon"},
        good | {"tag": 5},
    ]
    assert len(WEBHOOK.events(report([*bad, good]))) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[[]]", b'"x"', b"null"])
def test_another_shape_holds_no_facts(body):
    assert WEBHOOK.events(report(body)) == []


@pytest.mark.parametrize("secret", ["new", "old"])
def test_every_secret_in_force_proves_a_report(secret):
    WEBHOOK.verify(report([], by=secret), None, NOW)


@pytest.mark.parametrize("minutes", [-4, 4])
def test_clocks_may_differ_a_little(minutes):
    WEBHOOK.verify(report([]), None, NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    "request_",
    [
        report([], by="other"),
        report([], at=NOW - timedelta(minutes=6)),
        report([], at=NOW + timedelta(minutes=6)),
        report([], **{"x-tocsin-timestamp": "1795348801"}),
        report([], **{"x-tocsin-timestamp": ""}),
        report([], **{"x-tocsin-timestamp": "9" * 5000}),
        report([], **{"x-tocsin-timestamp": "999999999999"}),
        report([], **{"x-tocsin-timestamp": "²"}),
        report([], **{"x-tocsin-signature": ""}),
        report([], **{"x-tocsin-signature": "é"}),
        WebhookRequest(method="POST", url="", headers={}, body=b"[]"),
    ],
)
def test_what_is_not_proven_is_forged(request_):
    with pytest.raises(Forged):
        WEBHOOK.verify(request_, None, NOW)


def test_a_changed_body_is_forged():
    request = report([{"tag": TAG, "event": "opened", "at": 1}])
    changed = WebhookRequest(
        method="POST", url=request.url, headers=request.headers, body=request.body.replace(b"P3", b"P0")
    )
    with pytest.raises(Forged, match="signature"):
        WEBHOOK.verify(changed, None, NOW)
