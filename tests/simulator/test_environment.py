import subprocess
import sys

from app import settings
from app.simulator import environment


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


def test_asking_for_it_starts_nothing_heavy():
    code = "import sys; from app.simulator import environment; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert {"granian", "cryptography", "asyncio", "pydantic"}.isdisjoint(modules.split())
