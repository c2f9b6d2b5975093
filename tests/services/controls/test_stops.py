"""What an operator has stopped does not leave, and leaves when it is resumed."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import controls, message_queue
from app.domain.stops import StopScope
from app.domain.vocabulary import Priority
from app.services.audit import Who
from app.services.controls.service import EmergencyService, StopDraft
from app.services.sending import lane
from tests.world import meanwhile, only, wait_for

WHO = Who(actor="cli/ann")
WHY = "the wrong price went out"


@pytest.fixture
def emergency(world) -> EmergencyService:
    """The service, beside a worker that asks whenever it looks."""
    service = world.app.emergency
    service._wake = world.wake
    return service


def work(world, priority, *, sweep=True):
    return lane.work(world.tools, Priority(priority), sweep=sweep)


def stop(emergency, scope="all", key=None, **options):
    return emergency.stop(WHO, StopDraft(scope=StopScope(scope), key=key, **options), why=WHY)


def test_nothing_leaves_while_everything_is_stopped_and_all_after_it(world, emergency):
    stop(emergency)
    messages = [world.one(priority) for priority in ("P1", "P2", "P3", "P4")]
    for priority in ("P1", "P2", "P3", "P4"):
        assert work(world, priority) == 0
    emergency.resume(WHO, why="mended")
    for priority in ("P1", "P2", "P3", "P4"):
        work(world, priority)
    assert world.statuses(messages) == {"sent": 4}
