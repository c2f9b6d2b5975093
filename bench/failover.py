"""failover: the first gateway fails under load; the second takes over, and the first comes back."""

import time

import psycopg

from bench import fill
from bench.accounts import account, open_messages
from bench.results import Result
from bench.singles import singles
from bench.sizes import Size
from bench.system import System, system
from bench.waiting import until

MODES = {"refuse": "refuses", "timeout": "times out", "error": "answers 500", "lost": "takes, and hangs up"}
PER_SECOND = 25.0
FAULT = 8.0  # seconds
TIMEOUT = 3.0  # seconds; the default of 15 would only make the bench longer.
# An open breaker waits half a minute before it lets probes through, and doubles that when they fail.
LONGEST_WAY_BACK = 120.0


def run(size: Size) -> Result:
    """Break the first gateway in each way, time the second and the way back, then count everybody."""
    result = Result(
        bench="failover", what="Postal fails under single messages and a campaign; SES takes over"
    )
    result.note(f"one request to a gateway may take {TIMEOUT:g} s here; that is the first part of a time-out")
    with system(GATEWAY_TIMEOUT_SECONDS=str(TIMEOUT)) as whole, whole.connect() as database:
        with singles(whole.port, whole.key, PER_SECOND) as sent:
            until(lambda: whole.gateways.accepted("postal") > PER_SECOND, "messages flow")
            client = fill.client(database, "campaigns")
            for mode in MODES:
                fill.campaign(database, client, size.of(20_000, 200))
                _fail(whole, mode, result)
        # What was tried in vain waits two minutes for its next round.
        until(lambda: open_messages(database) == 0, "all has come to rest", within=400)
        until(lambda: whole.gateways.told()["pending"] == 0, "webhooks are told", within=600)
        until(lambda: not _unread(database), "webhooks are read", within=60)
        account(database, whole.gateways, sent.uuids).report(result)
    return result


def _fail(whole: System, mode: str, result: Result) -> None:
    name = MODES[mode]
    before = whole.gateways.accepted("ses")
    whole.gateways.fail("postal", mode)
    began = time.monotonic()
    until(lambda: whole.gateways.accepted("ses") > before, f"{name}: SES takes over", within=60)
    bound = 1.0 if mode == "refuse" else None
    result.add(f"{name}: first through the second", "s", time.monotonic() - began, at_most=bound)
    time.sleep(max(began + FAULT - time.monotonic(), 0))
    before = whole.gateways.accepted("postal")
    whole.gateways.mend()
    began = time.monotonic()
    until(lambda: _is_back(whole, before), f"{name}: Postal is back", within=LONGEST_WAY_BACK)
    result.add(f"{name}: way back", "s", time.monotonic() - began)


def _is_back(whole: System, before: int) -> bool:
    """More than the few probes must come."""
    return whole.gateways.accepted("postal") - before > PER_SECOND


def _unread(database: psycopg.Connection) -> int:
    return fill.one(database, "SELECT count(*) FROM webhook_inbox WHERE processed_at IS NULL")
