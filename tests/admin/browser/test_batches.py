"""A list goes from a file on somebody's disk to a batch, in a browser."""

import re
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from playwright.sync_api import expect

from app.db.tables import message_batches
from app.domain.vocabulary import Channel, MessageType
from app.services.audit import Who
from app.services.senders import SenderDraft

LIST = b"email,first\neva@example.com,Eva\nnobody,No\n"


def test_a_list_is_tried_and_sent_at_a_time_of_the_viewers_zone(visit, site):
    draft = SenderDraft(address="lists@example.com", default_for=(MessageType.CAMPAIGN,))
    site.app.senders.save(Who(actor="tests"), Channel.EMAIL, "lists", draft)
    day = datetime.now(UTC) + timedelta(days=2)
    page = (visitor := visit("operator")).page
    visitor.open("/admin/batch-upload/")
    page.set_input_files("#f-list", {"name": "list.csv", "mimeType": "text/csv", "buffer": LIST})
    page.click("summary:has-text('Words instead')")
    page.fill("#f-subject", "From a browser")
    page.fill("#f-body_text", "Spring is here.")
    page.fill("#f-scheduled_for", f"{day:%Y-%m-%d}T12:00")
    page.click("main button:has-text('Go on')")
    page.click("text=Try it, without sending")
    page.fill("#f-why", "spring")
    page.click("text=Send to 1")
    page.wait_for_url(re.compile("/admin/batches/[0-9a-f-]{36}$"))
    named = message_batches.c.subject == "From a browser"
    with site.app.engine.connect() as conn:
        batch = conn.execute(sa.select(message_batches).where(named)).one()
    assert (batch.received, batch.invalid) == (2, 1)
    # Amsterdam is one or two hours ahead of UTC.
    assert batch.scheduled_for.astimezone(UTC).hour in (10, 11)
    assert page.url.endswith(str(batch.uuid))


def test_what_may_be_done_to_a_batch_follows_what_becomes_of_it(visit, site):
    """All of it is with workers when the page is loaded, and at last sent."""
    row = {
        "client_id": 1, "priority": "P3", "message_type": "campaign", "channel": "email",
        "subject": "Followed", "body_text": "x", "state": "expanded", "received": 2, "queued": 2,
        "processing": 2, "accepted_at": sa.func.now(),
    }  # fmt: skip
    with site.app.engine.begin() as conn:
        made = sa.insert(message_batches).values(row).returning(message_batches.c.uuid)
        uuid = conn.execute(made).scalar_one()
    page = (visitor := visit("operator")).page
    visitor.open(f"/admin/batches/{uuid}")
    expect(page.locator("button:has-text('Pause')")).to_have_count(1)
    sent = {"processing": 0, "sent": 2}
    with site.app.engine.begin() as conn:
        conn.execute(sa.update(message_batches).where(message_batches.c.uuid == uuid).values(sent))
    expect(page.locator("button:has-text('Pause')")).to_have_count(0, timeout=30_000)
