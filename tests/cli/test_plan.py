import pytest

from app.cli.plan import decide, has_gateway
from app.settings import Settings


@pytest.fixture
def settings(monkeypatch):
    """Settings that come from nowhere but the test."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return lambda **values: Settings(_env_file=None, **values)


def test_with_nothing_set_all_is_ours_and_simulated(settings):
    plan = decide(settings())
    assert plan.wanted.postgres
    assert plan.wanted.valkey
    assert plan.commands == ("simulate", "scheduler", "web", "workers")
    assert plan.environment["SIMULATED"] == "true"
    assert plan.simulator_url == "http://127.0.0.1:8001"


def test_webhooks_have_a_process_of_their_own_where_they_have_a_port(settings):
    plan = decide(settings(webhook_port=8020))
    assert plan.commands == ("simulate", "scheduler", "webhooks", "web", "workers")
    assert plan.webhook_url == "http://127.0.0.1:8020"
    assert plan.web_url == decide(settings()).webhook_url == "http://127.0.0.1:8000"


def test_servers_that_are_set_are_not_started(settings):
    plan = decide(settings(database_url="postgresql:///x", redis_url="redis://x"))
    assert not plan.wanted.postgres
    assert not plan.wanted.valkey


def test_with_a_database_of_somebody_elses_nothing_is_simulated(settings):
    plan = decide(settings(database_url="postgresql:///x"))
    assert "simulate" not in plan.commands
    assert plan.environment == {}
    assert plan.simulator_url is None


@pytest.mark.parametrize(
    ("values", "real"),
    [
        ({}, False),
        ({"postal_url": "https://postal.example.com", "postal_api_key": "secret"}, True),
        ({"sendgrid_api_key": "secret"}, True),
        ({"messagebird_access_key": "secret", "messagebird_signing_keys": "secret"}, True),
        ({"aws_region": "eu-west-1", "ses_configuration_set": "tocsin"}, True),
        ({"aws_region": "eu-west-1", "aws_access_key_id": "AKIA", "aws_secret_access_key": "x"}, False),
    ],
)
def test_credentials_of_aws_for_other_work_are_no_gateway(settings, values, real):
    assert has_gateway(settings(**values)) is real
    assert ("simulate" in decide(settings(**values)).commands) is not real


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9000"),
        ("0.0.0.0", "http://127.0.0.1:9000"),  # noqa: S104 - Nothing is bound.
        ("::", "http://[::1]:9000"),
        ("10.0.0.7", "http://10.0.0.7:9000"),
    ],
)
def test_the_address_shown_is_one_that_can_be_opened(settings, host, url):
    assert decide(settings(host=host, port=9000)).web_url == url
