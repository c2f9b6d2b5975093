from datetime import UTC, datetime, timedelta

import pytest

from app.errors import ConfigurationError
from app.gateways.email.postal.sending import Postal
from app.gateways.email.postal.webhook import PostalWebhook
from app.gateways.email.ses.sending import Ses
from app.gateways.email.ses.sns import Origins
from app.gateways.email.ses.webhook import SesWebhook
from app.gateways.registry import gateways, webhooks
from app.settings import Settings

NOW = datetime(2026, 11, 21, tzinfo=UTC)
POSTAL = {"postal_url": "https://postal.example.net/", "postal_api_key": "k"}
AWS = {"aws_region": "eu-west-1", "aws_access_key_id": "AKID", "aws_secret_access_key": "s"}
TOPIC = "arn:aws:sns:eu-west-1:1:tocsin"


@pytest.fixture
def settings(monkeypatch):
    """Makes settings out of what a test names alone, on a machine without AWS credentials."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "POSTAL_URL", "POSTAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return lambda **chosen: Settings(_env_file=None, **chosen)


def test_nothing_configured_is_no_gateway(settings):
    assert gateways(settings()) == {}
    assert webhooks(settings()) == {}


def test_what_is_configured_is_there_by_name(settings):
    made = gateways(settings(**POSTAL, **AWS, ses_configuration_set="c", gateway_timeout_seconds=7))
    assert list(made) == ["postal", "ses"]
    assert made["postal"] == Postal(
        url="https://postal.example.net", api_key="k", timeout=timedelta(seconds=7)
    )
    assert isinstance(made["ses"], Ses)
    assert (made["ses"].endpoint, made["ses"].configuration_set, made["ses"].timeout) == (
        "https://email.eu-west-1.amazonaws.com",
        "c",
        timedelta(seconds=7),
    )


@pytest.mark.parametrize("missing", ["postal_url", "postal_api_key"])
def test_half_of_postal_is_a_mistake(settings, missing):
    with pytest.raises(ConfigurationError, match="POSTAL_URL and POSTAL_API_KEY"):
        gateways(settings(**{name: value for name, value in POSTAL.items() if name != missing}))


def test_ses_may_have_another_address(settings):
    made = gateways(
        settings(**AWS, ses_configuration_set="c", aws_endpoint_url_sesv2="http://127.0.0.1:8001/")
    )
    assert made["ses"].endpoint == "http://127.0.0.1:8001"


def test_ses_uses_the_settings_credentials(settings, envelope):
    made = gateways(settings(**AWS, ses_configuration_set="c", aws_session_token="t"))["ses"]
    headers = made.build([envelope()], NOW).headers
    assert "Credential=AKID/20261121/eu-west-1/ses/" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "t"


def test_ses_falls_back_on_botocores_own_chain(settings, envelope, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    chosen = settings(aws_region="eu-west-1", ses_configuration_set="c").model_copy(
        update={"aws_access_key_id": None, "aws_secret_access_key": None}
    )
    headers = gateways(chosen)["ses"].build([envelope()], NOW).headers
    assert "Credential=AKIDOFENV/" in headers["Authorization"]


def test_credentials_for_other_work_are_no_gateway(settings):
    assert gateways(settings(**AWS)) == {}


@pytest.mark.parametrize("chosen", [{}, {"aws_region": "eu-west-1"}])
def test_half_of_ses_is_a_mistake(settings, chosen):
    with pytest.raises(ConfigurationError, match="AWS_REGION and credentials"):
        gateways(settings(**chosen, ses_configuration_set="c"))


def test_half_a_credential_is_a_mistake(settings):
    with pytest.raises(ConfigurationError, match="AWS_SECRET_ACCESS_KEY"):
        gateways(settings(aws_region="eu-west-1", ses_configuration_set="c", aws_access_key_id="AKID"))


def test_webhooks_are_those_whose_proof_is_possible(settings):
    made = webhooks(
        settings(
            postal_url="https://postal.example.net/",
            postal_accept_sha1=True,
            ses_sns_topic_arns=TOPIC,
            ses_sns_cert_origin="http://127.0.0.1:8001/",
        )
    )
    assert made == {
        "postal": PostalWebhook(url="https://postal.example.net", accept_sha1=True),
        "ses": SesWebhook(topics=frozenset([TOPIC]), origins=Origins(other="http://127.0.0.1:8001")),
    }


def test_a_key_in_settings_is_enough_for_postals_webhooks(settings):
    assert webhooks(settings(postal_webhook_public_key="spki"))["postal"] == PostalWebhook(public_key="spki")
