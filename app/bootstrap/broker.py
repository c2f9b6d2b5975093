"""The broker, through which workers hear that there is work."""

from datetime import timedelta

import redis
from dramatiq.middleware import Middleware, TimeLimit

from app.bootstrap.required import redis_url
from app.broker.base import CountingBroker, rabbit
from app.broker.redis import ListeningBroker
from app.db.redis import Database, Hangs, broker_client, quick_client
from app.settings import Settings

# No actor runs longer: a stint of claims, and the last claim with nothing but time-outs.
ACTOR_TIME_LIMIT = timedelta(minutes=10)
HEARTBEAT = timedelta(seconds=60)
MAINTENANCE_CHANCE = 100_000  # in a million enqueues and fetches


def make_broker(settings: Settings) -> CountingBroker:
    """Make the broker: on Redis, or on RabbitMQ where BROKER_URL names one.

    It retries nothing, since PostgreSQL alone decides what is tried again. Raises ConfigurationError.
    """
    middleware: list[Middleware] = [TimeLimit(time_limit=ACTOR_TIME_LIMIT // timedelta(milliseconds=1))]
    if settings.broker_url is not None:
        return rabbit(settings.broker_url, middleware)
    return _on_redis(broker_client(redis_url(settings)), middleware)


def make_hasty_broker(settings: Settings, hangs: Hangs) -> CountingBroker:
    """Make a broker on Redis for telling of work only: it soon gives up."""
    client = quick_client(redis_url(settings), Database.BROKER, hangs=hangs, decode_responses=False)
    return _on_redis(client, [])


def _on_redis(client: redis.Redis, middleware: list[Middleware]) -> CountingBroker:
    return ListeningBroker(  # type: ignore[no-untyped-call]  # Dramatiq leaves this one out.
        client=client,
        middleware=middleware,
        heartbeat_timeout=HEARTBEAT // timedelta(milliseconds=1),
        maintenance_chance=MAINTENANCE_CHANCE,
    )
