from datetime import UTC, datetime

import boto3
import orjson
import pytest
import time_machine
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials

from app.gateways.email.ses.sending import Ses
from app.gateways.email.ses.signing import signed_headers

NOW = datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)
SIGNED = ("Content-Type", "X-Amz-Date", "X-Amz-Security-Token", "Authorization")


class Caught(Exception):
    def __init__(self, request):
        self.request = request


def catch(request, **_):
    raise Caught(request)


def sent_by_botocore(parameters, *, endpoint=None, token=None):
    """The request that botocore's own client would send, prepared and signed."""
    client = boto3.session.Session(
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="a-secret",
        aws_session_token=token,
        region_name="eu-west-1",
    ).client("sesv2", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))
    client.meta.events.register("before-send.sesv2.SendEmail", catch)
    with time_machine.travel(NOW, tick=False), pytest.raises(Caught) as caught:
        client.send_email(**parameters)
    return caught.value.request


PARAMETERS = {
    "FromEmailAddress": "news@example.org",
    "Destination": {"ToAddresses": ["rcpt@example.com"]},
    "Content": {"Simple": {"Subject": {"Data": "Hällo"}, "Body": {"Text": {"Data": "x"}}}},
}


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "http://127.0.0.1:8001",
        "http://127.0.0.1:80",
        "https://ses.example:443",
        "https://h.example/a b",
    ],
)
@pytest.mark.parametrize("token", [None, "a-token"])
def test_the_signature_is_the_one_botocores_client_makes(endpoint, token):
    theirs = sent_by_botocore(PARAMETERS, endpoint=endpoint, token=token)
    ours = signed_headers(
        url=theirs.url,
        body=theirs.body,
        credentials=ReadOnlyCredentials("AKIDEXAMPLE", "a-secret", token),
        service="ses",
        region="eu-west-1",
        now=NOW,
    )
    spelt = {
        name: value.decode() if isinstance(value, bytes) else value for name, value in theirs.headers.items()
    }
    assert ours == {name: spelt[name] for name in SIGNED if name in spelt}


def test_a_built_request_is_what_botocores_client_sends(envelope):
    constant = ReadOnlyCredentials("AKIDEXAMPLE", "a-secret", None)
    ses = Ses(
        region="eu-west-1",
        credentials=lambda: constant,
        endpoint="https://email.eu-west-1.amazonaws.com",
        configuration_set="events",
    )
    ours = ses.build([envelope(sender="Büro <a@example.org>", headers={"X-A": "b"}, category="c")], NOW)
    theirs = sent_by_botocore(orjson.loads(ours.body))
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    assert orjson.loads(ours.body) == orjson.loads(theirs.body)
