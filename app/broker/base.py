"""What every broker of ours has, and the way to the one whose library is not always there."""

from abc import abstractmethod
from importlib import import_module

import dramatiq

from app.errors import ConfigurationError

_SCHEMES = ("amqp://", "amqps://")


class CountingBroker(dramatiq.Broker):
    """A broker that says how much waits in a queue."""

    @abstractmethod
    def waiting(self, queue_name: str) -> int:
        """Count what waits in a queue, and is not fetched by anybody."""


def rabbit(url: str, middleware: list[dramatiq.Middleware]) -> CountingBroker:
    """Make a broker on RabbitMQ; raises ConfigurationError where the URL or the library is not right.

    Its module is loaded only here, since its library is an extra.
    """
    if not url.startswith(_SCHEMES):
        raise ConfigurationError("BROKER_URL is for RabbitMQ: amqp://… or amqps://…. Redis is REDIS_URL.")
    try:
        module = import_module("app.broker.rabbit")
    except ModuleNotFoundError as exc:
        raise ConfigurationError("BROKER_URL wants the extra `rabbitmq`: uv sync --extra rabbitmq") from exc
    broker: CountingBroker = module.RabbitBroker(url, middleware)
    return broker
