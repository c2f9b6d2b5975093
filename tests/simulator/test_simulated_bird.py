import base64
import hashlib
import hmac

import orjson
import pytest

from app.simulator.environment import environment, port_of

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"
GIVEN = environment(8001)
SENDER, CHANNEL = GIVEN["BIRD_CHANNELS"].split(",")[0].split("=")
ANNA = "+15554440001"


def body(number, **fields):
    return {
        "receiver": {"contacts": [{"identifierKey": "phonenumber", "identifierValue": number}]},
        "body": {"type": "text", "text": {"text": "Stay inside"}},
        "reference": TAG,
        **fields,
    }


def post(simulated, sent, key="simulator", workspace=None, channel=CHANNEL):
    headers = {"content-type": "application/json"} | ({"authorization": f"AccessKey {key}"} if key else {})
    content = sent if isinstance(sent, bytes) else orjson.dumps(sent)
    path = f"/workspaces/{workspace or GIVEN['BIRD_WORKSPACE_ID']}/channels/{channel}/messages"
    url = f"http://127.0.0.1:{port_of('bird', simulated.base)}{path}"
    return simulated.http.request("POST", url, body=content, headers=headers)


def test_an_accepted_text_is_answered_as_documented(simulated):
    answer = post(simulated, body(ANNA))
    said = orjson.loads(answer.data)
    assert answer.status == 202
    assert (said["status"], said["channelId"], said["reference"]) == ("accepted", CHANNEL, TAG)
    assert said["id"]
    assert [(entry["tag"], entry["address"]) for entry in simulated.entries()] == [(TAG, ANNA)]


@pytest.mark.parametrize(
    ("fields", "changes", "status"),
    [
        ({}, {"key": None}, 401),
        ({}, {"key": "x"}, 401),
        ({}, {"workspace": "x"}, 404),
        ({}, {"channel": "x"}, 404),
        ({"body": {}}, {}, 422),
        ({"receiver": {"contacts": []}}, {}, 422),
        ({"receiver": {"contacts": [7]}}, {}, 422),
        ({"receiver": {"contacts": [{"identifierValue": "15554440001"}]}}, {}, 422),
    ],
)
def test_what_is_wrong_is_refused(simulated, fields, changes, status):
    assert post(simulated, body(ANNA) | fields, **changes).status == status
    assert simulated.entries() == []


@pytest.mark.parametrize(
    ("number", "statuses", "code"),
    [
        (ANNA, ["processing", "sent", "delivered"], None),
        ("+15554520000", ["sent", "delivery_failed"], "27"),
        ("+15555500000", ["sent", "delivery_failed"], "1"),
        ("+15555530000", ["rejected"], "103"),
        ("+15555540000", ["rejected"], "105"),
        ("+15554230000", ["sending_failed"], "104"),
    ],
)
def test_each_fate_is_told_in_birds_words(telling, receiver, number, statuses, code):
    simulated = telling()
    name = orjson.loads(post(simulated, body(number)).data)["id"]
    told = [webhook.json for webhook in receiver.take(len(statuses))]
    assert [event["payload"]["status"] for event in told] == statuses
    assert told[-1]["payload"].get("failure", {}).get("source", {}).get("code") == code
    assert {(event["service"], event["event"]) for event in told} == {("channels", "sms.outbound")}
    assert {(event["payload"]["id"], event["payload"]["reference"]) for event in told} == {(name, TAG)}


def test_an_event_is_signed_over_time_address_and_body(telling, receiver):
    simulated = telling()
    post(simulated, body("+15555530000"))
    (webhook,) = receiver.take()
    stamp = webhook.headers["messagebird-request-timestamp"]
    text = f"{stamp}\n{receiver.url}/webhooks/bird\n".encode() + hashlib.sha256(webhook.body).digest()
    expected = hmac.new(GIVEN["BIRD_SIGNING_KEYS"].encode(), text, hashlib.sha256).digest()
    assert base64.b64decode(webhook.headers["messagebird-signature"]) == expected


def test_who_unsubscribes_answers_stop(telling, receiver):
    simulated = telling()
    post(simulated, body("+15552050000"))
    told = receiver.take(4)[-1].json
    assert told["event"] == "sms.inbound"
    assert told["payload"]["sender"]["contact"]["identifierValue"] == "+15552050000"
    assert (told["payload"]["channelId"], told["payload"]["body"]["text"]["text"]) == (CHANNEL, "STOP")


def test_somebody_can_write_on_demand(telling, receiver):
    simulated = telling()
    order = {"gateway": "bird", "from": ANNA, "to": SENDER, "text": "START"}
    assert simulated.control("POST", "inbound", **order) == {"webhooks": 1}
    told = receiver.take()[0].json["payload"]
    assert (told["direction"], told["channelId"], told["body"]["text"]["text"]) == (
        "incoming",
        CHANNEL,
        "START",
    )


def test_too_fast_is_429(simulated):
    assert post(simulated, body("+15554290000")).status == 429


@pytest.mark.parametrize(("number", "status"), [("+15555030000", 503), ("+15555020000", 200)])
def test_a_broken_gateway_takes_nothing(simulated, number, status):
    assert post(simulated, body(number)).status == status
    assert simulated.entries() == []
