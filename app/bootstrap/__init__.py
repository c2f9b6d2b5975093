"""Putting a process together: the only place where things are made out of settings.

`process` has the whole; each of the other modules makes what belongs to one subject, out of what the
modules that it imports have made.
"""

from app.bootstrap.broker import ACTOR_TIME_LIMIT, make_broker
from app.bootstrap.gateways import in_order
from app.bootstrap.process import App, build
from app.bootstrap.sending import LEDGER_KEPT

__all__ = ["ACTOR_TIME_LIMIT", "LEDGER_KEPT", "App", "build", "in_order", "make_broker"]
