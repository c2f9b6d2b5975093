import shutil
import tempfile
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.db.redis import short_client
from app.embedded import binaries
from app.embedded.process import start
from app.embedded.valkey import Valkey
from app.errors import ClaimClosed, Unavailable
from app.limits.ledger import Ledger, Reading

CLAIM = UUID("0198a3c0-0000-7000-8000-000000000001")


@pytest.fixture
def ledger(client):
    return Ledger(client, ttl=timedelta(hours=6))


def reading(*started, **answers):
    return Reading(started=frozenset(started), answers={int(key[1:]): said for key, said in answers.items()})


def test_an_opened_claim_of_which_nothing_started_reads_empty(ledger):
    ledger.claim(CLAIM)
    assert ledger.close(CLAIM) == reading()


def test_messages_that_were_not_started_may_start(ledger):
    assert ledger.claim(CLAIM).advance({}, [3, 1, 2]) == [3, 1, 2]


def test_a_started_message_without_answer_reads_as_started(ledger):
    ledger.claim(CLAIM).advance({}, [1, 2])
    assert ledger.close(CLAIM) == reading(1, 2)


def test_an_answered_message_reads_with_its_answer(ledger):
    claim = ledger.claim(CLAIM)
    claim.advance({}, [1, 2])
    claim.advance({1: "accepted:abc"}, [])
    assert ledger.close(CLAIM) == reading(2, _1="accepted:abc")


def test_a_message_starts_only_once_in_a_claim(ledger):
    claim = ledger.claim(CLAIM)
    claim.advance({}, [1])
    assert claim.advance({}, [1, 2, 2]) == [2]


def test_a_message_that_was_answered_is_not_started_again(ledger):
    claim = ledger.claim(CLAIM)
    claim.advance({}, [1])
    claim.advance({1: "throttle"}, [])
    assert claim.advance({}, [1]) == []


def test_an_answer_is_written_once(ledger, client):
    claim = ledger.claim(CLAIM)
    claim.advance({1: "accepted"}, [1])
    claim.advance({}, [2])
    assert client.get(f"ledger:{{{CLAIM}}}").count("accepted") == 1


def test_an_answer_may_hold_any_text(ledger):
    claim = ledger.claim(CLAIM)
    words = 'quotes " and \\ and\nlines\u2028and\x85umlauts ü'
    claim.advance({1: words}, [1])
    assert ledger.close(CLAIM).answers == {1: words}


def test_a_claim_nobody_opened_reads_as_lost(ledger):
    assert ledger.close(CLAIM) is None


def test_a_closed_claim_takes_no_starts(ledger):
    claim = ledger.claim(CLAIM)
    ledger.close(CLAIM)
    with pytest.raises(ClaimClosed):
        claim.advance({}, [1])


def test_what_a_closed_claim_refused_is_not_in_it(ledger):
    claim = ledger.claim(CLAIM)
    ledger.close(CLAIM)
    with pytest.raises(ClaimClosed):
        claim.advance({}, [1])
    assert ledger.close(CLAIM) == reading()


def test_a_closed_claim_reads_the_same_again(ledger):
    ledger.claim(CLAIM).advance({2: "accepted"}, [1, 2])
    assert ledger.close(CLAIM) == ledger.close(CLAIM) == reading(1, _2="accepted")


def test_a_lost_claim_stays_lost(ledger):
    ledger.close(CLAIM)
    assert ledger.close(CLAIM) is None


def test_a_closed_claim_cannot_be_opened(ledger):
    ledger.close(CLAIM)
    with pytest.raises(ClaimClosed):
        ledger.claim(CLAIM)


def test_a_second_worker_cannot_open_the_same_claim(ledger):
    ledger.claim(CLAIM)
    with pytest.raises(ClaimClosed):
        ledger.claim(CLAIM)


def test_of_two_workers_with_one_claim_the_one_that_opened_last_after_a_loss_goes_on(ledger, client):
    first = ledger.claim(CLAIM)
    client.flushall()
    ledger.claim(CLAIM)
    with pytest.raises(ClaimClosed):
        first.advance({}, [1])


