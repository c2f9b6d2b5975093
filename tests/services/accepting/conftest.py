"""The accepting services over a real database, and somebody who calls them."""

import pytest

from app.db.engine import make_engine
from app.domain.callers import SCOPES
from app.domain.vocabulary import Channel, MessageType
from app.services.catalog import Catalog
from app.services.messages import MessageService
from app.services.senders import SenderDraft, SenderService
from app.services.templates import TemplateDraft, TemplateService
from app.services.way import Way
from app.settings import Settings
from tests.accepting import WHO, Place, RecordedWakes


@pytest.fixture
def place(database_url):
    engine = make_engine(database_url, pool=30, name="test")
    try:
        yield _place(engine)
    finally:
        engine.dispose()


def _place(engine) -> Place:
    catalog = Catalog(engine, {Channel.EMAIL: ("postal", "ses")})
    # The settings' own defaults: neither this machine's environment nor its .env.
    settings = Settings(_env_file=None)
    wakes = RecordedWakes()
    service = MessageService(engine, catalog, wakes, settings, Way(None))
    place = Place(engine, catalog, settings, wakes, service, caller=None)
    place.caller = place.client("tests", frozenset(SCOPES) - {"admin"})
    SenderService(engine, catalog).save(
        WHO, Channel.EMAIL, "hello", SenderDraft(address="hello@example.com", default_for=tuple(MessageType))
    )
    return place


@pytest.fixture
def welcome(place):
    """A template that needs a name."""
    draft = TemplateDraft(name="Welcome", subject="Hello {{ name }}", body_text="Dear {{ name }}")
    return TemplateService(place.engine, place.catalog).save(WHO, "welcome", Channel.EMAIL, draft)
