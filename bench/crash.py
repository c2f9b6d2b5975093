"""crash: everything is killed again and again, and everybody is counted at the gateways."""

import os
import random
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.accounts import account, open_messages
from bench.calling import Caller, upload
from bench.processes import PROJECT, tocsin
from bench.results import Result
from bench.singles import singles
from bench.sizes import Size
from bench.system import System, system
from bench.victims import PLAN, Victims
from bench.waiting import until

LATENCY = "100"  # milliseconds, so that every kill finds requests on the wire
RETRY = "5000"  # milliseconds, doubling: gateways are patient with webhooks
BETWEEN = (1.0, 4.0)  # seconds from kill to kill
UPLOADS = 40
LANES = ("P3", "P2", "P1", "P3", "P4")
SINGLES = 10.0  # a second
# A claim waits to be taken over for moments; after so long its wake is lost.
LOST_AFTER = 45  # seconds
MOST_STOPS = 5

# What nobody is left to renew, and what nobody took over.
_LAPSE = """
UPDATE claims
SET lease_until = now() - interval '1 second', created_at = created_at - interval '1 hour'
WHERE state <> 'closed' AND lease_until > now() AND (
    split_part(worker, ':', 2)::int <> ALL (%s)
    OR (state = 'claimed' AND created_at < now() - %s * interval '1 second'))
"""
_WORKERS = "SELECT DISTINCT split_part(worker, ':', 2)::int FROM claims WHERE state <> 'closed'"
_STOPPABLE = """
SELECT split_part(worker, ':', 2)::int, uuid FROM claims
WHERE state = 'sending' AND priority = 'P4' AND lease_until > now() + interval '55 seconds'
ORDER BY size DESC
LIMIT 1
"""
_STILL_ITS_OWN = """
SELECT FROM claims WHERE uuid = %s AND worker NOT LIKE '%% release' AND state <> 'closed'
"""
_RELEASED = "SELECT FROM claims WHERE uuid = %s AND worker LIKE '%% release'"
_IN_QUEUE = "SELECT count(*) FROM message_queue"
_BATCHES = """
SELECT coalesce(sum(abs(b.sent + b.delivered - counted.taken)), 0)
FROM message_batches AS b
CROSS JOIN LATERAL (
    SELECT count(*) AS taken FROM message_queue AS m
    WHERE m.batch_id = b.id AND m.status IN ('sent', 'delivered')
) AS counted
"""
_UNREAD = "SELECT count(*) FROM webhook_inbox WHERE processed_at IS NULL"


def run(size: Size) -> Result:
    """Kill, wait until all has come to rest, and count."""
    count = size.of(100_000, 400)
    result = Result(
        bench="crash", what=f"{count:,} messages, {size.kills} kills -9, each actor message twice"
    )
    twice = os.pathsep.join((str(Path(__file__).parent / "doubling"), str(PROJECT)))
    with system("--latency", LATENCY, "--retry", RETRY, journal=True, PYTHONPATH=twice) as whole:
        seed = random.SystemRandom().randrange(10**6)
        result.note(f"seed {seed}")
        victims = Victims(whole, random.Random(seed), lapse=not size.full)  # noqa: S311 - It chooses whom to kill.
        with singles(whole.port, whole.key, SINGLES) as sent, _feeding(whole, count, size.kills) as fed:
            with _stopped(victims, result):
                _kill(victims, size.kills)
            fed.done.wait(600)
        _until_at_rest(victims)
        expected = sum(fed.received) + len(sent.uuids)
        _report(victims, result, expected, sent.uuids)
    return result


def _kill(victims: Victims, kills: int) -> None:
    plan: list[str] = []
    while len(plan) < kills:
        plan += victims.dice.sample(PLAN, len(PLAN))
    left = deque(plan[:kills])
    while left:
        kind = left.popleft()
        if kind == "workers" and victims.spared:
            # This would take the stopped worker along.
            left.append(kind)
            until(
                lambda: not victims.spared or set(left) != {"workers"}, "the stopped worker wakes", within=300
            )
            continue
        time.sleep(victims.dice.uniform(*BETWEEN))
        victims.kill(kind)


@dataclass
class _Fed:
    received: list[int] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


