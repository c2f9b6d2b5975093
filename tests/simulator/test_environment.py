import subprocess
import sys

import pytest

from app import settings
from app.simulator import environment
from app.simulator.environment import ACCOUNTS, GATEWAYS, port_of
from app.simulator.simulator import double_of


def test_settings_understand_every_variable(monkeypatch):
    for name, value in environment(8001).items():
        monkeypatch.setenv(name, value)
    loaded = settings.load(_env_file=None)
    assert loaded.simulated
    assert loaded.postal_url == "http://127.0.0.1:8002"
    assert loaded.postal_api_key.get_secret_value() == "simulator"
    assert loaded.aws_endpoint_url_sesv2 == "http://127.0.0.1:8003"
    assert loaded.ses_sns_cert_origin == "http://127.0.0.1:8001"
    assert len(loaded.ses_sns_topic_arns) == 1
    assert set(environment(8001)) <= {name.upper() for name in type(loaded).model_fields}


def test_ports_of_gateways_follow_each_other_in_an_order_that_stays():
    assert [port_of(gateway, 8001) for gateway in GATEWAYS[:2]] == [8002, 8003]
    assert GATEWAYS[:2] == ("postal", "ses")
    assert len(set(GATEWAYS)) == len(GATEWAYS)


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account.name)
def test_every_account_names_a_double_of_its_name(account):
    assert double_of(account).name == account.name


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account.name)
def test_every_account_points_at_its_double(account):
    variables = account.variables("http://double.example:1", "http://control.example:2")
    assert any("double.example:1" in value for value in variables.values())


def test_asking_for_it_starts_nothing_heavy():
    code = "import sys; from app.simulator import environment; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert {"granian", "cryptography", "asyncio", "pydantic"}.isdisjoint(modules.split())
