from app.domain.vocabulary import Priority
from app.services.sending import lane


def test_a_due_message_is_sent_with_the_gateways_id(world):
    message = world.one("P3")
    assert lane.work(world.tools, Priority.P3, sweep=False) == 1
    row = world.row(message)
    assert row.status == "sent"
    assert row.external_id
    assert world.gateways.taken(message.uuid) == ["postal"]
    assert world.history(message) == ["queued", "sent"]
