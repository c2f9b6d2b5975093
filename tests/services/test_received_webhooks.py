"""Received webhooks: who calls, what became of each, and processing them once more."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, webhook_inbox
from app.errors import Conflict, Invalid, NotFound
from app.services.audit import Who
from app.services.received_webhooks import ReceivedWebhooks, WebhookState
from app.services.rejects import note_reject
from app.services.withholding import Withholding
from tests.world import only

ANN = Who(actor="ann")
NOW = datetime.now(UTC)
FAILED = {"processed_at": NOW, "tries": 10, "result": "failed: ValueError"}
DONE = {"processed_at": NOW, "tries": 1, "result": "recorded 1, repeated 0, parked 0"}


class Bell:
    """Notes that the inbox was rung for."""

    rings = 0

    def inbox(self):
        self.rings += 1


@pytest.fixture
def bell():
    return Bell()


@pytest.fixture
def service(world, bell):
    return ReceivedWebhooks(
        world.tools.engine,
        world.app.redis,
        {"postal", "ses"},
        withholding=Withholding(["hunter2hunter2"]),
        wake=bell,
        now=lambda: NOW,
    )


def came(world, gateway="postal", **values):
    """Keep a webhook; gives its id."""
    row = {"gateway": gateway, "url": "https://us.example/webhooks", "headers": {}, "body": b"{}", **values}
    with world.tools.engine.begin() as conn:
        return conn.scalar(sa.insert(webhook_inbox).values(row).returning(webhook_inbox.c.id))


def state(service, webhook):
    return service.get(webhook).state


def test_each_gateway_that_calls_or_may_is_told_with_its_last_webhook(world, service):
    came(world, "postal", received_at=NOW - timedelta(hours=3), **DONE)
    came(world, "postal", received_at=NOW - timedelta(seconds=2), **DONE)
    came(world, "gone", received_at=NOW - timedelta(days=9), **DONE)
    found = {each.gateway: (each.expected, each.last_at) for each in service.sources()}
    assert found == {
        "gone": (False, NOW - timedelta(days=9)),
        "postal": (True, NOW - timedelta(seconds=2)),
        "ses": (True, None),
    }


def test_the_lag_is_what_half_of_them_took(world, service):
    for seconds in (1, 2, 3600):
        came(world, received_at=NOW - timedelta(seconds=seconds), **DONE)
    assert service.sources()[0].lag == timedelta(seconds=2)


def test_what_waits_and_what_failed_is_counted(world, service):
    for values in ({}, {}, FAILED, DONE):
        came(world, **values)
    postal, ses = service.sources()
    assert (postal.waiting, postal.failed) == (2, 1)
    assert (ses.waiting, ses.failed) == (0, 0)


def test_what_came_without_proof_is_counted_by_its_reason(world, service):
    for reason in ("signature", "signature", "age"):
        note_reject(world.app.redis, "ses", reason, NOW)
    assert service.sources()[1].rejected == {"signature": 2, "age": 1}


@pytest.mark.parametrize("wanted", list(WebhookState))
def test_they_are_found_by_their_state(world, service, wanted):
    ids = {
        WebhookState.WAITING: came(world),
        WebhookState.FAILED: came(world, **FAILED),
        WebhookState.DONE: came(world, **DONE),
    }
    assert [each.id for each in service.list(state=wanted).items] == [ids[wanted]]


def test_one_that_is_tried_again_still_waits(world, service):
    assert state(service, came(world, tries=3, result="failed: ValueError")) is WebhookState.WAITING


def test_pages_go_on_where_the_one_before_ended(world, service):
    ids = [came(world, "ses" if n % 2 else "postal") for n in range(6)]
    first = service.list(gateway="postal", limit=2)
    second = service.list(gateway="postal", limit=2, cursor=first.next)
    assert [each.id for page in (first, second) for each in page.items] == [ids[4], ids[2], ids[0]]
    assert second.next is None


def test_a_replayed_one_waits_again_with_all_its_tries(world, service, bell):
    webhook = came(world, **FAILED)
    service.replay(ANN, webhook, why="the format is known now")
    row = only(world.all(sa.select(webhook_inbox)))
    assert (row.processed_at, row.tries, row.result, bell.rings) == (None, 0, None, 1)
    entry = only(world.all(sa.select(audit_log)))
    assert (entry.actor, entry.action, entry.target, entry.why) == (
        "ann", "webhook.replay", f"webhook:{webhook}", "the format is known now",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "waits"),
        ({**DONE, "body": None, "erased_at": NOW}, "erased"),
        ({**DONE, "gateway": "gone"}, "not set up"),
    ],
)
def test_what_cannot_be_replayed_is_told_and_left_alone(world, service, bell, values, said):
    webhook = came(world, **values)
    before = world.all(sa.select(webhook_inbox))
    with pytest.raises(Conflict, match=said):
        service.replay(ANN, webhook, why="try it")
    assert (world.all(sa.select(webhook_inbox)), bell.rings) == (before, 0)


def test_nothing_is_replayed_without_a_reason(world, service):
    webhook = came(world, **FAILED)
    with pytest.raises(Invalid):
        service.replay(ANN, webhook, why=" ")
    with pytest.raises(Invalid):
        service.replay_failed(ANN, None, why="")
    assert state(service, webhook) is WebhookState.FAILED


def test_all_that_failed_of_a_gateway_are_replayed_and_no_others(world, service, bell):
    mine = [came(world, **FAILED), came(world, **FAILED)]
    left = {
        came(world, "ses", **FAILED): WebhookState.FAILED,
        came(world, **DONE): WebhookState.DONE,
        came(world, erased_at=NOW, **FAILED): WebhookState.FAILED,
    }
    assert service.replay_failed(ANN, "postal", why="mended") == 2
    assert {each: state(service, each) for each in left} == left
    assert {state(service, each) for each in mine} == {WebhookState.WAITING}
    entry = only(world.all(sa.select(audit_log)))
    assert (entry.target, entry.after["webhooks"], bell.rings) == ("webhooks:postal", 2, 1)


def test_where_nothing_failed_nothing_is_written_down(world, service):
    came(world, "gone", **FAILED)
    with pytest.raises(Conflict):
        service.replay_failed(ANN, None, why="mended")
    assert world.all(sa.select(audit_log)) == []


def test_what_one_says_is_shown_without_secrets_and_who_looked_is_kept(world, service):
    webhook = came(
        world,
        url="https://us.example/webhooks/ses?token=abc&batch=7",
        headers={"content-type": "application/json", "x-signature": "c2ln"},
        body=b'{"Token": "t0p", "Message": "{\\"to\\": \\"x\\", \\"apiKey\\": \\"k1\\"}", '
        b'"n": "hunter2hunter2"}',
    )
    content = service.open(ANN, webhook)
    assert content.headers == {"content-type": "application/json", "x-signature": "(withheld)"}
    assert ("batch=7" in content.url, "abc" in content.url) == (True, False)
    assert '"to": "x"' in content.body
    assert not [each for each in ("t0p", "k1", "hunter2") if each in content.body]
    entry = only(world.all(sa.select(audit_log)))
    assert (entry.action, entry.target) == ("webhook.open", f"webhook:{webhook}")


def test_one_that_was_erased_says_nothing(world, service):
    assert service.open(ANN, came(world, body=None, erased_at=NOW, **DONE)) is None


@pytest.mark.parametrize("call", ["get", "open", "replay"])
def test_one_that_is_not_there_is_told(service, call):
    arguments = {"get": (1,), "open": (ANN, 1), "replay": (ANN, 1)}[call]
    with pytest.raises(NotFound):
        getattr(service, call)(*arguments, **({"why": "try"} if call == "replay" else {}))


FILL = """
    INSERT INTO webhook_inbox (gateway, url, headers, body, processed_at, tries, result)
    SELECT CASE WHEN n % 2 = 0 THEN 'postal' ELSE 'ses' END, '', '{}', '\\x00', now(), 1,
           CASE WHEN n % 500 = 0 THEN 'failed: X' ELSE 'recorded 1' END
    FROM generate_series(1, 20000) AS n
