from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from app.simulator.exchange import Request
from app.simulator.sigv4 import denial

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PATH = "/v2/email/outbound-emails"


def signed(method="POST", query="", body=b'{"a": 1}'):
    """Sign a request as Amazon's own library does, and give it as it would arrive."""
    url = f"http://127.0.0.1:8003{PATH}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, data=body, headers={"content-type": "application/json"})
    with time_machine.travel(NOW, tick=False):
        SigV4Auth(Credentials("TOCSINSIMULATOR", "simulated"), "ses", "us-east-1").add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(method=method, path=PATH, query=query, headers=headers, body=body, host="127.0.0.1:8003")


def test_what_amazons_library_signs_is_let_in():
    assert denial(signed(), NOW) is None


def test_a_query_is_part_of_the_signature():
    request = signed("GET", query="b=2&a=1%2F3&c=", body=b"")
    assert denial(request, NOW) is None
    assert denial(replace(request, query="b=2&a=1%2F4&c="), NOW).kind == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    "change", [{"body": b'{"a": 2}'}, {"path": PATH + "x"}, {"method": "PUT"}, {"host": "127.0.0.1:8004"}]
)
def test_whatever_is_changed_breaks_the_signature(change):
    assert denial(replace(signed(), **change), NOW).kind == "SignatureDoesNotMatch"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_signature_holds_for_five_minutes(minutes):
    assert denial(signed(), NOW + timedelta(minutes=minutes / 2)) is None
    assert denial(signed(), NOW + timedelta(minutes=minutes)).kind == "SignatureDoesNotMatch"


def test_a_header_that_is_no_signature_is_told_apart():
    request = replace(signed(), headers={"authorization": "Bearer x"})
    assert denial(request, NOW).kind == "IncompleteSignatureException"
