"""Webhooks with other proofs than a signature of their body: credentials asked for, and tokens by GET."""

import base64
import hashlib
import hmac
import json
import time

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from app.api.application import create_app
from app.bootstrap import App
from app.db.tables import webhook_inbox

CREDENTIALS = "user:password"
KEY = "a-signing-key-of-ours"
BASE = "https://tocsin.example.com"
REPORT = (
    "/webhooks/messagebird?id=1&recipient=31612345678&status=delivered"
    "&statusDatetime=2026-11-21T12:17:11+00:00"
)


@pytest.fixture
def client(app, settings):
    update = {
        "public_base_url": BASE,
        "bandwidth_webhook_credentials": (SecretStr(CREDENTIALS),),
        "messagebird_signing_keys": (SecretStr(KEY),),
    }
    configured = App(settings=settings.model_copy(update=update), engine=app.engine, name="test")
    yield create_app(configured).test_client()
    configured.broker.client.close()


def inbox(app):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(webhook_inbox)).all()


def basic(credentials):
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def token(url):
    now = int(time.time())
    claims = {"iss": "MessageBird", "nbf": now, "exp": now + 60}
    claims["url_hash"] = hashlib.sha256(url.encode()).hexdigest()
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = hmac.new(KEY.encode(), signed, hashlib.sha256).digest()
    return f"{signed.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_who_brings_no_credentials_is_asked_for_them(client, app):
    answer = client.post("/webhooks/bandwidth", data=b"[]")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="tocsin"'
    assert answer.json["type"] == "/problems/webhook-proof-missing"
    assert inbox(app) == []


def test_who_brings_wrong_credentials_is_turned_away(client, app):
    answer = client.post("/webhooks/bandwidth", data=b"[]", headers=basic("user:passwort"))
    assert answer.status_code == 403
    assert inbox(app) == []


def test_who_brings_the_right_ones_is_kept_without_them(client, app):
    assert client.post("/webhooks/bandwidth", data=b"[]", headers=basic(CREDENTIALS)).status_code == 200
    (row,) = inbox(app)
    assert bytes(row.body) == b"[]"
    assert "authorization" not in row.headers


def test_a_request_that_was_only_asked_for_credentials_counts_as_no_forgery(client):
    client.post("/webhooks/bandwidth", data=b"[]")
    text = client.get("/metrics").text
    assert 'tocsin_webhooks_total{gateway="bandwidth",result="unproven"}' in text


def test_a_report_by_get_is_proven_by_its_address_as_it_came(client, app):
    headers = {"MessageBird-Signature-JWT": token(BASE + REPORT)}
    assert client.get(REPORT, headers=headers).status_code == 200
    (row,) = inbox(app)
    assert (row.url, bytes(row.body)) == (BASE + REPORT, b"")


def test_a_report_by_get_with_another_address_is_forged(client, app):
    headers = {"MessageBird-Signature-JWT": token(BASE + REPORT)}
    assert client.get(REPORT.replace("delivered", "expired"), headers=headers).status_code == 403
    assert inbox(app) == []
