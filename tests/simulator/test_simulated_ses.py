import base64
import re
from datetime import UTC, datetime

import boto3
import orjson
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from app.simulator import environment
from app.simulator.sender import Delivery

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"


def client(simulated, **changes):
    given = environment(simulated.base)
    return boto3.client(
        "sesv2",
        endpoint_url=given["AWS_ENDPOINT_URL_SESV2"],
        region_name=changes.get("region", given["AWS_REGION"]),
        aws_access_key_id=changes.get("key", given["AWS_ACCESS_KEY_ID"]),
        aws_secret_access_key=changes.get("secret", given["AWS_SECRET_ACCESS_KEY"]),
        config=Config(retries={"total_max_attempts": 1}, read_timeout=changes.get("timeout", 10)),
    )


def send(simulated, address, ses=None, **fields):
    simple = {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "text"}}}
    return (ses or client(simulated)).send_email(
        **{
            "FromEmailAddress": "News <news@example.org>",
            "Destination": {"ToAddresses": [address]},
            "Content": {"Simple": simple},
            "EmailTags": [{"Name": "tocsin", "Value": TAG}],
            "ConfigurationSetName": "tocsin-simulator",
        }
        | fields
    )


def refused(simulated, address="anna@example.com", **fields):
    with pytest.raises(ClientError) as caught:
        send(simulated, address, **fields)
    answer = caught.value.response
    return (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"])


def test_amazons_own_client_understands_the_answer(simulated):
    answer = send(simulated, "Anna <anna@example.com>")
    assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f-]{36}-000000", answer["MessageId"])
    assert answer["ResponseMetadata"]["RequestId"]
    [entry] = simulated.entries()
    assert (entry["tag"], entry["gateway"], entry["address"]) == (TAG, "ses", "anna@example.com")


def test_amazons_own_client_can_ask_for_the_account(simulated):
    assert client(simulated).get_account()["SendingEnabled"] is True


def test_a_raw_message_is_taken(simulated):
    source = b"From: n@example.org\r\nTo: b@example.com\r\nSubject: S\r\n\r\nText"
    send(simulated, "", Destination={}, Content={"Raw": {"Data": source}})
    assert simulated.entries()[0]["address"] == "b@example.com"


@pytest.mark.parametrize(
    ("fields", "status", "code", "words"),
    [
        ({"FromEmailAddress": "n@unverified.example"}, 400, "MessageRejected", "not verified"),
        ({"ConfigurationSetName": "other"}, 404, "NotFoundException", "other"),
        ({"EmailTags": [{"Name": "a b", "Value": "c"}]}, 400, "BadRequestException", "tag"),
        ({"Content": {}}, 400, "BadRequestException", "content"),
        ({"Destination": {"ToAddresses": ["a@example.com"] * 51}}, 400, "BadRequestException", "50"),
        ({"Destination": {"ToAddresses": ["é@example.com"]}}, 400, "BadRequestException", "ASCII"),
        ({"Destination": {"ToAddresses": ["nobody"]}}, 400, "BadRequestException", "@domain"),
    ],
)
def test_what_is_wrong_is_an_error_of_its_type(simulated, fields, status, code, words):
    got = refused(simulated, **fields)
    assert got[:2] == (status, code)
    assert words in got[2]


@pytest.mark.parametrize(
    ("name", "status", "code", "words"),
    [
        ("throttled", 429, "TooManyRequestsException", "Maximum sending rate exceeded."),
        ("rejected", 400, "MessageRejected", "invalid"),
        ("down", 503, "ServiceUnavailable", ""),
    ],
)
def test_magic_recipients_are_refused_in_amazons_words(simulated, name, status, code, words):
    got = refused(simulated, f"{name}@example.com")
    assert got[:2] == (status, code)
    assert words in got[2]
    assert simulated.entries() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "guessed"}, "SignatureDoesNotMatch"),
        ({"key": "SOMEBODYELSE"}, "InvalidClientTokenId"),
        ({"region": "eu-west-1"}, "SignatureDoesNotMatch"),
    ],
)
def test_a_signature_that_does_not_hold_is_refused(simulated, changes, code):
    assert refused(simulated, ses=client(simulated, **changes))[:2] == (403, code)


