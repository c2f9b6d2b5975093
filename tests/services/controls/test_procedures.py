"""What is done in an emergency besides stopping: lanes hear of it, and the log keeps it."""

import pytest
import sqlalchemy as sa

from app.domain.vocabulary import Channel, Priority
from tests.services.controls.conftest import WHO, WHY

PROCEDURES = {
    "reset_rate_limits": (),
    "reset_breaker": (Channel.EMAIL, "postal"),
    "switch_provider": (Channel.EMAIL, "ses"),
}


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_lanes_hear_that_more_may_go_now(world, desk, procedure):
    world.wake.lanes.clear()
    getattr(desk.service, procedure)(WHO, *PROCEDURES[procedure], why=WHY)
    assert set(world.wake.lanes) == {(priority, True) for priority in Priority}


@pytest.mark.parametrize("procedure", [*PROCEDURES, "trip_breaker"])
def test_each_is_in_the_history_and_in_the_log(world, desk, procedure):
    arguments = PROCEDURES.get(procedure, (Channel.EMAIL, "postal"))
    getattr(desk.service, procedure)(WHO, *arguments, why=WHY)
    [use] = desk.service.history().items
    assert (use.procedure, use.who, use.why) == (procedure, "cli/ann", WHY)
    log = world.all(sa.text("SELECT action, actor, target, why FROM audit_log"))
    line = (f"emergency.{procedure}", "cli/ann", f"control:{use.id}", WHY)
    assert line in [tuple(row) for row in log]
