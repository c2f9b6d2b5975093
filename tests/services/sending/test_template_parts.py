"""What gateways get of a template that was put together when it was saved."""

import pytest
import sqlalchemy as sa

from app.db.tables import lane_flows
from app.domain.rendering import Variable
from app.domain.templates.building import Kind
from app.domain.vocabulary import Channel, Priority
from app.services.audit import Who
from app.services.sending import lane
from app.services.template_views import Name, TemplateDraft
from tests.world import only

TESTS = Who(actor="tests")
HOUSE = Name("house", Channel.EMAIL, None, Kind.LAYOUT)
NAME = (Variable(name="name"),)


@pytest.fixture
def envelopes(world, monkeypatch):
    """What is handed to gateways."""
    seen = []
    envelope = world.tools.contents.envelope
    monkeypatch.setattr(world.tools.contents, "envelope", lambda m: seen.append(envelope(m)) or seen[-1])
    return seen


def save(world, slug, channel, kind=Kind.TEMPLATE, **draft):
    world.app.templates.save(TESTS, slug, channel, TemplateDraft(name="Spring", **draft), kind=kind)
    world.tools.catalog.forget()


def test_a_message_is_sent_in_the_layout_it_was_accepted_with(world, envelopes):
    save(world, *HOUSE[:2], HOUSE.kind, body_html="<b>{{ content }}</b>")
    save(
        world, "spring", Channel.EMAIL, subject="Hi", body_html="<p>{{ name }}</p>", layout="house",
        variables=NAME,
    )  # fmt: skip
    message = {"subject": None, "body_text": None, "template": "spring", "content_data": {"name": "<Ada>"}}
    world.one("P3", **message, template_version=1)
    save(world, *HOUSE[:2], HOUSE.kind, body_html="<i>{{ content }}</i>")
    world.app.template_rebuilding.rebuild_dependents(TESTS, HOUSE, activate=True)
    world.tools.catalog.forget()
    lane.work(world.tools, Priority.P3, sweep=True)
    assert only(envelopes).html == "<b><p>&lt;Ada&gt;</p></b>"
    assert only(envelopes).text == "<Ada>\n"


def test_a_templates_own_parts_go_along_and_the_messages_win(world, envelopes):
    parts = {"data": {"who": "{{ name }}"}, "badge": 1, "sound": "bell"}
    save(world, "spring", Channel.PUSH, body_text="Hello", parts=parts, variables=NAME)
    world.one(
        "P3", channel="push", gateway="fcm", recipient_address="t" * 40, subject=None, body_text=None,
        template="spring", content_data={"name": "Ada"}, options={"push": {"sound": "horn"}},
    )  # fmt: skip
    world.execute(sa.insert(lane_flows).values(priority="P3", channel="push", client_id=1))
    lane.work(world.tools, Priority.P3, sweep=True)
    assert only(envelopes).options["push"] == {"data": {"who": "Ada"}, "badge": 1, "sound": "horn"}
