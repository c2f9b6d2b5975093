"""A message's page: every attempt, with the gateway's own words."""

from app.domain.callers import SCOPES, Caller
from app.domain.vocabulary import Priority
from app.services.reading import get_status
from app.services.sending.lane import work, work_these
from tests.services.dead_letters.conftest import ALICE

ADMIN = Caller(client_id=1, name="admin", scopes=frozenset(SCOPES))


def test_each_attempt_tells_who_made_it_and_what_the_gateway_said(desk):
    world = desk.world
    world.gateways.break_("postal")
    message = world.one("P1")
    work(world.tools, Priority.P1, sweep=True)
    for priority, messages in world.wake.failed_over:
        work_these(world.tools, priority, messages)
    view = get_status(world.tools.engine, ADMIN, message.uuid)
    tried = [event for event in view.events if "outcome" in event.data]
    assert [
        (event.event_type, event.data["attempt"], event.data["gateway"], event.data["outcome"])
        for event in tried
    ] == [("attempt_failed", 1, "postal", "transient"), ("sent", 2, "ses", "accepted")]
    assert tried[0].data["code"] or tried[0].data["detail"]
    assert tried[1].data["external_id"] == view.external_id


def test_what_was_replayed_shows_the_attempts_before_it_too(desk):
    message = desk.put("failed")
    desk.letters.replay_one(ALICE, message.uuid, owner=None, why="mended", gateway="ses", source="console")
    work(desk.world.tools, Priority.P3, sweep=True)
    view = get_status(desk.world.tools.engine, ADMIN, message.uuid)
    assert [(event.event_type, event.source) for event in view.events] == [
        ("queued", "api"),
        ("replayed", "console"),
        ("sent", "worker"),
    ]
    assert view.events[1].data["gateway"] == "ses"
    assert view.events[2].data["attempt"] == 2
