"""Topics: our own table is what holds, FCM is told of it as well as can be."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import orjson
import pytest
import sqlalchemy as sa

from app.db.engine import make_engine
from app.errors import Conflict, Invalid, NotFound, Unavailable
from app.gateways.base import HttpFailure, HttpResponse
from app.gateways.push.fcm.topics import Topics
from app.services.audit import Who
from app.services.devices import DeviceDraft, DeviceService
from app.services.topic_sync import TopicSync
from app.services.topics import TopicService

WHO = Who(actor="test")
WEEK = timedelta(days=7)
MINUTE = timedelta(minutes=1)


def token(number) -> str:
    return "f" + "Aa1:_-" * 20 + str(number)


@dataclass
class Fcm:
    """FCM's topics at the other end of the transport; refuses tokens as told."""

    members: set[str] = field(default_factory=set)
    errors: dict[str, str] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    failing: HttpFailure | HttpResponse | None = None

    def fetch(self, request):
        asked = orjson.loads(request.body)["registration_tokens"]
        self.sizes.append(len(asked))
        if self.failing:
            return self.failing
        change = self.members.add if request.url.endswith("batchAdd") else self.members.discard
        results = []
        for each in asked:
            if each in self.errors:
                results.append({"error": self.errors[each]})
            else:
                change(each)
                results.append({})
        return HttpResponse(status=200, headers={}, body=orjson.dumps({"results": results}))


class Access:
    """An access token that always holds, or cannot be had."""

    away = False

    def current(self, _now):
        if self.away:
            raise Unavailable("no access token")
        return SimpleNamespace(headers={})

    def all_refused(self):
        return False


@pytest.fixture
def engine(database_url):
    engine = make_engine(database_url, pool=5, name="test")
    yield engine
    engine.dispose()


@pytest.fixture
def fcm():
    return Fcm()


@pytest.fixture
def access():
    return Access()


@pytest.fixture
def sync(engine, fcm, access):
    return TopicSync(engine, Topics(tokens=access), lambda: fcm, lambda: datetime.now(UTC))


@pytest.fixture
def later(engine, sync):
    """Tells what waits as if so many seconds had passed; gives the outcomes."""

    def later(seconds, within=MINUTE):
        ago = "UPDATE topic_members SET changed_at = changed_at - make_interval(secs => :seconds)"
        with engine.begin() as conn:
            conn.execute(sa.text(ago), {"seconds": seconds})
        return sync.run(within=within)

    return later


@pytest.fixture
def topics(engine, sync):
    topics = TopicService(engine, sync, stale_after=WEEK)
    topics.create(WHO, "news")
    return topics


@pytest.fixture
def devices(engine):
    return DeviceService(engine, stale_after=WEEK)


@pytest.fixture
def tokens(devices):
    """Three registered devices of FCM's."""
    found = [token(number) for number in range(3)]
    for number, each in enumerate(found):
        devices.register(DeviceDraft(token=each, platform="fcm", recipient_id=number))
    return found


def states(results):
    return [result.state for result in results]


def followers(topics):
    return [(member.token, member.state) for member in topics.members("news").items]


def test_who_joins_is_a_member_here_and_there(topics, tokens, fcm):
    assert states(topics.subscribe("news", tokens)) == ["subscribed"] * 3
    assert fcm.members == set(tokens)
    assert topics.get("news").members == 3


def test_who_leaves_is_a_member_neither_here_nor_there(topics, tokens, fcm):
    topics.subscribe("news", tokens)
    assert states(topics.unsubscribe("news", tokens[:1])) == ["unsubscribed"]
    assert fcm.members == set(tokens[1:])
    assert topics.get("news").members == 2


def test_joining_twice_is_told_once(topics, tokens, fcm):
    topics.subscribe("news", tokens)
    assert states(topics.subscribe("news", tokens)) == ["subscribed"] * 3
    assert fcm.sizes == [3]


def test_a_thousand_are_told_at_a_time(topics, engine, fcm):
    with engine.begin() as conn:
        conn.execute(
            sa.text(
                "INSERT INTO device_tokens (token, platform, recipient_id)"
                " SELECT 'token-' || n, 'fcm', n FROM generate_series(1, 2500) AS n"
            )
        )
    told = topics.subscribe("news", [f"token-{number}" for number in range(1, 2501)])
    assert set(states(told)) == {"subscribed"}
    assert fcm.sizes == [1000, 1000, 500]


def test_devices_of_apple_s_are_members_without_being_told_of(topics, devices, fcm):
    apns = "ab" * 32
    devices.register(DeviceDraft(token=apns, platform="apns", recipient_id=1))
    assert states(topics.subscribe("news", [apns])) == ["subscribed"]
    assert states(topics.unsubscribe("news", [apns])) == ["unsubscribed"]
    assert fcm.sizes == []


