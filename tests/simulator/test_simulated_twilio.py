import base64
from urllib.parse import parse_qsl, urlencode

import orjson
import pytest
from twilio.request_validator import RequestValidator

from app.domain.vocabulary import Channel
from app.simulator.environment import environment, port_of
from app.simulator.recipients import Fate, address_for

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"
GIVEN = environment(8001)
SID = GIVEN["TWILIO_ACCOUNT_SID"]
OURS = "+15550100100"
SERVICE = "MG0123456789abcdef0123456789abcdef"
HOME = "https://tocsin.example.org/webhooks/twilio"
CALLBACK = f"{HOME}?tag={TAG}"
EVERY_EVENT = ("initiated", "ringing", "answered", "completed")


def call_api(simulated, method, path, form=(), credentials=None):
    user, password = credentials or (SID, GIVEN["TWILIO_AUTH_TOKEN"])
    pairs = [
        (name, each)
        for name, value in dict(form).items()
        for each in (value if isinstance(value, tuple) else (value,))
    ]
    return simulated.http.request(
        method,
        f"http://127.0.0.1:{port_of('twilio', simulated.base)}/2010-04-01/Accounts/{SID}{path}.json",
        body=urlencode(pairs) if form else None,
        headers={
            "authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode(),
            "content-type": "application/x-www-form-urlencoded",
        },
    )


def message(fate="delivered", **changes):
    form = {
        "To": address_for(Fate(fate), Channel.VOICE),
        "From": OURS,
        "Body": "Stay inside",
        "StatusCallback": CALLBACK,
        **changes,
    }
    return {name: value for name, value in form.items() if value is not None}


def chat(fate="delivered", **changes):
    form = message(fate)
    return {**form, "To": f"whatsapp:{form['To']}", "From": f"whatsapp:{OURS}", **changes}


def call(fate="delivered", **changes):
    form = message(fate, Body=None, Twiml="<Response><Say>Stay inside</Say></Response>")
    return {**form, "StatusCallbackEvent": EVERY_EVENT, **changes}


def send(simulated, form, resource="/Messages"):
    return call_api(simulated, "POST", resource, form)


def said(got):
    return dict(parse_qsl(got.body.decode(), keep_blank_values=True))


def test_an_accepted_message_is_answered_as_documented(simulated):
    answer = send(simulated, message())
    body = orjson.loads(answer.data)
    assert answer.status == 201
    assert (body["sid"][:2], len(body["sid"]), body["status"]) == ("SM", 34, "queued")
    assert (body["error_code"], body["from"], body["body"]) == (None, OURS, "Stay inside")
    assert [(entry["tag"], entry["address"]) for entry in simulated.entries()] == [(TAG, "+15550000000")]


def test_a_service_chooses_the_number(simulated):
    body = orjson.loads(send(simulated, message(From=None, MessagingServiceSid=SERVICE)).data)
    assert (body["status"], body["from"], body["messaging_service_sid"]) == ("accepted", None, SERVICE)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": None}, 21604),
        ({"To": "15550100"}, 21211),
        ({"From": None}, 21603),
        ({"From": "+1"}, 21212),
        ({"From": "+15559990000"}, 21606),
        ({"From": f"whatsapp:{OURS}"}, 63007),
        ({"MessagingServiceSid": "MG1"}, 21701),
        ({"Body": None}, 21619),
        ({"Body": "x" * 1601}, 21617),
        ({"MediaUrl": ("https://example.org/a",) * 11}, 21623),
        ({"ContentSid": "HX1"}, 21655),
        ({"StatusCallback": "tocsin"}, 21609),
        ({"ValidityPeriod": "0"}, 20001),
        ({"ValidityPeriod": "36001"}, 20001),
    ],
)
def test_what_is_wrong_with_a_message_is_named_by_its_code(simulated, changes, code):
    answer = send(simulated, message(**changes))
    body = orjson.loads(answer.data)
    assert (answer.status, body["status"], body["code"]) == (400, 400, code)
    assert simulated.entries() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": None}, 21201),
        ({"To": "anna"}, 21211),
        ({"From": "TOWNHALL"}, 21212),
        ({"From": "+15559990000"}, 21210),
        ({"Twiml": "x" * 4001}, 21218),
        ({"Twiml": None}, 21205),
        ({"Url": "tocsin"}, 21205),
    ],
)
def test_what_is_wrong_with_a_call_is_named_by_its_code(simulated, changes, code):
    form = {name: value for name, value in call(**changes).items() if value is not None}
    answer = send(simulated, form, "/Calls")
    assert (answer.status, orjson.loads(answer.data)["code"]) == (400, code)


