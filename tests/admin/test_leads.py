"""Where findings lead: to pages that are there, and that everybody may open."""

import pytest
import sqlalchemy as sa

from admin import leads
from app.db.tables import api_clients, lane_flows, message_queue
from app.services.diagnostics.findings import Finding, Severity
from app.services.diagnostics.subjects import SUBJECTS

PAGES = {each.address for each in (*leads._BY_CODE.values(), *leads._BY_SUBJECT.values())}


def finding(code="other", subject="queues", target="") -> Finding:
    return Finding(
        code=code, subject=subject, target=target, priority=Severity.LOW, meaning="It is so.", advice="Look."
    )


@pytest.mark.parametrize("address", sorted(PAGES))
def test_every_lead_is_a_page_that_everybody_may_open(as_role, address):
    assert as_role("viewer").get(address.format("P0")).status_code == 200


def test_the_subjects_that_lead_somewhere_are_some_that_there_are():
    assert set(leads._BY_SUBJECT) <= set(SUBJECTS)


@pytest.mark.parametrize(
    ("found", "address"),
    [
        (finding("messages_failed"), "/admin/dead-letters/?status=failed&days=1h"),
        (finding("held_messages", target="P3"), "/admin/unknown/?priority=P3"),
        (finding("template_fails", "templates", "a b&c"), "/admin/templates/?search=a%20b%26c"),
        (finding("breaker_open", "gateways", "email:postal"), "/admin/gateways/"),
    ],
)
def test_a_finding_leads_to_what_its_advice_is_about(found, address):
    assert leads.lead_of(found).address == address


def test_what_is_mended_outside_of_the_console_leads_nowhere():
    assert leads.lead_of(finding("redis_memory", "redis")) is None


@pytest.mark.parametrize("path", ["/admin/", "/admin/diagnostics/"])
def test_the_way_stands_behind_the_advice(as_role, app, path):
    with app.engine.begin() as conn:
        client = conn.execute(
            sa.insert(api_clients).values(name="shop").returning(api_clients.c.id)
        ).scalar_one()
        late = {"priority": "P0", "channel": "email", "client_id": client}
        conn.execute(sa.insert(lane_flows).values(late))
        long_ago = sa.func.now() - sa.text("interval '1 hour'")
        conn.execute(
            sa.insert(message_queue).values(
                **late,
                message_type="emergency",
                recipient_address="anna@example.com",
                scheduled_for=long_ago,
                expires_at=sa.func.now() + sa.text("interval '1 hour'"),
                max_attempts=3,
            )
        )
    page = as_role("viewer").get(path).get_data(as_text=True)
    way = "/admin/messages/?status=pending&amp;priority=P0"
    assert f'<a href="{way}">Open the messages that wait</a>' in page