"""


@pytest.fixture
def filled(world, owner_url):
    """An inbox that no reader should read whole; gives the plans of what is asked from then on."""
    with psycopg.connect(owner_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute(FILL)
        owner.execute("VACUUM ANALYZE webhook_inbox")
    plans = []

    def explain(conn, _cursor, statement, parameters, *_):
        if "webhook_inbox" in statement and not statement.startswith("EXPLAIN"):
            plans.append(conn.exec_driver_sql("EXPLAIN (FORMAT JSON) " + statement, parameters).scalar())

    sa.event.listen(world.tools.engine, "before_cursor_execute", explain)
    yield plans
    sa.event.remove(world.tools.engine, "before_cursor_execute", explain)


def test_looking_and_replaying_go_by_index_and_never_read_the_whole_inbox(service, filled):
    service.sources()
    for gateway in (None, "postal"):
        for wanted in (None, WebhookState.FAILED, WebhookState.WAITING):
            service.list(gateway=gateway, state=wanted)
    service.replay_failed(ANN, "postal", why="to see what it reads")
    reads = [node for plan in filled for node in _nodes(plan[0]["Plan"])]
    assert len(filled) == 3 + 6 + 1
    # Sorting would need all of them first, whatever they are found by.
    assert {node["Node Type"] for node in reads} & {"Seq Scan", "Bitmap Heap Scan"} == set()
    assert {node["Index Name"] for node in reads if "Index Name" in node} == {
        "webhook_inbox_pkey",
        "webhook_inbox_gateway_idx",
        "webhook_inbox_failed_idx",
        "webhook_inbox_waiting_idx",
    }


def _nodes(plan):
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
