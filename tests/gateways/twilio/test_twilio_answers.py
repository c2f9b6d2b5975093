from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.base import HttpResponse
from app.gateways.twilio.messages import Twilio, TwilioWhatsApp
from app.gateways.twilio.voice import TwilioVoice

# Each code with its class, and with the scope of a configuration's fault, as Twilio's papers have it.
OPTED_OUT = (21610, 63014, 63033)
RECIPIENT = (
    21211, 21401, 21421, 21214, 21217, 21614, 21635, 21265, 21604, 30005, 30006, 63003, 63024, 13224,
)  # fmt: skip
UNREACHABLE = (30003, 30004, 30008, 21612, 32017)
ACCOUNT = (20003, 20005, 10001, 30002, 20403, 20404, 20006)
SENDER = (
    21212, 21606, 21603, 21659, 21660, 21661, 21210, 21701, 21702, 21703, 21704, 21705,
    30018, 30024, 30032, 30033, 30034, 30035, 63001, 63002, 63007, 63008, 63020, 63051,
)  # fmt: skip
DESTINATION = (21408, 21215, 21608, 21219, 63015, 13225, 21216)
CONTENT = (
    21602, 21617, 21618, 21619, 21623, 21620, 21654, 21655, 21656, 21609, 21205, 21626, 30007, 30019,
    30011, 11751, 12300, 63005, 63006, 63013, 63016, 63019, 63021, 63027, 63028, 63034, 63040, 63041, 63042,
)  # fmt: skip
THROTTLE = (20429, 14107, 21611, 30001, 30022, 30023, 30027, 30017, 30450, 63017, 63018, 63038)
TRANSIENT = (20503, 30021, 30020, 63009, 63010, 63012, 63023, 63036)
UNKNOWN = (20500, 30410, 99999, 0)
TABLE = [
    *[(code, "recipient", None) for code in (*OPTED_OUT, *RECIPIENT)],
    *[(code, "unreachable", None) for code in UNREACHABLE],
    *[(code, "config", ConfigScope.ACCOUNT) for code in ACCOUNT],
    *[(code, "config", ConfigScope.SENDER) for code in SENDER],
    *[(code, "config", ConfigScope.DESTINATION) for code in DESTINATION],
    *[(code, "content", None) for code in CONTENT],
    *[(code, "throttle", None) for code in THROTTLE],
    *[(code, "transient", None) for code in TRANSIENT],
    *[(code, "unknown", None) for code in UNKNOWN],
]


@pytest.fixture(scope="module")
def twilio(account):
    return Twilio(account=account)


def answer(body, status=201, headers=None):
    body = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpResponse(status=status, headers=headers or {}, body=body)


def legacy(code, status=400, message="words", **headers):
    more = f"https://www.twilio.com/docs/errors/{code}"
    return answer({"code": code, "message": message, "more_info": more, "status": status}, status, headers)


def newer(code, status=400, **fields):
    problem = {"type": "about:blank", "title": "A title", "status": status, "code": code}
    return answer(problem | fields, status)


def test_what_was_taken_has_its_sid(twilio, text):
    taken = answer({"sid": "SM1", "status": "queued", "error_code": None, "from": None, "to": "+1"})
    assert twilio.read([text()], taken) == [Outcome(kind=OutcomeClass.ACCEPTED, external_id="SM1")]


@pytest.mark.parametrize("status", ["queued", "accepted", "scheduled", "sending", "sent", "new"])
def test_any_status_that_is_no_failure_is_taken(twilio, text, status):
    (outcome,) = twilio.read([text()], answer({"sid": "SM1", "status": status}))
    assert outcome.kind == OutcomeClass.ACCEPTED


def test_what_failed_at_once_is_not_taken(twilio, text):
    failed = answer({"sid": "SM1", "status": "failed", "error_code": 21610, "error_message": "Opted out"})
    assert twilio.read([text()], failed) == [
        Outcome(
            kind=OutcomeClass.RECIPIENT, opt_out=True, code="21610", detail="Opted out", external_id="SM1"
        )
    ]


