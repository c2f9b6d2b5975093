"""Dramatiq on RabbitMQ."""

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.errors import ConnectionClosed
from pika.exceptions import AMQPError

from app.broker.base import CountingBroker


class RabbitBroker(RabbitmqBroker, CountingBroker):
    """A broker whose queues are made when they are first used; what waits in them survives a restart."""

    def __init__(self, url: str, middleware: list[dramatiq.Middleware]) -> None:
        # Unconfirmed, a message to a queue that is not there yet would vanish.
        super().__init__(url=url, middleware=middleware, confirm_delivery=True)

    def waiting(self, queue_name: str) -> int:
        """Count what waits in a queue, and is not fetched by anybody. Raises ConnectionClosed."""
        try:
            return int(self._declare_queue(queue_name).method.message_count)  # type: ignore[no-untyped-call]
        except AMQPError as exc:
            # What broke stays broken for this thread until it is thrown away.
            del self.connection
            raise ConnectionClosed(exc) from exc  # type: ignore[no-untyped-call]  # Dramatiq's, both