@contextmanager
def _feeding(whole: System, count: int, kills: int) -> Iterator[_Fed]:
    """Upload bulk requests beside the block, spread over the time that the kills take."""
    fed = _Fed()
    pause = kills * sum(BETWEEN) / 2 / UPLOADS
    caller = Caller(whole.port, whole.key)

    def feed() -> None:
        for number in range(UPLOADS):
            addresses = (f"reader{number}-{place}@bulk.example.com" for place in range(count // UPLOADS))
            answer = caller.insist_bulk(upload(LANES[number % len(LANES)], addresses))
            fed.received.append(answer["received"])
            time.sleep(pause)
        fed.done.set()

    thread = threading.Thread(target=feed, name="feeding")
    thread.start()
    try:
        yield fed
    finally:
        thread.join()


@contextmanager
def _stopped(victims: Victims, result: Result) -> Iterator[None]:
    """Beside the block, stop a worker that is sending until its claim was released, then wake it.

    A second process of its lane sends what was released meanwhile.
    """
    whole = victims.whole
    with whole.running(*tocsin("workers", "--only", "transactional")):
        thread = threading.Thread(target=lambda: result.note(_stop_one(victims)), name="stopping")
        thread.start()
        try:
            yield
        finally:
            thread.join()


def _stop_one(victims: Victims) -> str:
    """Try until a stopped worker has lost its claim: it may have ended it in the same moment."""
    for _ in range(MOST_STOPS):
        began = time.monotonic()
        pid, claim = _stop(victims)
        try:
            until(lambda: not victims.ask(_STILL_ITS_OWN, claim), "the claim is over", within=300)  # noqa: B023
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            victims.spared.discard(pid)
        if victims.ask(_RELEASED, claim):
            took = time.monotonic() - began
            return f"a worker was stopped in a claim, lost it after {took:.0f} s, and was woken"
    return "no worker could be stopped in the middle of a claim"


def _stop(victims: Victims) -> tuple[int, object]:
    found: list[tuple[int, object]] = []

    def stopped() -> bool:
        for pid, claim in victims.ask(_STOPPABLE):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                victims.spared.add(pid)
                found.append((pid, claim))
        return bool(found)

    until(stopped, "somebody sends P4", within=120)
    return found[0]


def _until_at_rest(victims: Victims) -> None:
    def at_rest() -> bool:
        if victims.lapse:
            _lapse(victims)
        with suppress(Exception), victims.whole.connect() as database:
            return open_messages(database) == 0
        return False

    until(at_rest, "all has come to rest", within=1200, pause=1.0)
    gateways = victims.whole.gateways
    with suppress(TimeoutError):
        until(lambda: gateways.told()["pending"] == 0, "webhooks are told", within=300, pause=0.5)
    until(lambda: victims.ask(_UNREAD)[0][0] == 0, "webhooks are read", within=120, pause=0.5)
    # Counts of batches are two seconds old at most.
    with suppress(TimeoutError):
        until(lambda: victims.ask(_BATCHES)[0][0] == 0, "batches are counted", within=20, pause=0.5)


def _lapse(victims: Victims) -> None:
    alive = [pid for (pid,) in victims.ask(_WORKERS) if Path(f"/proc/{pid}").exists()]
    with suppress(Exception), victims.whole.connect() as database:
        database.execute(_LAPSE, (alive, LOST_AFTER))


def _report(victims: Victims, result: Result, expected: int, uuids: list[str]) -> None:
    whole = victims.whole
    with whole.connect() as database:
        in_queue = int(victims.ask(_IN_QUEUE)[0][0])
        result.add("accepted, and not once in the queue", "messages", abs(in_queue - expected), at_most=0)
        account(database, whole.gateways, uuids).report(result)
    result.add("counts of batches differ by", "messages", float(victims.ask(_BATCHES)[0][0]), at_most=0)
    judged = victims.judged()
    for had, what in ((True, "in flight"), (False, "claimed, the ledger gone")):
        unknown = [kill.unknown for kill in judged if kill.had_ledger is had]
        result.add(f"unknown after a kill, at most ({what})", "messages", max(unknown, default=0))
    beyond = [kill for kill in judged if kill.unknown > kill.bound]
    result.add("kills after which more were unknown than may be", "kills", len(beyond), at_most=0)
    for kill in beyond:
        claimed = len(kill.messages)
        result.note(f"too many unknown: {kill.kind}, {kill.unknown} of {claimed} claimed, bound {kill.bound}")
    with_ledger = sum(kill.had_ledger for kill in judged)
    result.note(
        f"{len(judged)} kills hit workers with claims, {with_ledger} of them with a ledger all the time"
    )
    kinds = [kill.kind for kill in victims.kills]
    result.note("killed: " + ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))))
    told = whole.gateways.told()
    result.note(f"webhooks: {told['planned']:,} planned, {told['given_up']:,} given up by the gateway")
