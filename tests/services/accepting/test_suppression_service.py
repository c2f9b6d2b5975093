"""The suppression list and the senders: changed on purpose, logged, in the form that is compared."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.vocabulary import Channel, MessageType, SuppressionReason
from app.errors import Invalid, NotFound
from app.services.senders import SenderDraft, SenderService
from app.services.suppressions import SuppressionDraft, SuppressionService
from tests.accepting import WHO


@pytest.fixture
def suppressions(place):
    return SuppressionService(place.engine)


@pytest.fixture
def senders(place):
    return SenderService(place.engine, place.catalog)


def draft(**changes) -> SuppressionDraft:
    return SuppressionDraft(**{"channel": "email", "address": "ann@example.com"} | changes)


def exported(suppressions) -> list[bytes]:
    return b"".join(suppressions.export()).splitlines()


def test_addresses_are_kept_as_they_are_compared(suppressions):
    assert suppressions.add(WHO, draft(address=" Ann@EXAMPLE.com"))[0].address == "ann@example.com"
    assert suppressions.add(WHO, draft(channel="sms", address="+44 7700 900123"))[0].address == (
        "+447700900123"
    )


def test_all_channels_take_addresses_and_numbers(suppressions):
    assert suppressions.add(WHO, draft(channel="all", address="Ann@example.com"))[0].address == (
        "ann@example.com"
    )
    assert suppressions.add(WHO, draft(channel="all", address="+447700900123"))[0].channel == "all"


def test_the_same_suppression_is_there_once(suppressions):
    first, is_new = suppressions.add(WHO, draft())
    second, is_new_again = suppressions.add(WHO, draft(address="ANN@example.com"))
    assert (first.id, is_new, is_new_again) == (second.id, True, False)


def test_other_scopes_are_suppressions_of_their_own(suppressions):
    drafts = [
        draft(),
        draft(community_id=1),
        draft(category="a"),
        draft(sender="hello@example.com"),
        draft(reason=SuppressionReason.LEGAL),
        draft(channel="all"),
    ]
    assert all(suppressions.add(WHO, each)[1] for each in drafts)


def test_the_later_expiry_holds(suppressions):
    soon, later = (datetime.now(UTC) + timedelta(days=days) for days in (1, 2))
    suppressions.add(WHO, draft(expires_at=later))
    assert suppressions.add(WHO, draft(expires_at=soon))[0].expires_at == later
    assert suppressions.add(WHO, draft())[0].expires_at is None
    assert suppressions.add(WHO, draft(expires_at=later))[0].expires_at is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"address": "nobody"}, "address"),
        ({"sender": "x"}, "sender"),
        ({"category": ""}, "category"),
        ({"community_id": -1}, "community_id"),
        ({"note": "x" * 1001}, "note"),
        ({"expires_at": datetime(2030, 1, 1)}, "expires_at"),  # noqa: DTZ001 - that is the fault.
        ({"channel": "push", "address": "a b\n"}, "address"),
    ],
)
def test_suppressions_that_cannot_be_are_refused(suppressions, changes, field):
    with pytest.raises(Invalid) as caught:
        suppressions.add(WHO, draft(**changes))
    assert [fault.field for fault in caught.value.faults] == [field]


def test_a_release_needs_a_reason_and_is_logged(suppressions, place):
    added, _ = suppressions.add(WHO, draft())
    with pytest.raises(Invalid):
        suppressions.release(WHO, added.id, why=" ")
    suppressions.release(WHO, added.id, why="asked to be back")
    with pytest.raises(NotFound):
        suppressions.get(added.id)
    row = place.one("SELECT * FROM audit_log WHERE action = 'suppression.release'")
    assert (row.actor, row.why, row.before["reason"]) == ("test", "asked to be back", "manual")


def test_the_audit_log_never_holds_an_address(suppressions, place):
    added, _ = suppressions.add(WHO, draft())
    suppressions.release(WHO, added.id, why="x")
    log = "SELECT count(*) FROM audit_log WHERE audit_log::text LIKE '%ann@example.com%'"
    assert place.value(log) == 0


def test_nobody_releases_what_is_not_there(suppressions):
    with pytest.raises(NotFound):
        suppressions.release(WHO, 1, why="x")


def test_suppressions_are_found_by_any_spelling(suppressions):
    added, _ = suppressions.add(WHO, draft())
    suppressions.add(WHO, draft(address="bob@example.com"))
    for filters in (
        {"address": "ANN@Example.com"},
        {"address": "ann@example.com", "channel": "email"},
        {"address": "ann@example.com", "reason": SuppressionReason.MANUAL},
    ):
        assert [view.id for view in suppressions.search(**filters).items] == [added.id]
    assert suppressions.search(channel="sms").items == ()
    assert suppressions.search(reason=SuppressionReason.LEGAL).items == ()


def test_suppressions_come_in_pages_newest_first(suppressions):
    ids = [suppressions.add(WHO, draft(community_id=number))[0].id for number in range(5)]
    first = suppressions.search(limit=3)
    second = suppressions.search(limit=3, cursor=first.next)
    assert [view.id for view in (*first.items, *second.items)] == ids[::-1]


def test_bad_lines_of_an_import_stop_nothing(suppressions):
    body = (
        b'{"channel":"email","address":"a@example.com","reason":"unsubscribe","category":"x"}\n'
        b"nope\n"
        b'{"channel":"fax","address":"a@example.com"}\n'
        b'{"channel":"email","address":"nobody"}\n'
        b'{"channel":"email","address":"a@example.com","reason":"because"}\n'
        b'{"channel":"email","address":"a@example.com","oops":1}\n'
        b'{"channel":"email","address":"a@example.com","expires_at":"tomorrow"}\n'
        b'{"channel":"email","address":"b@example.com","expires_at":"2030-01-01T00:00:00Z"}\n'
    )
    imported = suppressions.import_ndjson(WHO, [body])
    assert (imported.received, imported.added, imported.known, imported.invalid) == (8, 2, 0, 6)
    assert [reject.line for reject in imported.rejects] == [2, 3, 4, 5, 6, 7]


def test_an_import_again_adds_nothing(suppressions):
    body = [b"channel,address\nemail,a@example.com\nemail,A@example.com\nsms,+447700900123\n"]
    first, second = suppressions.import_csv(WHO, body), suppressions.import_csv(WHO, body)
    assert (first.added, first.known) == (2, 1)
    assert (second.added, second.known) == (0, 3)


def test_an_export_can_be_imported_again(suppressions, place):
    suppressions.add(WHO, draft(category="a", community_id=2, sender="hello@example.com", note="n"))
    suppressions.add(WHO, draft(expires_at=datetime(2030, 1, 1, tzinfo=UTC)))
    before = exported(suppressions)
    place.do("DELETE FROM suppression_list")
    suppressions.import_ndjson(WHO, [b"\n".join(before)])
    assert exported(suppressions) == before


def test_an_export_is_whole_beyond_one_chunk(suppressions, place):
    place.do(
        "INSERT INTO suppression_list (channel, address, reason, source)"
        " SELECT 'email', 'u' || n || '@example.com', 'manual', 'test' FROM generate_series(1, 5001) AS n"
    )
    assert len(set(exported(suppressions))) == 5001


def test_a_sender_is_saved_and_replaced(senders):
    senders.save(WHO, Channel.EMAIL, "shop", SenderDraft(address="Shop@Example.com", name="Shop"))
    view = senders.save(WHO, Channel.EMAIL, "shop", SenderDraft(address="x@example.org", gateways=("ses",)))
    assert (view.address, view.domain, view.name, view.gateways) == (
        "x@example.org",
        "example.org",
        "",
        ("ses",),
    )
    assert senders.get(Channel.EMAIL, "shop") == view


def test_a_type_has_one_default_sender(senders):
    draft = SenderDraft(address="shop@example.com", default_for=(MessageType.CAMPAIGN,))
    senders.save(WHO, Channel.EMAIL, "shop", draft)
    holders = [view.slug for view in senders.list() if MessageType.CAMPAIGN in view.default_for]
    assert holders == ["shop"]


def test_a_sender_in_capitals_is_compared_in_small_letters(senders):
    view = senders.save(WHO, Channel.EMAIL, "shop", SenderDraft(address="Shop@Example.com"))
    assert view.address == "shop@example.com"


@pytest.mark.parametrize(
    "address", ["+447700900123", "60123", "Tocsin", "MG0123456789abcdef0123456789ABCDEF"]
)
def test_numbers_short_codes_and_names_send_texts(senders, address):
    assert senders.save(WHO, Channel.SMS, "main", SenderDraft(address=address)).address == address


@pytest.mark.parametrize(
    ("slug", "draft"),
    [
        ("x y", SenderDraft(address="a@example.com")),
        ("x", SenderDraft(address="nobody")),
        ("x", SenderDraft(address="a@example.com", name="a\nb")),
        ("x", SenderDraft(address="a@example.com", gateways=("",))),
    ],
)
def test_senders_that_cannot_be_are_refused(senders, slug, draft):
    with pytest.raises(Invalid):
        senders.save(WHO, Channel.EMAIL, slug, draft)


def test_a_removed_sender_is_out_of_use_at_once(senders, place):
    senders.remove(WHO, Channel.EMAIL, "hello")
    assert place.catalog.sender(Channel.EMAIL, MessageType.ALERT, None) is None
    with pytest.raises(NotFound):
        senders.remove(WHO, Channel.EMAIL, "nobody")
