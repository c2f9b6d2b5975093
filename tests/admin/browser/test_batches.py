"""A list goes from a file on somebody's disk to a batch, in a browser."""

import re
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

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
