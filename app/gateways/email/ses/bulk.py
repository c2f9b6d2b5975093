"""Many messages of one content in one request to SES: each its own entry, with tags and an id of its own.

SES takes only a template there, and renders it after it has said yes: a fault in it shows as an event
much later. So contents that differ are never made a template; what all share goes in word by word, and
what SES could take for a placeholder goes alone.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass
from app.gateways.answers import identifier, json_object, listed, part, words
from app.gateways.base import Envelope, HttpResponse
from app.gateways.email.mail import well_formed
from app.gateways.email.ses.contents import headers_of, in_ascii, inexpressible, tags_of
from app.gateways.email.ses.refusals import refusal_of_entry

MOST_ENTRIES = 50

_LONGEST_TEMPLATE = 400_000  # bytes; SES takes 500 KB
_MOST_HEADERS = 15
_LONGEST_HEADER = 800
_PLACEHOLDER = "{{"


def joint(messages: Sequence[Envelope]) -> int:
    """Tell how many messages from the front say the same and may share a request, at least one."""
    first = messages[0]
    if not _can_be_shared(first):
        return 1
    alike = takewhile(lambda other: _says_the_same(first, other), messages[:MOST_ENTRIES])
    return max(1, sum(1 for _ in alike))


def bulk_parameters(messages: Sequence[Envelope]) -> dict[str, Any]:
    """Make the body of SendBulkEmail for messages that are `joint`."""
    first = messages[0]
    content = {"Subject": first.subject or "", "Text": first.text, "Html": first.html}
    template = {name: text for name, text in content.items() if text or name == "Subject"}
    parameters: dict[str, Any] = {
        "FromEmailAddress": in_ascii(first.sender),
        "DefaultContent": {"Template": {"TemplateContent": template, "TemplateData": "{}"}},
        "BulkEmailEntries": [_entry(message) for message in messages],
    }
    if first.reply_to:
        parameters["ReplyToAddresses"] = [in_ascii(first.reply_to)]
    return parameters


def bulk_outcomes(messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
    """Read an answer of 200: results by position, each a yes or a no of its own."""
    results = listed(json_object(response.body), "BulkEmailEntryResults")
    if len(results) != len(messages):
        # Which result is whose is not known.
        return [_unknown("names other messages")] * len(messages)
    return [_outcome(message, part(result)) for message, result in zip(messages, results, strict=True)]


def _outcome(message: Envelope, result: dict[str, Any]) -> Outcome:
    status = words(result, "Status")
    if status != "SUCCESS":
        return refusal_of_entry(message, status, words(result, "Error"))
    external_id = identifier(result.get("MessageId"))
    if external_id is None:
        return _unknown("names no message")
    return Outcome(kind=OutcomeClass.ACCEPTED, external_id=external_id)


def _unknown(detail: str) -> Outcome:
    return Outcome(kind=OutcomeClass.UNKNOWN, code="http_200", detail=detail)


def _entry(message: Envelope) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Destination": {"ToAddresses": [message.address]},
        "ReplacementTags": tags_of(message),
        "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": "{}"}},
    }
    if message.headers:
        entry["ReplacementHeaders"] = headers_of(message)
    return entry


def _can_be_shared(message: Envelope) -> bool:
    texts = [text for text in (message.subject, message.text, message.html) if text]
    return (
        not message.attachments
        and not any(_PLACEHOLDER in text for text in texts)
        and sum(len(text.encode()) for text in texts) <= _LONGEST_TEMPLATE
    )


def _says_the_same(first: Envelope, other: Envelope) -> bool:
    return (
        (first.sender, first.reply_to) == (other.sender, other.reply_to)
        and (first.subject, first.text, first.html) == (other.subject, other.text, other.html)
        and not other.attachments
        and len(other.headers) <= _MOST_HEADERS
        and all(len(each["Value"]) <= _LONGEST_HEADER for each in headers_of(other))
        # One address that is none could spoil it for all.
        and well_formed(other.address)
        and inexpressible(other) is None
    )
