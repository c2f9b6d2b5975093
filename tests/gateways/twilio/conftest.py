from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha1
from hmac import new
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from app.domain.vocabulary import Channel
from app.gateways.base import WebhookRequest
from app.gateways.twilio.account import Account
from app.gateways.twilio.callbacks import Callbacks

BASE = "https://tocsin.example.org"
TOKEN = "4a1f0c7d9b2e8f3a6c5d4e3f2a1b0c9d"
ARRIVED = datetime(2026, 11, 21, 19, 31, 5, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="session")
def account():
    return Account(
        sid="AC00000000000000000000000000000001",
        user="SK00000000000000000000000000000001",
        password="s3cr3t-of-the-key",
        callbacks=Callbacks(base=BASE, tokens=(TOKEN,)),
    )


@pytest.fixture(scope="session")
def unreachable_account():
    """An account of somebody whom Twilio cannot call back."""
    return Account(sid="AC1", user="AC1", password="t")


@pytest.fixture(scope="session")
def text(envelope):
    """Makes an SMS, changed as asked; `options` are SMS's own."""

    def make(options=None, **changes):
        fields = {
            "channel": Channel.SMS,
            "address": "+15558675310",
            "sender": "+15017122661",
            "subject": None,
            "html": None,
            "text": "Water is back",
            "options": {"sms": options or {}},
        }
        return envelope(**(fields | changes))

    return make


def form_of(request):
    """Read a form's parameters, each as the list of its values."""
    found = {}
    for name, value in parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True):
        found.setdefault(name, []).append(value)
    return found


def query_of(url):
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True))


def signature_of(url, parameters=(), token=TOKEN):
    """Sign as Twilio's papers say, for tests alone."""
    signed = url + "".join(name + value for name, value in sorted(set(parameters)))
    return b64encode(new(token.encode(), signed.encode(), sha1).digest()).decode()


def callback(query="", /, *, url=None, headers=None, method="POST", **parameters):
    """Make a signed callback of Twilio's."""
    url = url or f"{BASE}/webhooks/twilio" + (f"?{query}" if query else "")
    pairs = list(parameters.items())
    return WebhookRequest(
        method=method,
        url=url,
        headers={
            "content-type": f"{FORM}; charset=utf-8",
            "x-twilio-signature": signature_of(url, pairs),
            **(headers or {}),
        },
        body=urlencode(pairs).encode(),
        received_at=ARRIVED,
    )
