from collections import Counter
from uuid import uuid4

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"


def wait_for(simulated, **wanted):
    while True:
        tally = simulated.control("GET", "webhooks")
        if all(tally[name] == value for name, value in wanted.items()):
            return tally


def test_what_is_not_taken_is_told_again_under_the_same_uuid(telling, receiver):
    for status in (500, 404):
        receiver.statuses.put(status)
    simulated = telling()
    simulated.send("anna@example.com")
    got = receiver.take(3)
    assert len({webhook.json["uuid"] for webhook in got}) == 1
    assert len({webhook.body for webhook in got}) == 1
    wait_for(simulated, taken=1, tries_failed=2, pending=0)


def test_postal_gives_up_after_six_tries(telling, receiver):
    for _ in range(6):
        receiver.statuses.put(503)
    simulated = telling()
    simulated.send("anna@example.com")
    receiver.take(6)
    wait_for(simulated, given_up=1, taken=0, pending=0)


def test_a_target_that_is_away_is_tried_again(telling, receiver):
    simulated = telling(target="http://127.0.0.1:1")
    simulated.send("anna@example.com")
    tally = wait_for(simulated, given_up=1)
    assert "Refused" in tally["last_failure"]


def test_connections_are_kept_alive(telling, receiver):
    simulated = telling()
    for _ in range(20):
        simulated.send("anna@example.com")
    assert len({webhook.client for webhook in receiver.take(20)}) == 1


def test_duplicates_are_the_same_fact_twice(telling, receiver):
    simulated = telling(duplicate=1.0)
    for _ in range(20):
        simulated.send("anna@example.com", tag=f"{uuid4()}_P1_1")
    got = [webhook.json for webhook in receiver.take(40)]
    facts = Counter(
        (event["payload"]["message"]["id"], event["event"], event["payload"]["timestamp"]) for event in got
    )
    assert set(facts.values()) == {2}
    uuids = Counter(event["uuid"] for event in got)
    assert set(uuids.values()) == {1, 2}


def test_shuffled_webhooks_come_out_of_order(telling, receiver):
    simulated = telling(shuffle=True)
    for _ in range(30):
        simulated.send("click@example.com")
    events = [webhook.json["event"] for webhook in receiver.take(90)]
    assert Counter(events) == {"MessageSent": 30, "MessageLoaded": 30, "MessageLinkClicked": 30}
    assert events.index("MessageLinkClicked") < 89 - events[::-1].index("MessageSent")


def test_keys_survive_a_restart_in_their_folder(start, tmp_path):
    urls = "http://127.0.0.1:{}/.well-known/jwks.json"
    keys = [
        simulated.http.request("GET", urls.format(simulated.base + 1)).data
        for simulated in (start(folder=tmp_path), start(folder=tmp_path))
    ]
    assert keys[0] == keys[1]


def test_the_page_says_that_nothing_leaves_the_machine(simulated):
    simulated.send("anna@example.com")
    simulated.control("POST", "faults", gateway="ses", mode="slow")
    page = simulated.http.request("GET", f"http://127.0.0.1:{simulated.base}/").data.decode()
    assert "Nothing leaves this machine" in page
    assert "soft-bounce@…" in page
    assert "slow: messages are taken" in page
