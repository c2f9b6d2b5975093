import base64

import orjson
import pytest

from app.simulator.environment import environment, port_of

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"
GIVEN = environment(8001)
ANNA = "+15554440001"


def body(*recipients, **fields):
    return {
        "applicationId": GIVEN["BANDWIDTH_APPLICATION_ID"],
        "to": list(recipients),
        "from": "+15550100100",
        "text": "Stay inside",
        "tag": TAG,
        **fields,
    }


def post(simulated, sent, credentials="simulator:simulated", kind="application/json", account=None):
    headers = {"content-type": kind}
    if credentials is not None:
        headers["authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    path = f"/api/v2/users/{account or GIVEN['BANDWIDTH_ACCOUNT_ID']}/messages"
    content = sent if isinstance(sent, bytes) else orjson.dumps(sent)
    url = f"http://127.0.0.1:{port_of('bandwidth', simulated.base)}{path}"
    return simulated.http.request("POST", url, body=content, headers=headers)


def test_an_accepted_text_is_answered_as_documented(simulated):
    answer = post(simulated, body(ANNA, priority="high"))
    said = orjson.loads(answer.data)
    assert answer.status == 202
    assert said["id"]
    assert (said["direction"], said["to"], said["tag"], said["priority"]) == ("out", [ANNA], TAG, "high")
    assert [(entry["tag"], entry["address"]) for entry in simulated.entries()] == [(TAG, ANNA)]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"to": []}, "to"),
        ({"to": None}, "to"),
        ({"to": ["15554440001"]}, "to"),
        ({"to": [ANNA] * 11}, "to"),
        ({"from": ""}, "from"),
        ({"from": "+15559990000"}, "from"),
        ({"applicationId": ""}, "applicationId"),
        ({"applicationId": "another"}, "applicationId"),
        ({"text": ""}, "text"),
        ({"text": "x" * 2049}, "text"),
        ({"tag": "x" * 1025}, "tag"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(simulated, fields, named):
    answer = post(simulated, body(ANNA) | fields)
    said = orjson.loads(answer.data)
    assert (answer.status, said["type"]) == (400, "request-validation")
    assert [fault["fieldName"] for fault in said["fieldErrors"]] == [named]
    assert simulated.entries() == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"credentials": None}, 401),
        ({"credentials": "simulator:other"}, 401),
        ({"account": "1"}, 404),
        ({"kind": "text/plain"}, 415),
    ],
)
def test_who_asks_and_how_is_looked_at_first(simulated, changes, status):
    assert post(simulated, body(ANNA), **changes).status == status


def test_a_body_that_is_no_object_is_refused(simulated):
    assert post(simulated, b'{"to":').status == 400


def test_several_recipients_are_one_group_under_one_id(simulated):
    answer = post(simulated, body(ANNA, "+15554440002"))
    assert answer.status == 202
    assert len(simulated.entries()) == 2


@pytest.mark.parametrize(
    ("number", "types", "code"),
    [
        (ANNA, ["message-sending", "message-delivered"], None),
        ("+15554520000", ["message-sending", "message-failed"], 4702),
        ("+15555500000", ["message-sending", "message-failed"], 4720),
        ("+15555530000", ["message-sending", "message-failed"], 4775),
        ("+15555540000", ["message-sending", "message-failed"], 4770),
        ("+15554230000", ["message-sending", "message-failed"], 4795),
        ("+15552050000", ["message-sending", "message-delivered", "message-received"], None),
    ],
)
def test_each_fate_is_told_in_bandwidths_words(telling, receiver, number, types, code):
    simulated = telling()
    name = orjson.loads(post(simulated, body(number)).data)["id"]
    events = [webhook.json[0] for webhook in receiver.take(len(types))]
    assert [event["type"] for event in events] == types
    assert events[-1].get("errorCode") == code
    told = [event for event in events if event["message"]["direction"] == "out"]
    assert {(event["message"]["id"], event["message"]["tag"], event["to"]) for event in told} == {
        (name, TAG, number)
    }
    assert {event["message"]["text"] for event in told} == {""}


def test_callbacks_are_arrays_that_carry_the_credentials(telling, receiver):
    simulated = telling()
    post(simulated, body(ANNA))
    (webhook, _) = receiver.take(2)
    assert (webhook.method, webhook.path) == ("POST", "/webhooks/bandwidth")
    assert webhook.headers["user-agent"] == "BandwidthAPI/v2"
    given = base64.b64decode(webhook.headers["authorization"].removeprefix("Basic ")).decode()
    assert given == GIVEN["BANDWIDTH_WEBHOOK_CREDENTIALS"]


def test_pictures_are_told_of(telling, receiver):
    simulated = telling()
    post(simulated, body(ANNA, media=["https://example.org/a.png"]))
    assert receiver.take(2)[0].json[0]["message"]["media"] == ["https://example.org/a.png"]


def test_somebody_can_write_on_demand(telling, receiver):
    simulated = telling()
    order = {"gateway": "bandwidth", "from": ANNA, "to": "+15550100100", "text": "STOP"}
    assert simulated.control("POST", "inbound", **order) == {"webhooks": 1}
    (event,) = receiver.take()[0].json
    assert (event["type"], event["to"], event["message"]["from"], event["message"]["text"]) == (
        "message-received",
        "+15550100100",
        ANNA,
        "STOP",
    )


def test_too_fast_is_a_full_queue(simulated):
    answer = post(simulated, body("+15554290000"))
    assert (answer.status, orjson.loads(answer.data)["type"]) == (429, "max-message-queue-size-exceeded")


@pytest.mark.parametrize(("number", "status"), [("+15555030000", 503), ("+15555020000", 200)])
def test_a_broken_gateway_takes_nothing(simulated, number, status):
    assert post(simulated, body(number)).status == status
    assert simulated.entries() == []
