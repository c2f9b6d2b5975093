"""The services over a whole sending process, and messages in every state."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from app.db.tables import audit_log
from app.services.audit import Who
from app.services.dead_letters import DeadLetterService
from app.services.held_decisions import HeldDecisions
from tests.world import World, gateways, outages, settings, world

__all__ = ["gateways", "outages", "settings", "world"]

ALICE = Who(actor="alice", origin="192.0.2.7")
LOCKED = {"locked_by": "00000000-0000-4000-8000-000000000001"}


@dataclass
class Desk:
    """What an operator has before them."""

    world: World
    letters: DeadLetterService
    held: HeldDecisions

    def put(self, status, priority="P3", **columns):
        """Insert a message in a state; gives its row."""
        now = self.world.clock()
        times = {
            "processing": {**LOCKED, "locked_at": now},
            "sent": {"sent_at": now},
            "delivered": {"sent_at": now, "delivered_at": now},
        }
        return self.world.one(priority, status=status, tries=1, **times.get(status, {}), **columns)

    def audited(self, action):
        return [row for row in self.world.all(audit_log.select()) if row.action == action]


@pytest.fixture
def desk(world):
    channels = {name: gateway.channel for name, gateway in world.tools.gateways.items()}
    engine, lanes = world.tools.engine, world.tools.lanes
    letters = DeadLetterService(engine, lanes, world.wake, lambda: channels)
    return Desk(world=world, letters=letters, held=HeldDecisions(engine, lanes, world.wake))


@pytest.fixture
def hour():
    return timedelta(hours=1)
