"""What an operator changes of reference data is told to all processes, after it is committed."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.domain.vocabulary import Channel
from app.services.audit import Who
from app.services.limit_rows import LimitDraft, LimitType
from app.services.prices import PriceDraft
from app.services.senders import SenderDraft
from app.services.template_views import TemplateDraft

ANN = Who(actor="ann")
WELCOME = ("welcome", Channel.EMAIL)
DOMAIN = (LimitType.DOMAIN, "example.com")


@pytest.fixture
def told(world, monkeypatch):
    """How often the other processes were told."""
    rings = []
    monkeypatch.setattr(world.app.catalog, "_tell", lambda: rings.append(True))

    def told():
        count = len(rings)
        rings.clear()
        return count

    return told


def test_a_limit_that_is_set_or_removed_is_told(world, told):
    world.app.limits.set(ANN, *DOMAIN, LimitDraft(max_per_hour=5))
    assert told() == 1
    world.app.limits.remove(ANN, *DOMAIN)
    assert told() == 1


def test_a_sender_that_is_saved_or_removed_is_told(world, told):
    world.app.senders.save(ANN, Channel.EMAIL, "news", SenderDraft(address="news@example.com"))
    assert told() == 1
    world.app.senders.remove(ANN, Channel.EMAIL, "news")
    assert told() == 1


def test_a_price_that_is_saved_or_removed_is_told(world, told):
    draft = PriceDraft(
        channel=Channel.SMS,
        gateway="twilio",
        amount=Decimal("0.01"),
        currency="EUR",
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    )
    (saved,) = world.app.prices.save(ANN, [draft])
    assert told() == 1
    world.app.prices.remove(ANN, saved.id)
    assert told() == 1


def test_a_template_that_is_saved_activated_or_retired_is_told(world, told):
    draft = TemplateDraft(name="Welcome", subject="Hello", body_text="It is good to see you.")
    for active in (True, False):
        world.app.templates.save(ANN, *WELCOME, draft, activate=active)
        assert told() == 1
    world.app.templates.activate(ANN, *WELCOME, 2)
    assert told() == 1
    world.app.templates.retire(ANN, *WELCOME)
    assert told() == 1
