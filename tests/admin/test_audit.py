"""The page Audit: what it finds, what it shows of a change, what it gives to take along."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from app.services.audit import Who, record

ANNA = Who(actor="console/anna@example.com", origin="192.0.2.7")


@pytest.fixture
def logged(app):
    with app.engine.begin() as conn:
        record(conn, ANNA, "gateway.drain", "gateway:postal", before={"drained": False, "tier": 1},
               after={"drained": True, "tier": 1}, why="it is slow")  # fmt: skip
        record(conn, Who(actor="cli/bo"), "key.revoke", "key:7", why="=1+1")


@pytest.mark.usefixtures("logged")
def test_a_change_is_shown_with_who_why_and_what_is_different(as_role):
    page = as_role("operator").get("/admin/audit/").get_data(as_text=True)
    assert "console/anna@example.com" in page
    assert "192.0.2.7" in page
    assert "it is slow" in page
    assert "<dt>drained</dt>" in page
    assert "<dt>tier</dt>" not in page


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(
    ("query", "found", "left_out"),
    [
        ("actor=console/", "gateway.drain", "key.revoke"),
        ("action=key.", "key.revoke", "gateway.drain"),
        ("target=gateway:postal", "gateway.drain", "key.revoke"),
    ],
)
def test_it_is_searched_by_who_what_and_to_what(as_role, query, found, left_out):
    page = as_role("admin").get(f"/admin/audit/?{query}").get_data(as_text=True)
    assert found in page
    assert left_out not in page


@pytest.mark.usefixtures("logged")
def test_the_last_day_that_is_named_counts_in(as_role):
    browser, today = as_role("admin"), datetime.now(UTC).date()
    assert "key.revoke" in browser.get(f"/admin/audit/?until={today}").get_data(as_text=True)
    yesterday = today - timedelta(days=1)
    assert "key.revoke" not in browser.get(f"/admin/audit/?until={yesterday}").get_data(as_text=True)


def test_a_day_that_is_none_is_said_beside_its_field(as_role):
    page = as_role("admin").get("/admin/audit/?since=yesterday").get_data(as_text=True)
    assert "must be a day" in page


@pytest.mark.usefixtures("logged")
def test_the_file_runs_nothing_in_a_spreadsheet(as_role):
    answer = as_role("admin").get("/admin/audit/export?action=key.")
    assert answer.content_type.startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(answer.get_data(as_text=True)))
    assert row["why"] == "'=1+1"
    assert row["target"] == "key:7"


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_the_file_begins_as_a_formula_does(app, as_role, beginning):
    with app.engine.begin() as conn:
        record(conn, ANNA, "key.revoke", "key:7", why=f"{beginning}1+1")
    told = as_role("admin").get("/admin/audit/export?action=key.").get_data(as_text=True)
    (row,) = csv.DictReader(io.StringIO(told, newline=""))
    assert row["why"] == f"'{beginning}1+1"


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("editor", 403), ("operator", 200), ("admin", 200)]
)
def test_who_runs_the_service_may_read_it(as_role, role, status):
    assert as_role(role).get("/admin/audit/").status_code == status


@pytest.mark.parametrize("role", ["viewer", "editor", "operator"])
def test_only_administrators_take_it_along(as_role, role):
    assert as_role(role).get("/admin/audit/export").status_code == 403