def test_results_come_in_the_order_of_the_tokens(topics, tokens, fcm):
    fcm.errors[tokens[1]] = "NOT_FOUND"
    told = topics.subscribe("news", [tokens[1], "nobody", tokens[0]])
    assert states(told) == ["refused", "unknown", "subscribed"]
    assert told[0].error == "NOT_FOUND"


def test_a_token_that_fcm_does_not_know_is_out_of_use(topics, tokens, fcm, devices):
    fcm.errors[tokens[1]] = "NOT_FOUND"
    topics.subscribe("news", tokens)
    assert [view.is_active for view in reversed(devices.search().items)] == [True, False, True]
    assert [each for each, _ in followers(topics)] == [tokens[0], tokens[2]]


def test_a_device_in_too_many_topics_is_refused_and_stays_in_use(topics, tokens, fcm, devices):
    fcm.errors[tokens[1]] = "TOO_MANY_TOPICS"
    assert states(topics.subscribe("news", tokens)) == ["subscribed", "refused", "subscribed"]
    assert all(view.is_active for view in devices.search().items)


@pytest.mark.parametrize(
    "failing",
    [
        HttpFailure(written=True, detail="gone"),
        HttpResponse(status=503, headers={}, body=b"{}"),
        HttpResponse(status=401, headers={}, body=b"{}"),
    ],
)
def test_what_cannot_be_told_now_is_so_here_and_told_later(topics, tokens, fcm, failing, later):
    fcm.failing = failing
    assert states(topics.subscribe("news", tokens)) == ["waiting"] * 3
    assert topics.get("news").members == 3
    fcm.failing = None
    assert later(seconds=0) == {}
    later(seconds=61)
    assert fcm.members == set(tokens)
    assert {state for _, state in followers(topics)} == {"subscribed"}


def test_without_an_access_token_nobody_is_told(topics, tokens, fcm, access):
    access.away = True
    assert states(topics.subscribe("news", tokens)) == ["waiting"] * 3
    assert fcm.sizes == []


def test_after_a_request_that_failed_no_other_is_made_at_once(topics, engine, fcm):
    with engine.begin() as conn:
        conn.execute(
            sa.text(
                "INSERT INTO device_tokens (token, platform, recipient_id)"
                " SELECT 'token-' || n, 'fcm', n FROM generate_series(1, 2000) AS n"
            )
        )
    fcm.failing = HttpFailure(written=False, detail="away")
    topics.subscribe("news", [f"token-{number}" for number in range(1, 2001)])
    assert fcm.sizes == [1000]


def test_who_left_before_fcm_knew_is_gone_there_too(topics, tokens, fcm):
    fcm.failing = HttpFailure(written=True, detail="gone")
    topics.subscribe("news", tokens)
    fcm.failing = None
    fcm.members.update(tokens)
    topics.unsubscribe("news", tokens)
    assert fcm.members == set()
    assert followers(topics) == []


def test_whoever_changes_their_mind_while_fcm_is_told_is_not_overruled(topics, tokens, fcm, sync, engine):
    class Slow:
        def fetch(self, request):
            with engine.begin() as conn:
                conn.execute(
                    sa.text(
                        "UPDATE topic_members SET state = 'unsubscribing', changed_at = clock_timestamp()"
                    )
                )
            return fcm.fetch(request)

    slow = TopicSync(engine, Topics(tokens=Access()), Slow, lambda: datetime.now(UTC))
    TopicService(engine, slow, stale_after=WEEK).subscribe("news", tokens[:1])
    assert topics.get("news").members == 0
    sync.run(within=MINUTE)
    assert fcm.members == set()


def test_no_request_begins_after_the_time_is_over(topics, tokens, fcm, later):
    fcm.failing = HttpFailure(written=False, detail="away")
    topics.subscribe("news", tokens)
    fcm.failing = None
    assert later(seconds=3600, within=timedelta(0)) == {}


def test_a_topic_is_there_once(topics):
    with pytest.raises(Conflict):
        topics.create(WHO, "news")


def test_a_topic_that_is_not_there_cannot_be_joined(topics, tokens):
    with pytest.raises(NotFound):
        topics.subscribe("other", tokens)


def test_too_many_tokens_at_a_time_are_refused(topics):
    with pytest.raises(Invalid):
        topics.subscribe("news", ["x"] * 10_001)


# Sending to members


def test_members_that_can_be_sent_to_become_rows(topics, tokens, devices, engine):
    topics.subscribe("news", tokens)
    devices.deactivate(tokens[0])
    with engine.begin() as conn:
        stale = "UPDATE device_tokens SET last_seen_at = now() - interval '8 days' WHERE token = :token"
        conn.execute(sa.text(stale), {"token": tokens[1]})
    rows = list(topics.rows("news", "fcm"))
    assert [(row.line, row.address, row.id) for row in rows] == [(1, tokens[2], 2)]
    assert list(topics.rows("news", "apns")) == []
