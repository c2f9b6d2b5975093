"""Dramatiq on Valkey or Redis."""

import time
from typing import Any

import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import compute_backoff
from dramatiq.errors import ConnectionClosed
from dramatiq.message import Message

from app.broker.base import CountingBroker

# How long an idle consumer listens at a time; it notices that it shall end no sooner.
LISTEN = 0.5  # seconds
# Who has as much as it may hold looks again as often as this, for one of its threads may have ended one.
LONGEST_PAUSE = 100  # milliseconds


class ListeningBroker(RedisBroker, CountingBroker):
    """A broker whose consumers are told of a message by the server, rather than asking again and again."""

    @property
    def consumer_class(self) -> type[Consumer]:
        return ListeningConsumer

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue, without the one for delayed messages beside it: nothing is ever delayed here."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def waiting(self, queue_name: str) -> int:
        """Count what waits in a queue, and is not fetched by anybody. Raises redis.RedisError."""
        return int(self.client.llen(self.key(queue_name)))

    def key(self, queue_name: str) -> str:
        """Give the list in which Dramatiq keeps a queue."""
        return f"{self.namespace}:{queue_name}"

    def close(self) -> None:
        """Close all connections."""
        self.client.close()


class ListeningConsumer(_RedisConsumer):
    """Fetches as Dramatiq's own does, and listens where that one would sleep."""

    broker: ListeningBroker

    def __next__(self) -> MessageProxy | None:
        try:
            return self._next()
        except (redis.ConnectionError, redis.TimeoutError) as exc:
            # Dramatiq itself does not take the second for what it is.
            raise ConnectionClosed(exc) from None  # type: ignore[no-untyped-call]  # so is its error

    def _next(self) -> MessageProxy | None:
        if not self.message_cache:
            self._fetch()
        if not self.message_cache:
            return None
        message: Message[Any] = Message.decode(self.message_cache.pop(0))
        self.queued_message_ids.add(message.message_id)
        return MessageProxy(message)

    def _fetch(self) -> None:
        room = self.prefetch - self.outstanding_message_count
        if room <= 0:
            self.misses, pause = compute_backoff(self.misses, max_backoff=LONGEST_PAUSE)
            time.sleep(pause / 1000)
            return
        self.misses = 0
        self.message_cache = self.broker.do_fetch(self.queue_name, room)
        if not self.message_cache:
            self._listen()

    def _listen(self) -> None:
        """Return as soon as there is something in the queue, or after a while.

        Moving the list's last element to where it is leaves everything as it was, but waits for one.
        """
        key = self.broker.key(self.queue_name)
        self.broker.client.execute_command("BLMOVE", key, key, "RIGHT", "RIGHT", LISTEN)
