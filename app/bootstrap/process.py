"""A process put together out of its parts."""

from dataclasses import dataclass

from app.bootstrap.access import Access
from app.bootstrap.hearing import Hearing
from app.bootstrap.operating import Operating
from app.bootstrap.required import database_url, redis_url
from app.bootstrap.sending import Sending
from app.bootstrap.templates import Templates
from app.db.engine import make_engine
from app.settings import Settings


@dataclass(frozen=True, kw_only=True)
class App(Access, Templates, Operating, Sending, Hearing):
    """One process's services, made when first used. Make it after fork.

    One that `accepts` tells of many messages at a time that there is work. One that is `impatient` soon
    goes on without Redis where that hangs.
    """


def build(
    settings: Settings,
    name: str,
    *,
    connections: int | None = None,
    accepts: bool = False,
    impatient: bool = False,
) -> App:
    """Put a process together; `name` shows in logs, claims and pg_stat_activity.

    Raises ConfigurationError where PostgreSQL or Redis is not named, or a gateway half configured.
    """
    database = database_url(settings)
    redis_url(settings)
    engine = make_engine(
        database,
        pool=connections or settings.database_pool,
        name=name,
        pooled=settings.database_pooled,
    )
    return App(settings=settings, engine=engine, name=name, accepts=accepts, impatient=impatient)
