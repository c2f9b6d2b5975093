"""The settings without which no process starts."""

from app.errors import ConfigurationError
from app.settings import Settings


def database_url(settings: Settings) -> str:
    """Give where PostgreSQL is, or raise ConfigurationError."""
    if settings.database_url is None:
        raise ConfigurationError("DATABASE_URL is not set. `tocsin up` starts a database of its own.")
    return settings.database_url


def redis_url(settings: Settings) -> str:
    """Give where Redis is, or raise ConfigurationError."""
    if settings.redis_url is None:
        raise ConfigurationError("REDIS_URL is not set. `tocsin up` starts a server of its own.")
    return settings.redis_url