@pytest.mark.parametrize(
    ("credentials", "status"),
    [
        ((GIVEN["TWILIO_API_KEY"], GIVEN["TWILIO_API_SECRET"]), 201),
        ((SID, "other"), 401),
        ((GIVEN["TWILIO_API_KEY"], GIVEN["TWILIO_AUTH_TOKEN"]), 401),
    ],
)
def test_who_asks_is_looked_at_first(simulated, credentials, status):
    answer = call_api(simulated, "POST", "/Messages", message(), credentials)
    assert answer.status == status


def test_unknown_resources_are_not_found(simulated):
    assert call_api(simulated, "POST", "/Faxes", message()).status == 404
    assert call_api(simulated, "GET", "/Messages/SM1").status == 404


def test_the_account_can_be_looked_up(simulated):
    body = orjson.loads(call_api(simulated, "GET", "").data)
    assert (body["sid"], body["status"]) == (SID, "active")


def test_a_message_can_be_looked_up(simulated):
    sid = orjson.loads(send(simulated, message("soft-bounce")).data)["sid"]
    body = orjson.loads(call_api(simulated, "GET", f"/Messages/{sid}").data)
    assert (body["sid"], body["status"], body["error_code"]) == (sid, "undelivered", 30003)


@pytest.mark.parametrize(
    ("form", "resource", "status", "code"),
    [
        (message("suppressed"), "/Messages", 400, 21610),
        (message("throttled"), "/Messages", 429, 20429),
        (message("down"), "/Messages", 503, 20503),
        (call("throttled"), "/Calls", 429, 20429),
        (call("held"), "/Calls", 400, 21215),
    ],
)
def test_some_fates_are_refused_at_once(simulated, form, resource, status, code):
    answer = send(simulated, form, resource)
    assert (answer.status, orjson.loads(answer.data)["code"]) == (status, code)
    assert simulated.entries() == []


def verified(got, address=CALLBACK):
    """Check a signature with Twilio's own library."""
    validator = RequestValidator(GIVEN["TWILIO_AUTH_TOKEN"])
    assert validator.validate(address, said(got), got.headers["x-twilio-signature"])
    assert got.headers["content-type"].startswith("application/x-www-form-urlencoded")
    return said(got)


def test_callbacks_go_where_the_request_says_and_are_signed_with_it(telling, receiver):
    simulated = telling()
    sid = orjson.loads(send(simulated, message(StatusCallback=f"{CALLBACK}#rc=3&rp=all")).data)["sid"]
    sent, delivered = receiver.take(2)
    assert sent.path == delivered.path == f"/webhooks/twilio?tag={TAG}"
    assert verified(sent)["MessageStatus"] == "sent"
    told = verified(delivered)
    assert (told["MessageSid"], told["SmsSid"], told["MessageStatus"]) == (sid, sid, "delivered")
    assert (told["AccountSid"], told["From"], told["To"]) == (SID, OURS, "+15550000000")


def test_who_asks_for_no_callbacks_hears_nothing(telling):
    simulated = telling()
    send(simulated, message(StatusCallback=None))
    assert simulated.control("GET", "webhooks")["planned"] == 0


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (message("soft-bounce"), ("undelivered", "30003")),
        (message("bounce"), ("undelivered", "30005")),
        (message("rejected"), ("undelivered", "30007")),
        (message("held"), ("undelivered", "30034")),
        (chat("soft-bounce"), ("undelivered", "30008")),
        (chat("bounce"), ("undelivered", "63024")),
        (chat("suppressed"), ("failed", "63033")),
        (chat("rejected"), ("failed", "63016")),
        (chat("held"), ("failed", "63051")),
    ],
)
def test_each_fate_is_told_in_twilios_words(telling, receiver, form, told):
    send(telling(), form)
    last = verified(receiver.take(2)[-1])
    assert (last["MessageStatus"], last["ErrorCode"]) == told


def test_whatsapp_messages_are_read(telling, receiver):
    send(telling(), chat("open"))
    told = [verified(got) for got in receiver.take(3)]
    assert [each["MessageStatus"] for each in told] == ["sent", "delivered", "read"]
    assert {each["ChannelPrefix"] for each in told} == {"whatsapp"}


