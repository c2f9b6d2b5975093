"""Messages that go in one request: as many as the gateway can say together, each with its own ending."""

from collections import deque
from dataclasses import dataclass, field
from uuid import uuid4

import orjson
import pytest
import sqlalchemy as sa

from app import settings as config
from app.db.tables import message_queue
from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, OutcomeClass, Priority
from app.errors import Invalid
from app.gateways.base import HttpRequest
from app.gateways.email.sendgrid.sending import SendGrid
from app.queue.claims import claim_these
from app.services.sending import lane
from app.services.sending.requests import Requests
from app.simulator.environment import environment
from tests.world import TIMEOUT


@pytest.fixture
def settings(database_url, redis_url, gateways):
    """A process whose only gateway for email is SendGrid."""
    named = {
        name.lower(): value
        for name, value in environment(gateways.base).items()
        if name.startswith("SENDGRID_")
    }
    return config.load(
        _env_file=None,
        database_url=database_url,
        redis_url=redis_url,
        gateway_timeout_seconds=TIMEOUT,
        simulated=True,
        **named,
    )


def requests(world):
    """Count what was refused by reason; each is one request."""
    return world.gateways.control("GET", "counts")["gateways"].get("sendgrid", {}).get("refused", {})


def test_a_lane_of_equal_messages_goes_in_one_request(world):
    messages = world.add("P3", 60, gateway="sendgrid")
    lane.work(world.tools, Priority.P3, sweep=False)
    assert world.statuses(messages) == {"sent": 60}
    ids = {world.row(message).external_id for message in messages}
    assert len(ids) == 60
    assert len({each.partition(".")[0] for each in ids}) == 1


def test_recipients_bring_their_own_values_for_a_template_that_sendgrid_keeps(world, monkeypatch):
    bodies, build = [], SendGrid.build
    monkeypatch.setattr(SendGrid, "build", lambda *given: bodies.append(build(*given)) or bodies[-1])
    options = {"email": {"template_id": "d-1", "template_data": {"shop": "?", "year": 2026}}}
    batch = world.batch(shared_data={"shop": "Spring", "name": "you"}, options=options)
    words = {"gateway": "sendgrid", "batch_id": batch, "subject": None, "body_text": None}
    messages = [world.one("P3", **words, content_data={"name": name}) for name in ("Ada", "Ben")]
    messages.append(world.one("P3", **words))
    lane.work(world.tools, Priority.P3, sweep=True)
    assert world.statuses(messages) == {"sent": 3}
    (body,) = bodies
    assert [each["dynamic_template_data"] for each in orjson.loads(body.body)["personalizations"]] == [
        {"shop": "Spring", "year": 2026, "name": name} for name in ("Ada", "Ben", "you")
    ]


def test_contents_that_differ_share_a_request_by_substitution(world):
    messages = [world.one("P3", gateway="sendgrid", body_text=f"Hello {n}\n\nNews") for n in range(10)]
    lane.work(world.tools, Priority.P3, sweep=False)
    assert world.statuses(messages) == {"sent": 10}
    assert len({world.row(message).external_id.partition(".")[0] for message in messages}) == 1


def test_contents_that_cannot_share_go_in_requests_of_their_own(world):
    messages = [world.one("P3", gateway="sendgrid", body_text=f"{n}" * 12_000) for n in range(4)]
    lane.work(world.tools, Priority.P3, sweep=False)
    assert world.statuses(messages) == {"sent": 4}
    assert len({world.row(message).external_id.partition(".")[0] for message in messages}) == 4


def test_a_bad_address_ends_its_own_message_and_the_others_go_again_at_once(world):
    good = world.add("P3", 5, gateway="sendgrid")
    bad = world.one("P3", gateway="sendgrid", recipient_address="b..b@example.com")
    lane.work(world.tools, Priority.P3, sweep=False)
    assert requests(world) == {"http_400": 1}
    assert world.row(bad).status == "failed"
    assert [row.address for row in world.suppressed()] == ["b..b@example.com"]
    assert world.statuses(good) == {"pending": 5}
    lane.work(world.tools, Priority.P3, sweep=False)
    assert world.statuses(good) == {"sent": 5}
    assert {world.row(message).attempts for message in good} == {0}


