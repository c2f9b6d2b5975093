"""Which gateway a message gets when it is accepted, by what it needs and what the table says."""

from collections import Counter

import pytest
import sqlalchemy as sa

from app.db.tables import gateways
from app.domain.vocabulary import Channel, MessageType
from app.errors import Invalid, NoGateway
from app.services.catalog import Catalog
from app.services.messages import MessageService
from app.services.requests import BulkHead, File, Row
from app.services.senders import SenderDraft, SenderService
from app.services.way import Way
from tests.accepting import WHO, email, newsletter

PDF = File(filename="a.pdf", content_type="application/pdf", content=b"%PDF")
LOGO = File(filename="a.png", content_type="image/png", content=b"png", content_id="logo")
ABLE = {
    "postal": frozenset({"attachments"}),
    "ses": frozenset({"attachments", "inline_images"}),
    "sendgrid": frozenset({"attachments", "inline_images", "provider_template"}),
    "twilio": frozenset({"media"}),
    "bandwidth": frozenset({"media", "country:US", "country:CA"}),
}
ORDER = {Channel.EMAIL: ("postal", "ses", "sendgrid"), Channel.SMS: ("bandwidth", "twilio")}


@pytest.fixture
def place(place):
    place.catalog = Catalog(place.engine, ORDER, ABLE)
    place.service = MessageService(place.engine, place.catalog, place.wakes, place.settings, Way(None))
    draft = SenderDraft(address="+12025550123", default_for=tuple(MessageType))
    SenderService(place.engine, place.catalog).save(WHO, Channel.SMS, "hello", draft)
    return place


def configure(place, **row):
    with place.engine.begin() as conn:
        conn.execute(sa.insert(gateways).values(row))
    place.catalog.forget()


def gateway_of(place, **changes):
    return place.service.send(place.caller, email(**changes)).gateway


def sms(number, **changes):
    return email(channel=Channel.SMS, recipient_address=number, subject=None, **changes)


@pytest.mark.parametrize(
    ("changes", "gateway"),
    [
        ({}, "postal"),
        ({"attachments": (PDF,)}, "postal"),
        ({"attachments": (PDF, LOGO)}, "ses"),
        ({"sections": {Channel.EMAIL: {"template_id": "d-1"}}}, "sendgrid"),
    ],
)
def test_the_first_gateway_that_can_express_a_message_takes_it(place, changes, gateway):
    assert gateway_of(place, **changes) == gateway


def test_what_no_gateway_can_express_is_refused(place):
    with pytest.raises(NoGateway, match="media"):
        place.service.send(
            place.caller,
            email(channel=Channel.SMS, recipient_address="+41791234567", subject=None,
                  sections={Channel.SMS: {"content_sid": "HX1", "media": ["https://example.com/a"]}}),
        )  # fmt: skip


def test_the_named_gateway_must_be_able_too(place):
    with pytest.raises(Invalid, match="gateway"):
        gateway_of(place, gateway="postal", attachments=(LOGO,))


@pytest.mark.parametrize(("number", "gateway"), [("+12025550100", "bandwidth"), ("+41791234567", "twilio")])
def test_a_gateway_of_some_countries_takes_no_other(place, number, gateway):
    assert place.service.send(place.caller, sms(number)).gateway == gateway


def test_a_sender_that_is_verified_at_one_gateway_goes_there(place):
    draft = SenderDraft(address="only@example.com", gateways=("sendgrid",))
    SenderService(place.engine, place.catalog).save(WHO, Channel.EMAIL, "only", draft)
    assert gateway_of(place, sender="only") == "sendgrid"


def test_the_table_can_add_what_a_gateway_can_express(place):
    configure(place, channel="email", gateway="postal", tier=1, capabilities=["inline_images"])
    assert gateway_of(place, attachments=(LOGO,)) == "postal"


def test_the_table_orders_and_switches_off(place):
    configure(place, channel="email", gateway="postal", tier=9)
    configure(place, channel="email", gateway="ses", tier=2, enabled=False)
    assert gateway_of(place) == "sendgrid"


def test_gateways_of_one_tier_share_by_weight(place):
    for gateway, weight in (("postal", 3), ("ses", 1), ("sendgrid", 0)):
        configure(place, channel="email", gateway=gateway, tier=1, weight=weight)
    chosen = Counter(gateway_of(place) for _ in range(200))
    assert set(chosen) == {"postal", "ses"}
    assert chosen["postal"] > chosen["ses"]


def test_a_bulk_request_goes_where_all_of_it_can_be_expressed(place):
    head = newsletter(attachments=(LOGO,))
    accepted = place.service.send_bulk(place.caller, head, [Row(line=1, address="ann@example.com")])
    place.expand(accepted.batch)
    assert place.value("SELECT gateway FROM message_queue") == "ses"


def test_a_bulk_request_that_nobody_can_express_is_refused_before_its_rows_are_read(place):
    head = BulkHead(
        channel=Channel.SMS,
        message_type=MessageType.NEWSLETTER,
        sections={Channel.SMS: {"content_sid": "HX1"}},
    )
    with pytest.raises(NoGateway, match="provider_template"):
        place.service.send_bulk(place.caller, head, iter(lambda: pytest.fail("read"), None))
