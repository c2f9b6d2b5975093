"""Email through Amazon SES, version 2 of its API: one recipient a mail, as its webhooks want it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import botocore.session
import orjson
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError

from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, OutcomeClass
from app.errors import ConfigurationError, Invalid, Unavailable
from app.gateways.answers import identifier, json_object
from app.gateways.base import Envelope, HttpRequest, HttpResponse
from app.gateways.email.ses.account import outcome_of_account
from app.gateways.email.ses.bulk import MOST_ENTRIES, bulk_outcomes, bulk_parameters, joint
from app.gateways.email.ses.contents import content_of, in_ascii, inexpressible, tags_of
from app.gateways.email.ses.refusals import refusals
from app.gateways.email.ses.signing import Credentials, CredentialsSource, signed_headers
from app.gateways.probing import PROBE_TIMEOUT
from app.settings import Settings

_ONE = "/v2/email/outbound-emails"
_MANY = "/v2/email/outbound-bulk-emails"
_ACCOUNT = "/v2/email/account"
_SERVICE = "ses"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ses:
    """Amazon SES in one region. `credentials` is asked for each request, so that they may be renewed."""

    region: str
    credentials: CredentialsSource = field(repr=False)
    endpoint: str
    configuration_set: str | None = None
    timeout: timedelta = timedelta(seconds=15)
    name: str = "ses"
    channel: Channel = Channel.EMAIL
    batch: int = MOST_ENTRIES

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None without a configuration set.

        Credentials of AWS alone make none: many machines have them for other work, and without a
        configuration set SES would tell nothing of what becomes of a message.
        """
        if not settings.ses_configuration_set:
            return None
        credentials = _credentials(settings)
        if not settings.aws_region or credentials is None:
            raise ConfigurationError(
                "SES_CONFIGURATION_SET is set, so SES also needs AWS_REGION and credentials: "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role that AWS's own chain finds."
            )
        amazons = f"https://email.{settings.aws_region}.amazonaws.com"
        return cls(
            region=settings.aws_region,
            credentials=credentials,
            endpoint=(settings.aws_endpoint_url_sesv2 or amazons).rstrip("/"),
            configuration_set=settings.ses_configuration_set,
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def build(self, messages: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Make the signed request for messages that are `joint`.

        Raises Invalid where `cannot_express` names something, Unavailable where temporary
        credentials have run out and new ones cannot be had.
        """
        for message in messages:
            if fault := self.cannot_express(message):
                raise Invalid.of("message", fault)
        alone = len(messages) == 1
        parameters = self._parameters(messages[0], now) if alone else bulk_parameters(messages)
        if self.configuration_set:
            parameters["ConfigurationSetName"] = self.configuration_set
        url, body = f"{self.endpoint}{_ONE if alone else _MANY}", orjson.dumps(parameters)
        return HttpRequest(url=url, body=body, headers=self._signed(url, body, now), timeout=self.timeout)

    def probe(self, now: datetime) -> HttpRequest:
        """Ask how our account stands (GetAccount)."""
        url = f"{self.endpoint}{_ACCOUNT}"
        headers = self._signed(url, b"", now, method="GET")
        return HttpRequest(url=url, body=b"", headers=headers, method="GET", timeout=PROBE_TIMEOUT)

    def read_probe(self, response: HttpResponse) -> Outcome:
        """Tell whether the credentials hold and the account may send."""
        return outcome_of_account(response)

    def joint(self, messages: Sequence[Envelope]) -> int:
        """Tell how many messages from the front one request can carry: those that all say the same."""
        return joint(messages)

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means for each message."""
        if response.status != 200:  # noqa: PLR2004 — OK, the only status of success here.
            return refusals(messages, response)
        if len(messages) > 1:
            return bulk_outcomes(messages, response)
        external_id = identifier(json_object(response.body).get("MessageId"))
        if external_id is None:
            return [Outcome(kind=OutcomeClass.UNKNOWN, code="http_200", detail="names no message")]
        return [Outcome(kind=OutcomeClass.ACCEPTED, external_id=external_id)]

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what would not get through SES: lines that are too long, too much of all."""
        return inexpressible(message)

    def _parameters(self, message: Envelope, now: datetime) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "FromEmailAddress": in_ascii(message.sender),
            "Destination": {"ToAddresses": [message.address]},
            "Content": content_of(message, now),
            "EmailTags": tags_of(message),
        }
        if message.reply_to:
            parameters["ReplyToAddresses"] = [in_ascii(message.reply_to)]
        return parameters

    def _signed(self, url: str, body: bytes, now: datetime, method: str = "POST") -> dict[str, str]:
        return signed_headers(
            method=method,
            url=url,
            body=body,
            credentials=self._current_credentials(),
            service=_SERVICE,
            region=self.region,
            now=now,
        )

    def _current_credentials(self) -> Credentials:
        try:
            return self.credentials()
        except BotoCoreError as exc:
            raise Unavailable("AWS credentials cannot be renewed now") from exc


def _credentials(settings: Settings) -> CredentialsSource | None:
    key, secret, token = (
        secret and secret.get_secret_value()
        for secret in (settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_session_token)
    )
    if bool(key) != bool(secret):
        raise ConfigurationError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are only of use together.")
    if key:
        constant = ReadOnlyCredentials(key, secret, token)
        return lambda: constant
    found = botocore.session.Session().get_credentials()
    return found.get_frozen_credentials if found else None