@pytest.mark.parametrize("shape", [legacy, newer])
@pytest.mark.parametrize("entry", TABLE)
def test_each_code_has_its_class(twilio, text, shape, entry):
    code, kind, scope = entry
    (outcome,) = twilio.read([text()], shape(code))
    assert (outcome.kind, outcome.scope, outcome.code) == (OutcomeClass(kind), scope, str(code))
    assert outcome.opt_out == (code in OPTED_OUT)


def test_no_code_is_in_two_classes():
    assert len(TABLE) == len({code for code, _, _ in TABLE})


def test_calls_and_whatsapp_are_answered_alike(account, text):
    for gateway in (TwilioWhatsApp(account=account), TwilioVoice(account=account)):
        (outcome,) = gateway.read([text()], legacy(21211))
        assert outcome.kind == OutcomeClass.RECIPIENT


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({}, "A title"),
        ({"detail": "The 'To' number +15558675310 is no number"}, "The 'To' number <removed> is no number"),
    ],
)
def test_the_newer_shape_says_its_detail_or_its_title(twilio, text, fields, detail):
    (outcome,) = twilio.read([text()], newer(21211, **fields))
    assert outcome.detail == detail


def test_neither_side_of_a_message_is_kept_in_its_words(twilio, text):
    message = text(sender="Town Hall <+15017122661>")
    (outcome,) = twilio.read([message], legacy(21606, message="+15017122661 cannot write to +15558675310"))
    assert outcome.detail == "<removed> cannot write to <removed>"


def test_a_code_as_text_is_the_same_code(twilio, text):
    (outcome,) = twilio.read([text()], newer("21614"))
    assert outcome.kind == OutcomeClass.RECIPIENT


@pytest.mark.parametrize(
    "entry",
    [
        (401, "config", ConfigScope.ACCOUNT),
        (429, "throttle", None),
        (503, "transient", None),
        (500, "unknown", None),
        (502, "unknown", None),
        (504, "unknown", None),
        (400, "unknown", None),
        (404, "unknown", None),
        (302, "unknown", None),
    ],
)
@pytest.mark.parametrize("body", [b"<html>", b"", b'{"code": 213', b"[1]"])
def test_an_answer_that_cannot_be_read_has_only_its_status(twilio, text, body, entry):
    status, kind, scope = entry
    (outcome,) = twilio.read([text()], answer(body, status))
    assert (outcome.kind, outcome.scope, outcome.code) == (OutcomeClass(kind), scope, f"http_{status}")


def test_a_status_says_what_an_unknown_code_does_not(twilio, text):
    (outcome,) = twilio.read([text()], legacy(99999, 429))
    assert (outcome.kind, outcome.code) == (OutcomeClass.THROTTLE, "99999")


@pytest.mark.parametrize(
    ("response", "wait"),
    [
        (legacy(20429, 429), None),
        (legacy(20429, 429, **{"retry-after": "7"}), timedelta(seconds=7)),
        (answer(b"", 429, {"retry-after": "2"}), timedelta(seconds=2)),
        (legacy(30450, 400), timedelta(minutes=30)),
        (legacy(30023, 400), timedelta(hours=1)),
        (legacy(30027, 400), timedelta(hours=1)),
        (legacy(21611, 400), timedelta(minutes=10)),
        (legacy(21611, 429, **{"retry-after": "90"}), timedelta(seconds=90)),
        (legacy(20503, 503, **{"retry-after": "90"}), None),
    ],
)
def test_who_is_too_fast_waits_as_long_as_is_said(twilio, text, response, wait):
    (outcome,) = twilio.read([text()], response)
    assert outcome.retry_after == wait


@pytest.mark.parametrize(
    "body", [{}, {"sid": None}, {"sid": ""}, {"sid": True}, b"<html>", b"[]", b'{"sid":']
)
def test_a_yes_without_a_sid_leaves_it_unknown(twilio, text, body):
    (outcome,) = twilio.read([text()], answer(body))
    assert (outcome.kind, outcome.code) == (OutcomeClass.UNKNOWN, "http_201")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99999) | st.text(max_size=9) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["sid", "status", "code", "error_code", "message", "detail", "title"]), inner
        )
    ),
)


@given(
    st.binary() | JSON.map(orjson.dumps), st.sampled_from([0, 200, 201, 204, 301, 400, 401, 429, 500, 999])
)
def test_no_answer_makes_reading_fail(twilio, text, body, status):
    assert len(twilio.read([text()], answer(body, status))) == 1
