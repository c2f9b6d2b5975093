"""Asking a gateway whether it would reach a device, without sending it anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.domain import device_tokens as tokens
from app.domain.facts import Tag
from app.domain.outcomes import Outcome
from app.domain.suppression import SuppressionPolicy
from app.domain.vocabulary import Channel, OutcomeClass, Priority, SuppressionReason
from app.errors import Invalid, NoGateway
from app.gateways.base import Envelope, Gateway, HttpFailure, outcome_of_failure
from app.gateways.transport import Transport
from app.services.devices import Platform
from app.services.suppressing import Blame, suppress

# Which gateways know of a dry run. Apple's does not: whatever it takes it delivers.
DRY_RUNS = frozenset({"fcm"})


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckView:
    """What the gateway says of a device; `is_valid` is None where it cannot say."""

    is_valid: bool | None
    gateway: str
    outcome: OutcomeClass
    code: str
    detail: str


class DeviceCheck:
    """Checks devices by dry runs."""

    def __init__(
        self,
        engine: sa.Engine,
        gateways: Mapping[str, Gateway],
        transport: Callable[[], Transport],
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._gateways = gateways
        self._transport = transport
        self._now = now

    def check(self, token: str, platform: Platform) -> CheckView:
        """Ask about one device; one that is gone is out of use from then on.

        Raises Invalid, also where the platform has no dry run, NoGateway where its gateway is not
        configured, and Unavailable.
        """
        address = _canonical(token, platform)
        if platform not in DRY_RUNS:
            raise Invalid.of("platform", 'must be "fcm": Apple delivers whatever it takes')
        gateway = self._gateways.get(platform)
        if gateway is None:
            raise NoGateway(f"{platform} is not configured")
        asked_at = self._now()
        outcome = self._ask(gateway, _envelope(address, platform, asked_at))
        if outcome.kind is OutcomeClass.RECIPIENT:
            self._take_out(address, platform, outcome.as_of or asked_at)
        return CheckView(
            is_valid=_verdict(outcome.kind),
            gateway=gateway.name,
            outcome=outcome.kind,
            code=outcome.code,
            detail=outcome.detail,
        )

    def _ask(self, gateway: Gateway, envelope: Envelope) -> Outcome:
        reply = self._transport().fetch(gateway.build([envelope], self._now()))
        if isinstance(reply, HttpFailure):
            return outcome_of_failure(reply)
        return gateway.read([envelope], reply)[0]

    def _take_out(self, address: str, gateway: str, as_of: datetime) -> None:
        gone = Blame(
            message=None,
            channel=Channel.PUSH,
            address=address,
            reason=SuppressionReason.BOUNCE_HARD,
            source=gateway,
            as_of=as_of,
        )
        with unavailable_when_down(), self._engine.begin() as conn:
            suppress(conn, SuppressionPolicy(), [gone])


def _canonical(token: str, platform: Platform) -> str:
    if token.strip().startswith((tokens.TOPIC, tokens.CONDITION)):
        raise Invalid.of("token", "must be a device's")
    try:
        return tokens.canonical(token, platform)
    except Invalid as exc:
        raise Invalid.of("token", exc.faults[0].message) from exc


def _envelope(address: str, platform: str, now: datetime) -> Envelope:
    return Envelope(
        tag=Tag(uuid=uuid4(), priority=Priority.P4, attempt=1),
        channel=Channel.PUSH,
        address=address,
        sender="",
        text="dry run",
        options={"platform": platform, "push": {"dry_run": True}},
        expires_at=now + timedelta(minutes=1),
    )


def _verdict(kind: OutcomeClass) -> bool | None:
    return {OutcomeClass.ACCEPTED: True, OutcomeClass.RECIPIENT: False}.get(kind)
