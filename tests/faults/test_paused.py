"""A worker that sleeps past its lease and wakes, as a paused virtual machine does."""

import os
import signal

import pytest
import sqlalchemy as sa

from app.db.tables import claims
from app.domain.vocabulary import Priority
from app.services.sending import lane, release
from app.simulator.environment import environment
from app.wake import BrokerWake
from tests.faults.counting import agree
from tests.faults.processes import family, workers
from tests.world import wait_for


@pytest.mark.parametrize("priority", ["P1", "P3"])
def test_a_worker_paused_past_its_lease_and_woken_loses_and_doubles_nothing_unmarked(
    world, settings, gateways, tmp_path, priority
):
    variables = {
        **environment(gateways.base),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "GATEWAY_CONCURRENCY": "8",
        "GATEWAY_TIMEOUT_SECONDS": "20",
        f"{priority}__MIN_THREADS": "1",
        f"{priority}__MAX_THREADS": "1",
    }
    gateways.slow_down(1000)
    messages = world.add(priority, 60)
    wake = BrokerWake(world.app.broker, settings.lanes, world.app.doorbell(settings.lanes[Priority.P0].lease))
    with workers(settings.lanes[Priority(priority)].name, variables, tmp_path / "log") as parent:
        wake.lane(Priority(priority))
        wait_for(lambda: gateways.accepted() >= 16, within=60)
        sleeper = family(parent.pid)[1]
        os.kill(sleeper, signal.SIGSTOP)
        world.lapse()
        gateways.slow_down(0)
        release.release(world.tools, Priority(priority))
        for _, ids in world.wake.failed_over:
            lane.work_these(world.tools, Priority(priority), ids)
        lane.work(world.tools, Priority(priority), sweep=True)
        os.kill(sleeper, signal.SIGCONT)
        parent.terminate()
        assert parent.wait(timeout=60) == 0
    # What the sleeper had on the wire was unknown, and it told of it when it woke.
    assert world.statuses(messages) == {"sent": 60}
    assert sum(agree(world, messages).values()) <= 60 + 8
    assert world.all(sa.select(claims.c.uuid).where(claims.c.state != "closed")) == []
