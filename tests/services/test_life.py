"""A walk through all that can happen to messages, on real rows: whatever comes, the promises hold."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.db.tables import message_queue
from app.domain.decisions import decide
from app.domain.facts import Fact, Tag
from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, EventType, OutcomeClass, Priority
from app.errors import ClaimClosed
from app.queue import claims
from app.queue.positions import Positions
from app.services.recording.heard import Heard
from app.services.recording.record import record
from app.services.sending import answers, release
from app.services.sending.book import open_book
from app.services.sending.ending import Ending
from app.services.sending.ways import chain_of, standing_of

FACTS = [
    ("delivered", None),
    ("sent", None),
    ("opened", None),
    ("bounced", "recipient"),
    ("bounced", "unreachable"),
    ("failed", "content"),
    ("failed", "throttle"),
    ("complained", None),
    ("deferred", "unreachable"),
]


class Worker:
    """One claim in the hands of a worker that a test moves step by step."""

    def __init__(self, world, lane, book, claim):
        self.world, self.lane, self.book, self.claim = world, lane, book, claim
        self.ending = Ending(world.tools, lane, claim)
        self.left = list(claim.messages)
        self.started = []

    def start(self):
        message = self.left.pop()
        try:
            if self.book.advance({}, [message.id]):
                self.started.append(message)
        except ClaimClosed:
            self.left.clear()

    def answer(self, outcome):
        message = self.started.pop()
        gateway = message.gateway
        try:
            self.book.advance({message.id: answers.spell(gateway, outcome)}, [])
        except ClaimClosed:
            self.left.clear()
        standing = standing_of(message, gateway, chain_of(self.world.tools, message))
        now = self.world.clock()
        self.ending.add(message, decide(outcome, standing, self.lane, now, 0.0))


class Life(RuleBasedStateMachine):
    """Everything that callers, workers, gateways and accidents do, in any order."""

    world = None
    batch = None

    def __init__(self):
        super().__init__()
        self.messages, self.workers, self.told = [], [], Counter()

    @rule(priority=st.sampled_from(["P0", "P3"]))
    def accept(self, priority):
        self.messages.append(self.world.one(priority, batch_id=self.batch if priority == "P3" else None))

    @rule(priority=st.sampled_from(["P0", "P3"]))
    def claim(self, priority):
        lane = self.world.tools.lanes[Priority(priority)].changed(claim_size=3)
        book = open_book(self.world.tools, lane, uuid4())
        with self.world.tools.once.connect() as conn:
            harvest = claims.claim(
                conn,
                lane,
                book.claim,
                channels=["email"],
                worker=self.world.tools.worker,
                positions=Positions(),
            )
        self.workers += [Worker(self.world, lane, book, claim) for claim in harvest.claims if claim.own]

    @precondition(lambda self: any(worker.left for worker in self.workers))
    @rule()
    def start(self):
        next(worker for worker in self.workers if worker.left).start()

    @precondition(lambda self: any(worker.started for worker in self.workers))
    @rule(kind=st.sampled_from(list(OutcomeClass)), scope=st.sampled_from(list(ConfigScope)))
    def answer(self, kind, scope):
        external_id = uuid4().hex if kind is OutcomeClass.ACCEPTED else None
        outcome = Outcome(kind=kind, external_id=external_id, scope=scope)
        next(worker for worker in self.workers if worker.started).answer(outcome)

    @precondition(lambda self: any(worker.ending.waiting for worker in self.workers))
    @rule()
    def settle(self):
        next(worker for worker in self.workers if worker.ending.waiting).ending.settle()

    @rule()
    def lose_all_leases(self):
        self.world.lapse()
        for priority in (Priority.P0, Priority.P3):
            release.release(self.world.tools, priority)

    @rule()
    def lose_the_ledger(self):
        self.world.app.redis.flushall()

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), told=st.sampled_from(FACTS), attempt=st.integers(1, 3), repeated=st.booleans())
    def tell(self, data, told, attempt, repeated):
        message = data.draw(st.sampled_from(self.messages))
        event, outcome = told
        fact = Fact(
            key=f"{message.uuid}-{event}-{outcome}-{attempt}",
            event_type=EventType(event),
            occurred_at=datetime.now(UTC),
            tag=Tag(uuid=message.uuid, priority=Priority(self.world.row(message).priority), attempt=attempt),
            outcome=outcome and OutcomeClass(outcome),
        )
        for _ in range(1 + repeated):
            with self.world.tools.engine.begin() as conn:
                record(conn, self.world.tools, [Heard(gateway="postal", fact=fact, inbox=None)])

    @rule()
    def let_waits_pass(self):
        self.world.execute(
            sa.update(message_queue)
            .where(message_queue.c.status == "pending")
            .values(scheduled_for=sa.func.now() - timedelta(seconds=1))
        )

    @invariant()
    def nobody_is_lost_and_every_state_has_its_marks(self):
        for row in self.world.all(sa.select(message_queue)):
            assert (row.status == "processing") == (row.locked_by is not None)
            assert row.attempts <= row.max_attempts
            assert row.status != "sent" or row.sent_at
            assert row.status != "pending" or row.attempts < row.max_attempts

    @invariant()
    def the_database_counted_as_a_recount_does(self):
        query = (
            sa.select(message_queue.c.status, sa.func.count())
            .where(message_queue.c.batch_id == self.batch)
            .group_by(message_queue.c.status)
        )
        recount = Counter(dict(tuple(row) for row in self.world.all(query)))
        counted = Counter(self.world.counted(self.batch))
        # What was put in came without the trigger, which counts changes.
        counted["pending"] += recount.total()
        assert +counted == +recount

    @invariant()
    def each_message_was_queued_once(self):
        for message in self.messages:
            assert self.world.history(message).count("queued") == 1


def test_whatever_comes_the_promises_hold(world):
    life = type("LifeHere", (Life,), {"world": world, "batch": world.batch()})
    run_state_machine_as_test(
        life,
        settings=settings(
            max_examples=8,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