@dataclass
class Pairs:
    """A gateway that joins messages whose text begins with the same letter."""

    name: str = "postal"
    channel: Channel = Channel.EMAIL
    batch: int = 100
    asked: list[str] = field(default_factory=list)

    def joint(self, messages):
        first = messages[0].text[0]
        return next((n for n, each in enumerate(messages) if each.text[0] != first), len(messages))

    def build(self, messages, _now):
        if any("bad" in each.text for each in messages):
            raise Invalid.of("message", "bad")
        return HttpRequest(url="http://x", body=",".join(each.text for each in messages).encode(), headers={})

    def cannot_express(self, message):
        return "badness" if "bad" in message.text else None


@dataclass
class Contents:
    """Renders a message as what it is, and remembers that it did."""

    envelope_of: object
    rendered: list[str] = field(default_factory=list)

    def envelope(self, message):
        self.rendered.append(message)
        return self.envelope_of(message)


@dataclass
class Told:
    id: int
    text: str


@pytest.fixture
def joining(world):
    """Make requests of these texts, some at a time."""
    contents = Contents(lambda told: told)
    tools = world.with_tools(gateways={"postal": Pairs()}, contents=contents).tools
    concluded = []

    def conclude(_gateway, message, outcome):
        concluded.append((message.text, outcome))

    def make(*texts):
        queue = deque(("postal", Told(number, text)) for number, text in enumerate(texts))
        made = Requests(tools, queue, conclude, hear=pytest.fail)
        return made, queue, contents, concluded

    return make


def bodies(made):
    return [request.body.decode() for _, request in made]


def test_each_request_gets_what_comes_together(joining, world):
    made, queue, _, _ = joining("a1", "a2", "b1", "a3")
    assert bodies(made.take(10, world.clock())) == ["a1,a2", "b1", "a3"]
    assert not queue


def test_what_is_too_much_for_now_waits_in_its_order_and_is_rendered_once(joining, world):
    made, queue, contents, _ = joining("a1", "b1", "b2", "c1", "d1")
    assert bodies(made.take(1, world.clock())) == ["a1"]
    assert [message.text for _, message in queue] == ["b1", "b2", "c1", "d1"]
    assert bodies(made.take(2, world.clock())) == ["b1,b2", "c1"]
    assert bodies(made.take(2, world.clock())) == ["d1"]
    assert len(contents.rendered) == 5


def test_what_left_the_queue_meanwhile_is_not_sent(joining, world):
    made, queue, _, _ = joining("a1", "b1", "c1")
    made.take(1, world.clock())
    queue.popleft()
    assert bodies(made.take(5, world.clock())) == ["c1"]


def test_one_that_cannot_be_said_is_taken_out_of_its_request(joining, world):
    made, _, _, concluded = joining("a1", "a bad", "a2")
    assert bodies(made.take(5, world.clock())) == ["a1,a2"]
    ((text, outcome),) = concluded
    assert (text, outcome.kind, outcome.detail) == ("a bad", OutcomeClass.CONFIG, "badness")


def test_one_that_cannot_be_rendered_keeps_no_other_back(joining, world):
    made, _, contents, concluded = joining("a1", "broken", "a2")
    failure = Outcome(kind=OutcomeClass.CONTENT)
    contents.envelope_of = lambda told: failure if told.text == "broken" else told
    assert bodies(made.take(5, world.clock())) == ["a1,a2"]
    assert concluded == [("broken", failure)]


def test_files_of_a_batch_are_read_once_for_all_its_messages(world):
    files = [{"filename": "a.txt", "content_type": "text/plain", "content": "Zm9v"}]
    batch = world.batch(subject="S", body_text="T", options={"attachments": files})
    own = world.one("P3", batch_id=batch, options={"attachments": [{**files[0], "content": "YmFy"}]})
    world.add("P3", 2, batch_id=batch, subject=None, body_text=None)
    with world.tools.engine.begin() as conn:
        ids = [row.id for row in conn.execute(sa.select(message_queue.c.id))]
        claim = claim_these(conn, world.tools.lanes[Priority.P3], uuid4(), ids, worker="test")
    sent = {row.id: world.tools.contents.envelope(row).attachments for row in claim.messages}
    others = [attachments for message, attachments in sent.items() if message != own.id]
    assert others[0] is others[1]
    assert others[0][0].content == b"foo"
    assert sent[own.id][0].content == b"bar"
