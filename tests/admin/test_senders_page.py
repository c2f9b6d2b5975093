"""The page Senders: administrators make, change and retire them; everybody sees them."""

import pytest
import sqlalchemy as sa

from app.db.tables import audit_log, senders
from app.domain.vocabulary import Channel, MessageType
from app.services.audit import Who
from app.services.senders import SenderDraft

TESTS = Who(actor="tests")
WHY = "a new brand"
ADMIN = "console/admin@example.com"


@pytest.fixture
def house(app):
    """The one sender there is."""
    draft = SenderDraft(address="house@example.com", name="The House", default_for=tuple(MessageType))
    app.senders.save(TESTS, Channel.EMAIL, "house", draft)
    return "email/house"


def save(browser, **fields):
    said = {"channel": "email", "is_active": "yes", "why": WHY, **fields}
    return browser.post("/admin/senders/save", said)


def known(app):
    with app.engine.connect() as conn:
        return conn.execute(sa.select(senders).order_by(senders.c.slug)).all()


def audited(app):
    query = sa.select(audit_log.c.actor, audit_log.c.action, audit_log.c.target, audit_log.c.why)
    with app.engine.connect() as conn:
        return [tuple(row) for row in conn.execute(query.order_by(audit_log.c.id)) if row.actor != "tests"]


def test_everybody_sees_them_and_for_what_there_is_no_default(as_role, app, house):
    page = as_role("viewer").get("/admin/senders/").get_data(as_text=True)
    assert "house@example.com" in page
    assert "No default" not in page
    app.senders.save(TESTS, Channel.EMAIL, "house", SenderDraft(address="house@example.com"))
    assert "No default by email for" in as_role("viewer").get("/admin/senders/").get_data(as_text=True)


def test_one_is_made_with_its_gateways_and_takes_a_default_from_another(as_role, app, house):
    answer = save(
        as_role("admin"),
        slug="news",
        address="News@Example.com",
        name="The News",
        ip_pool="bulk",
        default_for=["campaign"],
        gateways=["postal"],
    )
    assert answer.status_code == 302
    old, new = known(app)
    assert (new.address, new.name, new.ip_pool, new.gateways, new.default_for) == (
        "news@example.com", "The News", "bulk", ["postal"], ["campaign"],
    )  # fmt: skip
    assert "campaign" not in old.default_for
    assert audited(app) == [(ADMIN, "sender.save", "sender:email/news", WHY)]


def test_one_is_changed_and_without_ticks_any_gateway_may_be_asked(as_role, app, house):
    browser = as_role("admin")
    form = browser.get(f"/admin/senders/edit?sender={house}").get_data(as_text=True)
    assert 'value="house@example.com"' in form
    save(browser, sender=house, address="home@example.com", default_for=["alert", "campaign"])
    (row,) = known(app)
    assert (row.slug, row.address, row.gateways, sorted(row.default_for)) == (
        "house", "home@example.com", None, ["alert", "campaign"],
    )  # fmt: skip


def test_one_is_retired(as_role, app, house):
    fields = {"selected": house, "confirmed": "1", "why": WHY}
    as_role("admin").post("/admin/senders/do/retire", fields)
    assert [row.is_active for row in known(app)] == [False]
    assert audited(app) == [(ADMIN, "sender.remove", "sender:email/house", WHY)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"address": "nobody"}, "field-wrong"),
        ({"slug": "No Good"}, "must have 1 to 100 small letters"),
        ({"slug": "house"}, "is taken"),
        ({"channel": "pigeon"}, "must be one of those in the list"),
        ({"default_for": "gossip"}, "has no type"),
        ({"why": ""}, "Say why"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field_and_changes_nothing(as_role, app, house, wrong, said):
    answer = save(as_role("admin"), **{"slug": "news", "address": "news@example.com", **wrong})
    assert (answer.status_code, said in answer.get_data(as_text=True)) == (422, True)
    assert [row.slug for row in known(app)] == ["house"]


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
def test_only_administrators_change_them(as_role, app, house, role):
    browser = as_role(role)
    answers = (
        browser.get("/admin/senders/edit"),
        save(browser, slug="news", address="news@example.com"),
        browser.post("/admin/senders/do/retire", {"selected": house, "confirmed": "1", "why": WHY}),
    )
    assert [each.status_code for each in answers] == [403] * 3
    assert ([row.is_active for row in known(app)], audited(app)) == ([True], [])


@pytest.mark.parametrize("selected", ["email/nobody", "pigeon/house", "nothing"])
def test_one_that_is_not_there_is_told(as_role, selected):
    browser = as_role("admin")
    assert browser.get(f"/admin/senders/edit?sender={selected}").status_code == 404
    assert browser.post("/admin/senders/do/retire", {"selected": selected}).status_code == 404
