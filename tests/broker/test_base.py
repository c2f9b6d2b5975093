"""Which broker a setting names."""

from importlib.util import find_spec

import pytest

from app.bootstrap import make_broker
from app.broker.base import rabbit
from app.broker.redis import ListeningBroker
from app.errors import ConfigurationError
from app.settings import Settings

REDIS = {"_env_file": None, "redis_url": "redis://localhost"}


def test_unless_another_is_named_redis_is_the_broker():
    assert isinstance(make_broker(Settings(**REDIS)), ListeningBroker)


def test_redis_as_broker_is_not_named_by_the_setting_for_rabbitmq():
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        make_broker(Settings(**REDIS, broker_url="redis://localhost"))


@pytest.mark.skipif(find_spec("pika") is not None, reason="the extra is there")
def test_without_its_library_rabbitmq_is_refused_with_what_to_do():
    with pytest.raises(ConfigurationError, match="uv sync --extra rabbitmq"):
        make_broker(Settings(**REDIS, broker_url="amqp://localhost"))


@pytest.mark.skipif(find_spec("pika") is None, reason="the extra is not there")
def test_with_its_library_rabbitmq_is_the_broker():
    broker = rabbit("amqp://localhost", [])
    assert type(broker).__name__ == "RabbitBroker"
    assert broker.confirm_delivery