def test_no_signature_at_all_is_refused(simulated):
    url = f"http://127.0.0.1:{simulated.base + 2}/v2/email/outbound-emails"
    answer = simulated.http.request("POST", url, body=b"{}")
    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def test_lost_is_taken_and_never_answered(simulated):
    with pytest.raises(ConnectionClosedError):
        send(simulated, "lost@example.com")
    assert [entry["fate"] for entry in simulated.entries()] == ["lost"]


def test_silent_is_neither_taken_nor_answered(simulated):
    with pytest.raises(ReadTimeoutError):
        send(simulated, "silent@example.com", ses=client(simulated, timeout=0.3))
    assert simulated.entries() == []


def verified(simulated, webhook):
    """Check the envelope's signature with nothing of the simulator's but its certificate."""
    envelope = webhook.json
    assert envelope["SigningCertURL"].startswith(f"http://127.0.0.1:{simulated.base}/")
    assert envelope["SigningCertURL"].endswith(".pem")
    certificate = x509.load_pem_x509_certificate(
        simulated.http.request("GET", envelope["SigningCertURL"]).data
    )
    assert certificate.not_valid_before_utc < datetime.now(UTC) < certificate.not_valid_after_utc
    names = {
        "Notification": ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        "SubscriptionConfirmation": [
            "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
        ],
    }[envelope["Type"]]  # fmt: skip
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}[envelope["SignatureVersion"]]  # noqa: S303 - SNS signs so
    signature = base64.b64decode(envelope["Signature"], validate=True)
    certificate.public_key().verify(signature, text.encode(), padding.PKCS1v15(), algorithm)
    assert webhook.headers["x-amz-sns-message-type"] == envelope["Type"]
    assert webhook.headers["content-type"] == "text/plain; charset=UTF-8"
    return envelope


def told(receiver, number):
    return [orjson.loads(webhook.json["Message"]) for webhook in receiver.take(number)]


def test_events_come_in_signed_notifications(telling, receiver):
    simulated = telling()
    sent = send(simulated, "anna@example.com")
    envelopes = [verified(simulated, webhook) for webhook in receiver.take(2)]
    assert {envelope["TopicArn"] for envelope in envelopes} == {environment(1)["SES_SNS_TOPIC_ARNS"]}
    events = [orjson.loads(envelope["Message"]) for envelope in envelopes]
    assert [event["eventType"] for event in events] == ["Send", "Delivery"]
    mail = events[1]["mail"]
    assert mail["messageId"] == sent["MessageId"]
    assert mail["destination"] == ["anna@example.com"]
    assert mail["tags"] == {"ses:configuration-set": ["tocsin-simulator"], "tocsin": [TAG]}
    assert events[1]["delivery"]["recipients"] == ["anna@example.com"]


def test_version_2_signs_by_sha256(start, receiver):
    simulated = start(delivery=Delivery(target=receiver.url), subscribed=True, sns_signature="2")
    send(simulated, "anna@example.com")
    assert verified(simulated, receiver.take()[0])["SignatureVersion"] == "2"


@pytest.mark.parametrize(
    ("name", "events", "expected"),
    [
        ("bounce", ["Send", "Bounce"], ("Permanent", "General")),
        ("soft-bounce", ["Send", "Bounce"], ("Transient", "MailboxFull")),
        ("suppressed", ["Send", "Bounce"], ("Permanent", "OnAccountSuppressionList")),
        ("late-bounce", ["Send", "Delivery", "Bounce"], ("Permanent", "General")),
    ],
)
def test_bounces_say_their_type(telling, receiver, name, events, expected):
    simulated = telling()
    send(simulated, f"{name}@example.com")
    got = told(receiver, len(events))
    assert [event["eventType"] for event in got] == events
    bounce = got[-1]["bounce"]
    assert (bounce["bounceType"], bounce["bounceSubType"]) == expected
    assert bounce["bouncedRecipients"][0]["emailAddress"] == f"{name}@example.com"


@pytest.mark.parametrize(
    ("name", "events", "said"),
    [
        ("complaint", ["Send", "Delivery", "Complaint"], (("complaint", "complaintFeedbackType"), "abuse")),
        ("open", ["Send", "Delivery", "Open"], (("open", "ipAddress"), "192.0.2.1")),
        ("click", ["Send", "Delivery", "Open", "Click"], (("click", "link"), "https://example.com/")),
        (
            "unsubscribe",
            ["Send", "Delivery", "Subscription"],
            (("subscription", "newTopicPreferences", "unsubscribeAll"), True),
        ),
        (
            "deferred",
            ["Send", "DeliveryDelay", "Delivery"],
            (("delivery", "smtpResponse"), "250 2.6.0 Message received"),
        ),
    ],
)
def test_each_fate_is_told_in_amazons_words(telling, receiver, name, events, said):
    simulated = telling()
    send(simulated, f"{name}@example.com")
    got = told(receiver, len(events))
    assert [event["eventType"] for event in got] == events
    path, value = said
    last = got[-1]
    for step in path:
        last = last[step]
    assert last == value


