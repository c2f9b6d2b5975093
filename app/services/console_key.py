"""The secret that signs the console's cookies and seals its second factors."""

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import console_keys
from app.settings import Settings


def console_key(engine: sa.Engine, settings: Settings) -> str:
    """Give the secret that is set, else the one that was made up with the database."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    with unavailable_when_down(), engine.connect() as conn:
        return str(conn.execute(sa.select(console_keys.c.secret)).scalar_one())