def test_a_flush_between_opening_and_starting_loses_nothing(ledger, client):
    claim = ledger.claim(CLAIM)
    client.flushall()
    claim.advance({}, [1])
    assert ledger.close(CLAIM) == reading(1)


def test_a_living_worker_writes_everything_again_after_a_flush(ledger, client):
    claim = ledger.claim(CLAIM)
    claim.advance({}, [1, 2])
    claim.advance({1: "accepted"}, [3])
    client.flushall()
    claim.advance({2: "content"}, [4])
    assert ledger.close(CLAIM) == reading(3, 4, _1="accepted", _2="content")


def test_a_flush_before_closing_makes_it_lost(ledger, client):
    ledger.claim(CLAIM).advance({}, [1])
    client.flushall()
    assert ledger.close(CLAIM) is None


def test_a_claim_closed_after_a_flush_is_not_written_again(ledger, client):
    claim = ledger.claim(CLAIM)
    client.flushall()
    ledger.close(CLAIM)
    with pytest.raises(ClaimClosed):
        claim.advance({}, [1])


def test_where_the_closing_itself_was_lost_postgresql_is_asked(ledger, client):
    claim = ledger.claim(CLAIM, still_ours=lambda: False)
    ledger.close(CLAIM)
    client.flushall()
    with pytest.raises(ClaimClosed):
        claim.advance({}, [1])


def test_postgresql_is_not_asked_while_nothing_was_lost(ledger):
    asked = []
    claim = ledger.claim(CLAIM, still_ours=lambda: asked.append(1) or True)
    claim.advance({}, [1])
    claim.advance({1: "accepted"}, [])
    assert asked == []


def test_a_forgotten_claim_leaves_no_key(ledger, client):
    ledger.claim(CLAIM)
    ledger.forget(CLAIM)
    assert client.keys() == []


def test_entries_and_tombstones_do_not_stay_for_ever(ledger, client):
    ledger.claim(CLAIM)
    ledger.close(uuid4())
    assert [0 < client.pttl(key) <= 6 * 3600 * 1000 for key in client.scan_iter()] == [True, True]


def test_nothing_may_start_while_redis_is_gone_and_answers_are_kept_for_later(durable_valkey):
    with durable_valkey() as server:
        claim = server.ledger.claim(CLAIM)
        claim.advance({}, [1])
        server.stop()
        with pytest.raises(Unavailable):
            claim.advance({1: "accepted"}, [2])
        server.start()
        assert claim.advance({}, [2]) == [2]
        assert server.ledger.close(CLAIM) == reading(2, _1="accepted")


def test_after_a_restart_what_was_kept_on_disk_proves_nothing(durable_valkey):
    with durable_valkey() as server:
        server.ledger.claim(CLAIM).advance({}, [1])
        server.stop()
        server.start()
        assert server.client.exists(f"ledger:{{{CLAIM}}}") == 1
        assert server.ledger.close(CLAIM) is None


def test_after_a_restart_a_living_worker_writes_everything_again(durable_valkey):
    with durable_valkey() as server:
        claim = server.ledger.claim(CLAIM)
        claim.advance({}, [1])
        server.stop()
        server.start()
        claim.advance({}, [2])
        assert server.ledger.close(CLAIM) == reading(1, 2)


def test_a_claim_closed_before_a_restart_stays_closed(durable_valkey):
    with durable_valkey() as server:
        claim = server.ledger.claim(CLAIM)
        server.ledger.close(CLAIM)
        server.stop()
        server.start()
        with pytest.raises(ClaimClosed):
            claim.advance({}, [1])


def test_a_late_repetition_of_an_older_writing_is_not_taken_for_the_newest(ledger, client):
    claim = ledger.claim(CLAIM)
    claim.advance({}, [1])
    client.flushall()
    claim.advance({}, [2])
    older = client.dump(f"ledger:{{{CLAIM}}}")
    client.flushall()
    claim.advance({}, [3])
    client.flushall()
    client.restore(f"ledger:{{{CLAIM}}}", 0, older)
    claim.advance({}, [4])
    assert ledger.close(CLAIM) == reading(1, 2, 3, 4)


