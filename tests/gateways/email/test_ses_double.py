"""SES as moto plays it: a double that nobody of us wrote."""

from datetime import UTC, datetime

import boto3
import pytest
import urllib3
from botocore.credentials import ReadOnlyCredentials
from moto.server import ThreadedMotoServer

from app.domain.vocabulary import OutcomeClass
from app.gateways.base import Attachment, HttpResponse
from app.gateways.email.ses.sending import Ses

CREDENTIALS = ReadOnlyCredentials("AKIDEXAMPLE", "a-secret", None)


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "ses",
        "eu-west-1",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    client.verify_email_identity(EmailAddress="news@example.org")
    yield f"http://{host}:{port}"
    server.stop()


def exchanged(endpoint, message):
    ses = Ses(region="eu-west-1", credentials=lambda: CREDENTIALS, endpoint=endpoint)
    request = ses.build([message], datetime.now(UTC))
    answer = urllib3.request(request.method, request.url, body=request.body, headers=request.headers)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    (outcome,) = ses.read([message], HttpResponse(status=answer.status, headers=headers, body=answer.data))
    return outcome


def test_a_message_is_accepted_with_an_id(endpoint, envelope):
    file = Attachment(filename="a.txt", content_type="text/plain", content=b"x")
    outcome = exchanged(endpoint, envelope(headers={"X-A": "b"}, attachments=[file], category="c"))
    assert outcome.kind == OutcomeClass.ACCEPTED
    assert outcome.external_id


def test_a_sender_that_is_not_verified_is_our_configuration(endpoint, envelope):
    outcome = exchanged(endpoint, envelope(sender="other@example.net"))
    assert outcome.kind == OutcomeClass.CONFIG
    assert "@" not in outcome.detail


def test_a_page_of_html_leaves_it_unknown(endpoint, envelope):
    assert exchanged(f"{endpoint}/not/there", envelope()).kind == OutcomeClass.UNKNOWN
