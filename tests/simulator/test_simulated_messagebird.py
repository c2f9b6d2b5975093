import base64
import hashlib
import hmac
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from app.simulator.environment import environment, port_of

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"
GIVEN = environment(8001)
ANNA = "15554440001"


def body(*recipients, **fields):
    return {
        "originator": "15550100100",
        "body": "Stay inside",
        "recipients": list(recipients),
        "reference": TAG,
        **fields,
    }


def post(simulated, sent, key="simulator", path="/messages", method="POST"):
    headers = {"content-type": "application/json"} | ({"authorization": f"AccessKey {key}"} if key else {})
    content = sent if isinstance(sent, bytes) else orjson.dumps(sent)
    url = f"http://127.0.0.1:{port_of('messagebird', simulated.base)}{path}"
    return simulated.http.request(method, url, body=content, headers=headers)


def query(webhook):
    parsed = parse_qs(urlsplit(webhook.path).query.replace("+", "%2B"), keep_blank_values=True)
    return {name: value for name, (value,) in parsed.items()}


def test_an_accepted_text_is_answered_as_documented(simulated):
    answer = post(simulated, body(ANNA, "+15554440002"))
    said = orjson.loads(answer.data)
    assert answer.status == 201
    assert len(said["id"]) == 32
    assert (said["direction"], said["reference"]) == ("mt", TAG)
    assert said["recipients"]["totalCount"] == 2
    assert [item["recipient"] for item in said["recipients"]["items"]] == [15554440001, 15554440002]
    assert [entry["address"] for entry in simulated.entries()] == ["15554440001", "15554440002"]


def test_recipients_may_be_written_with_commas(simulated):
    assert post(simulated, body() | {"recipients": "15554440001,15554440002"}).status == 201
    assert len(simulated.entries()) == 2


@pytest.mark.parametrize(
    ("fields", "code", "parameter"),
    [
        ({"recipients": []}, 9, "recipients"),
        ({"recipients": ["x"]}, 10, "recipients"),
        ({"recipients": [ANNA] * 51}, 10, "recipients"),
        ({"body": ""}, 9, "body"),
        ({"originator": ""}, 9, "originator"),
        ({"originator": "FOREIGN"}, 10, "originator"),
        ({"originator": "a name too long"}, 10, "originator"),
    ],
)
def test_what_is_wrong_is_named_by_code_and_parameter(simulated, fields, code, parameter):
    answer = post(simulated, body(ANNA) | fields)
    (error,) = orjson.loads(answer.data)["errors"]
    assert (answer.status, error["code"], error["parameter"]) == (422, code, parameter)
    assert simulated.entries() == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"key": None}, 401, 2),
        ({"key": "x"}, 401, 2),
        ({"path": "/x"}, 404, 20),
        ({"method": "PUT"}, 405, 20),
    ],
)
def test_who_asks_and_for_what_is_looked_at_first(simulated, changes, status, code):
    answer = post(simulated, body(ANNA), **changes)
    assert (answer.status, orjson.loads(answer.data)["errors"][0]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("number", "statuses", "code"),
    [
        (ANNA, ["sent", "delivered"], ""),
        ("15554510000", ["buffered", "delivered"], ""),
        ("15554520000", ["buffered", "expired"], ""),
        ("15555500000", ["delivery_failed"], "1"),
        ("15555530000", ["delivery_failed"], "103"),
        ("15555540000", ["delivery_failed"], "105"),
        ("15554230000", ["delivery_failed"], "104"),
    ],
)
def test_each_fate_is_told_in_messagebirds_words(telling, receiver, number, statuses, code):
    simulated = telling()
    name = orjson.loads(post(simulated, body(number)).data)["id"]
    reports = [query(webhook) for webhook in receiver.take(len(statuses))]
    assert [report["status"] for report in reports] == statuses
    assert reports[-1]["statusErrorCode"] == code
    assert {(report["id"], report["reference"], report["recipient"]) for report in reports} == {
        (name, TAG, number)
    }


def claims_of(webhook, url):
    """Check a token with nothing of the simulator's but its published key."""
    head, claims, signature = webhook.headers["messagebird-signature-jwt"].split(".")
    key = GIVEN["MESSAGEBIRD_SIGNING_KEYS"].encode()
    expected = hmac.new(key, f"{head}.{claims}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "==") == expected
    read = orjson.loads(base64.urlsafe_b64decode(claims + "=="))
    assert read["url_hash"] == hashlib.sha256(url.encode()).hexdigest()
    return read


def test_a_report_is_a_get_with_a_token_over_its_address(telling, receiver):
    simulated = telling()
    post(simulated, body(ANNA))
    (webhook, _) = receiver.take(2)
    assert (webhook.method, webhook.body) == ("GET", b"")
    assert webhook.path.startswith("/webhooks/messagebird?")
    assert webhook.path.endswith("&ported=0")
    assert query(webhook)["statusDatetime"].endswith("+00:00")
    claims = claims_of(webhook, receiver.url + webhook.path)
    assert claims["iss"] == "MessageBird"
    assert claims["exp"] == claims["nbf"] + 60
    assert "payload_hash" not in claims


def test_a_report_goes_to_the_address_that_the_request_named(telling, receiver):
    simulated = telling()
    post(simulated, body(ANNA, reportUrl="https://tocsin.example.com/other?a=b"))
    (webhook, _) = receiver.take(2)
    assert webhook.path.startswith("/other?a=b&id=")
    claims_of(webhook, f"https://tocsin.example.com{webhook.path}")


def test_who_unsubscribes_answers_stop(telling, receiver):
    simulated = telling()
    post(simulated, body("15552050000"))
    told = query(receiver.take(3)[-1])
    assert (told["originator"], told["recipient"], told["body"]) == ("15552050000", "15550100100", "STOP")


def test_somebody_can_write_on_demand(telling, receiver):
    simulated = telling()
    order = {"gateway": "messagebird", "from": "+15554440001", "to": "+15550100100", "text": "Où & +?"}
    assert simulated.control("POST", "inbound", **order) == {"webhooks": 1}
    (webhook,) = receiver.take()
    parsed = parse_qs(urlsplit(webhook.path).query)
    assert (parsed["originator"], parsed["recipient"]) == ([ANNA], ["15550100100"])
    claims_of(webhook, receiver.url + webhook.path)


def test_too_fast_is_429(simulated):
    assert post(simulated, body("15554290000")).status == 429


@pytest.mark.parametrize(("number", "status"), [("15555030000", 503), ("15555020000", 200)])
def test_a_broken_gateway_takes_nothing(simulated, number, status):
    assert post(simulated, body(number)).status == status
    assert simulated.entries() == []