class Server:
    """A Valkey with an append-only file that a test stops and starts."""

    def __init__(self, valkey, guard):
        self._valkey = valkey
        self._guard = guard
        self._process = None
        self.client = short_client(valkey.url())
        self.ledger = Ledger(self.client, ttl=timedelta(hours=6))

    def start(self):
        self._valkey.prepare()
        self._process = start(self._valkey.command(), self._guard.environment)
        self._guard.watch(self._process)
        self._valkey.wait_until_ready(self._process)

    def stop(self):
        if self._process is not None:
            self._process.stop()
            self._guard.forget(self._process)
            self._process = None


@pytest.fixture
def durable_valkey(server_root, server_account, guard):
    @contextmanager
    def run():
        home = Path(tempfile.mkdtemp(prefix="durable-", dir=server_root))
        shutil.chown(home, server_account.uid, server_account.gid)
        program = binaries.valkey_for(binaries.find_valkey(), server_account, server_root / "programs")
        server = Server(
            Valkey(
                data=home / "data",
                socket=home / "valkey.sock",
                log=home / "valkey.log",
                program=program,
                account=server_account,
            ),
            guard,
        )
        server.start()
        try:
            yield server
        finally:
            server.client.close()
            server.stop()

    return run


messages = st.lists(st.integers(1, 12), max_size=5)


class LedgerMachine(RuleBasedStateMachine):
    """Two workers try to send one claim; Redis may be emptied and the claim released at any time.

    PostgreSQL gives a claim to one worker at a time, and closes it before the ledger is closed.
    """

    client = None

    @initialize()
    def begin(self):
        self.client.flushall()
        self.ledger = Ledger(self.client, ttl=timedelta(hours=1))
        self.open_in_postgresql = True
        self.worker = None
        self.allowed = set()
        self.answered = {}
        self.told = []

    @precondition(lambda self: self.worker is None and self.open_in_postgresql)
    @rule()
    def take_over(self):
        self.worker = self.ledger.claim(CLAIM, still_ours=lambda: self.open_in_postgresql)

    @precondition(lambda self: self.worker is not None)
    @rule(starts=messages, said=messages)
    def advance(self, starts, said):
        answers = {message: f"answer {message}" for message in said if message in self.allowed}
        try:
            granted = self.worker.advance(answers, starts)
        except ClaimClosed:
            assert not self.open_in_postgresql
            return
        assert not self.told or not granted, "started after somebody was told what had started"
        assert self.allowed.isdisjoint(granted), "started twice"
        self.allowed.update(granted)
        self.answered.update(answers)

    @rule()
    def lose_everything(self):
        self.client.flushall()

    @rule()
    def lose_scripts(self):
        self.client.script_flush()

    @rule()
    def release_in_postgresql(self):
        self.open_in_postgresql = False

    @precondition(lambda self: not self.open_in_postgresql)
    @rule()
    def close(self):
        found = self.ledger.close(CLAIM)
        if found is not None:
            self.told.append(found)
            assert found.started | found.answers.keys() == self.allowed
            assert found.answers == self.answered

    @precondition(lambda self: self.worker is not None)
    @rule()
    def second_worker(self):
        try:
            self.ledger.claim(CLAIM, still_ours=lambda: False)
        except ClaimClosed:
            return
        # It could open what was lost; PostgreSQL then has nothing for it, so it starts nothing.
        self.ledger.forget(CLAIM)

    @invariant()
    def answers_are_of_started_messages(self):
        assert self.answered.keys() <= self.allowed


def test_no_message_is_started_unknown_to_whoever_reads_the_ledger(valkey):
    with short_client(valkey.url()) as client:
        machine = type("Machine", (LedgerMachine,), {"client": client})
        machine.TestCase.settings = settings(
            max_examples=150,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        case = machine.TestCase()
        case.runTest()