def test_without_a_configuration_set_nothing_is_told(telling, receiver):
    simulated = telling()
    simple = {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "text"}}}
    client(simulated).send_email(
        FromEmailAddress="n@example.org",
        Destination={"ToAddresses": ["anna@example.com"]},
        Content={"Simple": simple},
    )
    assert len(simulated.entries()) == 1
    assert simulated.control("GET", "webhooks")["planned"] == 0


def test_events_wait_until_the_subscription_is_confirmed(telling, receiver):
    simulated = telling(subscribed=False)
    send(simulated, "anna@example.com")
    asked = [verified(simulated, webhook) for webhook in receiver.take(2)]
    assert [envelope["Type"] for envelope in asked] == ["SubscriptionConfirmation"] * 2
    confirmation = asked[-1]
    answer = simulated.http.request("GET", confirmation["SubscribeURL"])
    assert answer.status == 200
    assert b"<SubscriptionArn>arn:aws:sns:" in answer.data
    messages = []
    while len(messages) < 3:
        envelope = receiver.take()[0].json
        if envelope["Type"] == "Notification":
            messages.append(envelope["Message"])
    assert messages[0] == "Successfully validated SNS topic for Amazon SES event publishing."
    assert [orjson.loads(message)["eventType"] for message in messages[1:]] == ["Send", "Delivery"]


def test_sns_does_not_repeat_what_was_answered_by_4xx(telling, receiver):
    receiver.statuses.put(403)
    simulated = telling()
    send(simulated, "anna@example.com")
    assert told(receiver, 2)[1]["eventType"] == "Delivery"
    while (tally := simulated.control("GET", "webhooks"))["pending"]:
        pass
    assert (tally["given_up"], tally["taken"]) == (1, 1)


def test_a_wrong_token_confirms_nothing(telling):
    simulated = telling(subscribed=False)
    url = f"http://127.0.0.1:{simulated.base}/?Action=ConfirmSubscription&TopicArn=a&Token=b"
    assert simulated.http.request("GET", url).status == 400
    assert simulated.control("GET", "webhooks")["subscribed"] is False


def send_bulk(simulated, *addresses, **fields):
    content = {"Subject": "Hi", "Text": "text"}
    return client(simulated).send_bulk_email(
        **{
            "FromEmailAddress": "News <news@example.org>",
            "DefaultContent": {"Template": {"TemplateContent": content, "TemplateData": "{}"}},
            "BulkEmailEntries": [
                {
                    "Destination": {"ToAddresses": [address]},
                    "ReplacementTags": [{"Name": "tocsin", "Value": f"{TAG[:-1]}{number}"}],
                }
                for number, address in enumerate(addresses, start=1)
            ],
            "ConfigurationSetName": "tocsin-simulator",
        }
        | fields
    )


def test_many_in_one_request_are_answered_one_by_one(simulated):
    answer = send_bulk(
        simulated,
        "anna@example.com",
        "rejected@example.com",
        "throttled@example.com",
        "down@example.com",
        "nobody",
        "bert@example.com",
    )
    results = answer["BulkEmailEntryResults"]
    assert [each["Status"] for each in results] == [
        "SUCCESS",
        "MESSAGE_REJECTED",
        "ACCOUNT_THROTTLED",
        "TRANSIENT_FAILURE",
        "INVALID_PARAMETER",
        "SUCCESS",
    ]
    assert len({each["MessageId"] for each in results if "MessageId" in each}) == 2
    assert [(entry["address"], entry["tag"]) for entry in simulated.entries()] == [
        ("anna@example.com", f"{TAG[:-1]}1"),
        ("bert@example.com", f"{TAG[:-1]}6"),
    ]


def test_more_than_fifty_in_one_request_are_refused(simulated):
    with pytest.raises(ClientError, match="1 to 50"):
        send_bulk(simulated, *[f"a{number}@example.com" for number in range(51)])