def test_who_unsubscribes_answers_stop(telling, receiver):
    form = message("unsubscribe")
    send(telling(), form)
    stop = receiver.take(3)[-1]
    told = verified(stop, HOME)
    assert stop.path == "/webhooks/twilio"
    assert (told["From"], told["To"], told["Body"], told["SmsStatus"]) == (
        form["To"],
        OURS,
        "STOP",
        "received",
    )


def test_somebody_may_write_on_demand(telling, receiver):
    simulated = telling()
    order = {"gateway": "twilio", "from": "+15558675310", "to": SERVICE, "text": "START"}
    simulated.control("POST", "inbound", **order)
    [got] = receiver.take()
    told = verified(got, f"{receiver.url}/webhooks/twilio")
    assert (told["From"], told["MessagingServiceSid"], told["Body"]) == ("+15558675310", SERVICE, "START")


def statuses(telling, receiver, form, number):
    send(telling(), form, "/Calls")
    return [verified(got) for got in receiver.take(number)]


@pytest.mark.parametrize(
    ("fate", "told"),
    [
        ("delivered", ["initiated", "ringing", "in-progress", "completed"]),
        ("busy", ["initiated", "ringing", "busy"]),
        ("no-answer", ["initiated", "ringing", "no-answer"]),
        ("soft-bounce", ["initiated", "ringing", "no-answer"]),
        ("bounce", ["initiated", "ringing", "failed"]),
    ],
)
def test_each_call_is_told_step_by_step(telling, receiver, fate, told):
    found = statuses(telling, receiver, call(fate), len(told))
    assert [each["CallStatus"] for each in found] == told
    assert [each["SequenceNumber"] for each in found] == [str(number) for number in range(len(told))]


def test_only_the_end_of_a_call_is_told_unless_more_is_asked_for(telling, receiver):
    simulated = telling()
    form = {name: value for name, value in call().items() if name != "StatusCallbackEvent"}
    send(simulated, form, "/Calls")
    [got] = receiver.take()
    assert verified(got)["CallStatus"] == "completed"
    assert simulated.control("GET", "webhooks")["planned"] == 1


@pytest.mark.parametrize(
    ("detection", "fate", "answered_by"),
    [
        ("Enable", "machine", "machine_start"),
        ("DetectMessageEnd", "machine", "machine_end_beep"),
        ("Enable", "delivered", "human"),
        ("", "machine", None),
    ],
)
def test_who_answers_is_told_where_it_is_asked_for(telling, receiver, detection, fate, answered_by):
    form = call(fate, StatusCallbackEvent="completed", MachineDetection=detection)
    [told] = statuses(telling, receiver, form, 1)
    assert told.get("AnsweredBy") == answered_by


def test_a_person_presses_the_key_that_the_words_name(telling, receiver):
    action = f"{CALLBACK}&step=digits"
    gather = f'<Gather numDigits="1" action="{action.replace("&", "&amp;")}"><Say>Press 4</Say></Gather>'
    form = call("confirmed", StatusCallbackEvent="completed", Twiml=f"<Response>{gather}</Response>")
    send(telling(), form, "/Calls")
    pressed, completed = receiver.take(2)
    assert pressed.path == f"/webhooks/twilio?tag={TAG}&step=digits"
    assert verified(pressed, action)["Digits"] == "4"
    assert verified(completed)["CallStatus"] == "completed"


def test_nobody_else_presses_anything(telling, receiver):
    gather = f'<Response><Gather action="{CALLBACK}"><Say>Press 4</Say></Gather></Response>'
    simulated = telling()
    send(simulated, call(StatusCallbackEvent="completed", Twiml=gather), "/Calls")
    receiver.take()
    assert simulated.control("GET", "webhooks")["planned"] == 1


def test_detections_instructions_and_recordings_have_addresses_of_their_own(telling, receiver):
    form = call(
        "machine",
        StatusCallbackEvent="completed",
        MachineDetection="Enable",
        AsyncAmd="true",
        AsyncAmdStatusCallback=f"{CALLBACK}&step=amd",
        Url=f"{CALLBACK}&step=url",
        Record="true",
        RecordingStatusCallback=f"{CALLBACK}&step=recording",
    )
    send(telling(), form, "/Calls")
    amd, asked, completed, recorded = receiver.take(4)
    assert verified(amd, f"{CALLBACK}&step=amd")["AnsweredBy"] == "machine_start"
    assert verified(asked, f"{CALLBACK}&step=url")["CallStatus"] == "in-progress"
    assert verified(completed)["CallStatus"] == "completed"
    assert verified(recorded, f"{CALLBACK}&step=recording")["RecordingStatus"] == "completed"
