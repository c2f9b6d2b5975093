"""Webhooks over HTTP: proven on the raw bytes, kept before they are answered."""

import base64
import json

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from app.api.application import WEBHOOKS, create_app
from app.bootstrap import App
from app.db.tables import webhook_inbox

BODY = json.dumps({"event": "MessageSent", "timestamp": 1, "uuid": "a-1", "payload": {}}).encode()


@pytest.fixture(scope="module")
def postal_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def configured(app, settings, postal_key):
    update = {"postal_webhook_public_key": spki(postal_key)}
    made = App(settings=settings.model_copy(update=update), engine=app.engine, name="test")
    yield made
    made.broker.client.close()


@pytest.fixture
def client(configured):
    return create_app(configured).test_client()


def spki(key):
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(public).decode()


def signed(key, body):
    signature = base64.b64encode(key.sign(body, padding.PKCS1v15(), hashes.SHA256())).decode()
    return {
        "X-Postal-Signature-256": signature,
        "X-Postal-Signature-KID": "k",
        "Content-Type": "application/json",
    }


def inbox(app):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(webhook_inbox)).all()


def test_a_proven_webhook_is_in_the_inbox_before_its_200(client, app, postal_key):
    answer = client.post("/webhooks/postal", data=BODY, headers=signed(postal_key, BODY))
    assert answer.status_code == 200
    (row,) = inbox(app)
    assert bytes(row.body) == BODY
    assert row.request_id == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("change", [b"", b" ", b"\n"])
def test_one_byte_more_is_forged(client, app, postal_key, change):
    answer = client.post("/webhooks/postal", data=BODY + b"x" + change, headers=signed(postal_key, BODY))
    assert answer.status_code == 403
    assert answer.json["type"] == "/problems/forged-webhook"
    assert inbox(app) == []


def test_without_a_proof_it_is_forged(client, app):
    assert client.post("/webhooks/postal", data=BODY).status_code == 403
    assert inbox(app) == []


def test_the_same_webhook_again_is_taken_again_since_only_its_facts_count_once(client, postal_key):
    for _ in range(2):
        assert client.post("/webhooks/postal", data=BODY, headers=signed(postal_key, BODY)).status_code == 200


@pytest.mark.parametrize("gateway", ["pigeon", "ses"])
def test_a_gateway_without_webhooks_here_is_404(client, gateway):
    assert client.post(f"/webhooks/{gateway}", data=b"{}").status_code == 404


def test_a_webhook_without_measure_is_413(client, app):
    assert client.post("/webhooks/postal", data=b" " * 100_000).status_code == 413
    assert inbox(app) == []


def test_what_became_of_webhooks_is_counted_by_gateway(client, postal_key):
    client.post("/webhooks/postal", data=BODY, headers=signed(postal_key, BODY))
    client.post("/webhooks/postal", data=BODY)
    text = client.get("/metrics").text
    assert 'tocsin_webhooks_total{gateway="postal",result="accepted"}' in text
    assert 'tocsin_webhooks_total{gateway="postal",result="forged"}' in text


def test_a_webhook_is_kept_under_the_address_that_the_world_knows(app, settings, postal_key):
    update = {"public_base_url": "https://tocsin.example.com/", "postal_webhook_public_key": spki(postal_key)}
    configured = App(settings=settings.model_copy(update=update), engine=app.engine, name="test")
    client = create_app(configured).test_client()
    client.post("/webhooks/postal?a=1", data=BODY, headers=signed(postal_key, BODY))
    configured.broker.client.close()
    assert inbox(app)[0].url == "https://tocsin.example.com/webhooks/postal?a=1"


def test_a_process_for_webhooks_alone_serves_nothing_else(configured, postal_key):
    client = create_app(configured, WEBHOOKS).test_client()
    assert client.get("/healthz").status_code == 200
    assert client.post("/webhooks/postal", data=BODY, headers=signed(postal_key, BODY)).status_code == 200
    for path in ("/v1/messages", "/docs", "/v1/messages/stats/queue"):
        assert client.get(path).status_code == 404
