import pytest

from app.domain.suppression import MARKETING, question, reasons_that_block
from app.domain.vocabulary import MessageType, Priority

ALWAYS = {"bounce_hard", "legal", "manual"}


@pytest.mark.parametrize(
    ("priority", "also"),
    [
        ("P0", set()),
        ("P1", {"complaint", "bounce_soft"}),
        ("P2", {"complaint", "bounce_soft"}),
        ("P3", {"complaint", "bounce_soft"}),
        ("P4", {"bounce_soft"}),
    ],
)
def test_reasons_block_by_priority(priority, also):
    assert set(reasons_that_block(Priority(priority))) == ALWAYS | also


def test_newsletters_and_campaigns_are_marketing():
    assert set(MARKETING) == {"newsletter", "campaign"}


def test_the_question_goes_by_the_messages_priority_not_its_types():
    asked = question(Priority.P0, MessageType.NEWSLETTER)
    assert asked.marketing
    assert set(asked.reasons) == ALWAYS
