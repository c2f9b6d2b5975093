import orjson
import pytest

from app.errors import ConfigurationError
from app.gateways.push.apns.sending import Apns
from app.gateways.push.fcm.sending import Fcm
from app.gateways.push.fcm.topics import Topics
from app.gateways.push.fcm.webhook import FirebaseWebhook
from app.gateways.registry import gateways, webhooks
from app.settings import Settings
from app.simulator.accounts import apns, fcm

ACCOUNT = orjson.dumps(
    {"project_id": "town", "client_email": "t@town", "private_key": fcm.PRIVATE_KEY}
).decode()
APPLE = {
    "apns_team_id": "T",
    "apns_key_id": "K",
    "apns_key": apns.PRIVATE_KEY,
    "apns_topic": "org.example.app",
}


def settings(**chosen):
    return Settings(_env_file=None, **chosen)


def test_nothing_configured_is_no_gateway():
    assert (Fcm.configured(settings()), Apns.configured(settings()), Topics.configured(settings())) == (
        None,
    ) * 3
    assert FirebaseWebhook.configured(settings()) is None


def test_what_is_configured_is_registered_by_its_name():
    chosen = settings(fcm_service_account=ACCOUNT, **APPLE, firebase_webhook_secrets="a, b")
    made = gateways(chosen)
    assert (made["fcm"].project, made["fcm"].url) == ("town", "https://fcm.googleapis.com")
    assert (made["apns"].topic, made["apns"].url) == ("org.example.app", "https://api.push.apple.com")
    assert webhooks(chosen)["firebase"] == FirebaseWebhook(secrets=("a", "b"))


def test_other_addresses_may_be_named():
    chosen = settings(
        fcm_service_account=ACCOUNT,
        fcm_url="http://127.0.0.1:1/",
        fcm_topics_url="http://127.0.0.1:2/",
        apns_url="https://api.sandbox.push.apple.com/",
        **APPLE,
    )
    assert Fcm.configured(chosen).url == "http://127.0.0.1:1"
    assert Topics.configured(chosen).url == "http://127.0.0.1:2"
    assert Apns.configured(chosen).url == "https://api.sandbox.push.apple.com"


@pytest.mark.parametrize("missing", APPLE)
def test_half_of_apns_is_a_mistake(missing):
    with pytest.raises(ConfigurationError, match=missing.upper()):
        Apns.configured(settings(**{name: value for name, value in APPLE.items() if name != missing}))


def test_an_address_of_fcm_without_an_account_is_a_mistake():
    with pytest.raises(ConfigurationError, match="FCM_SERVICE_ACCOUNT"):
        Fcm.configured(settings(fcm_url="http://127.0.0.1:1"))


def test_secrets_do_not_show():
    chosen = settings(fcm_service_account=ACCOUNT, **APPLE, firebase_webhook_secrets="hush")
    shown = repr(
        [chosen, Fcm.configured(chosen), Apns.configured(chosen), FirebaseWebhook.configured(chosen)]
    )
    assert "PRIVATE KEY" not in shown
    assert "hush" not in shown
