from datetime import timedelta

import pytest

from app.errors import ConfigurationError
from app.gateways.registry import gateways, webhooks
from app.gateways.twilio.account import Account
from app.gateways.twilio.callbacks import Callbacks
from app.gateways.twilio.webhook import TwilioWebhook
from app.settings import Settings

TOKEN = {"twilio_account_sid": "AC1", "twilio_auth_token": "t"}
KEY = {"twilio_account_sid": "AC1", "twilio_api_key": "SK1", "twilio_api_secret": "s"}


@pytest.fixture
def settings(monkeypatch):
    """Makes settings out of what a test names alone."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return lambda **chosen: Settings(_env_file=None, **chosen)


def test_nothing_configured_is_no_account(settings):
    assert Account.configured(settings()) is None
    assert TwilioWebhook.configured(settings()) is None


def test_one_account_is_three_gateways_and_one_webhook(settings):
    made = gateways(settings(**TOKEN))
    assert set(made) == {"twilio", "twilio_whatsapp", "twilio_voice"}
    assert {name: gateway.channel for name, gateway in made.items()} == {
        "twilio": "sms",
        "twilio_whatsapp": "whatsapp",
        "twilio_voice": "voice",
    }
    assert webhooks(settings(**TOKEN)) == {"twilio": TwilioWebhook(tokens=("t",))}


def test_the_auth_token_signs_in_for_the_account(settings):
    assert Account.configured(settings(**TOKEN, gateway_timeout_seconds=7)) == Account(
        sid="AC1", user="AC1", password="t", timeout=timedelta(seconds=7)
    )


def test_an_api_key_signs_in_before_the_token(settings):
    account = Account.configured(settings(**KEY, twilio_auth_token="t"))
    assert (account.user, account.password) == ("SK1", "s")


def test_the_api_may_be_elsewhere(settings, text):
    account = Account.configured(settings(**TOKEN, twilio_url="http://127.0.0.1:8010/"))
    assert account.post("Messages", []).url == ("http://127.0.0.1:8010/2010-04-01/Accounts/AC1/Messages.json")


def test_twilio_calls_back_where_the_world_reaches_us(settings):
    account = Account.configured(settings(**TOKEN, public_base_url="https://tocsin.example.org/"))
    assert account.callbacks == Callbacks(base="https://tocsin.example.org", tokens=("t",))


def test_nobody_calls_back_whom_no_token_could_prove(settings):
    account = Account.configured(settings(**KEY, public_base_url="https://tocsin.example.org"))
    assert account.callbacks is None


def test_several_tokens_prove_while_one_is_replaced(settings):
    chosen = settings(**TOKEN, twilio_auth_tokens="new, t ,old")
    assert webhooks(chosen)["twilio"].tokens == ("t", "new", "old")


def test_tokens_alone_prove_callbacks(settings):
    chosen = settings(**KEY, twilio_auth_tokens="a", public_base_url="https://tocsin.example.org")
    assert webhooks(chosen)["twilio"].tokens == ("a",)
    assert Account.configured(chosen).callbacks.tokens == ("a",)


@pytest.mark.parametrize(
    "half",
    [
        {"twilio_account_sid": "AC1"},
        {"twilio_auth_token": "t"},
        {"twilio_api_key": "SK1", "twilio_api_secret": "s"},
        {"twilio_account_sid": "AC1", "twilio_api_key": "SK1"},
        {"twilio_account_sid": "AC1", "twilio_auth_token": "t", "twilio_api_secret": "s"},
    ],
)
def test_half_an_account_is_a_mistake(settings, half):
    with pytest.raises(ConfigurationError, match="TWILIO_API_KEY"):
        gateways(settings(**half))


def test_no_secret_is_shown(settings):
    chosen = settings(
        **KEY | {"twilio_api_secret": "hidden-1", "twilio_auth_token": "hidden-2"},
        twilio_auth_tokens="hidden-3",
        public_base_url="https://tocsin.example.org",
    )
    assert "hidden" not in f"{gateways(chosen)} {webhooks(chosen)} {chosen}"
