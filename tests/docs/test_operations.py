"""What the guide for operators names must be there."""

import re

from app.domain.suppression import reasons_that_block
from app.domain.vocabulary import Priority, SuppressionReason
from app.settings import Settings
from tests.docs import tables

TEXT = (tables.ROOT / "docs" / "operations.md").read_text()


def test_no_metric_is_made_up():
    explained = (tables.ROOT / "docs" / "metrics.md").read_text()
    named = set(re.findall(r"`(tocsin_[a-z_]+)[`{]", TEXT))
    assert [name for name in named if f"`{name}`" not in explained] == []


def test_every_line_of_the_log_that_is_explained_is_written():
    lines = TEXT.partition("\n## Logs")[2].partition("\n## ")[0]
    code = "\n".join(
        path.read_text()
        for top in ("app", "actors", "scheduler")
        for path in (tables.ROOT / top).rglob("*.py")
    )
    explained = [
        line
        for row in re.findall(r"^\| (`.+?) \|", lines, re.MULTILINE)
        for line in re.findall("`(.+?)`", row)
    ]
    assert len(explained) > 10
    assert [line for line in explained if f'"{line}' not in code] == []


def test_every_setting_that_is_named_exists():
    pages = "".join(page.read_text() for page in tables.documents())
    of_lanes = {f"P{number}" for number in range(5)}
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", pages))
    known = {name.upper() for name in Settings.model_fields}
    others = {"SSL_CERT_FILE", "TOCSIN_BROWSER"}
    assert {name for name in named if name.split("__")[0] not in of_lanes} <= known | others


def test_the_table_of_suppressions_says_who_gets_through():
    blocked = {priority: set(reasons_that_block(priority)) for priority in Priority}
    through = {
        reason: [priority for priority in Priority if reason not in blocked[priority]]
        for reason in SuppressionReason
        if reason is not SuppressionReason.UNSUBSCRIBE
    }
    assert through.pop(SuppressionReason.BOUNCE_SOFT) == ["P0"]
    assert through.pop(SuppressionReason.COMPLAINT) == ["P0", "P4"]
    assert set(map(tuple, through.values())) == {()}
    for row in ("| `bounce_soft` | P0 |", "| `complaint` | P0 and P4 |"):
        assert row in TEXT
