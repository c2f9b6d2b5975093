"""The page Diagnostics: what stands, what a run found, and a look at once."""

import pytest


def test_without_a_run_it_tells_what_changes_soon_and_that_it_knows_no_more(as_role):
    page = as_role("viewer").get("/admin/diagnostics/").get_data(as_text=True)
    assert "nobody has looked at the rest yet" in page
    assert "No worker of emergency (P0) is alive" in page


def test_what_a_run_found_is_shown_with_what_to_do(as_role, app):
    run = app.diagnostics.run(subjects=("security", "gateways"))
    assert run.findings
    browser = as_role("viewer")
    page = browser.get(f"/admin/diagnostics/runs/{run.id}").get_data(as_text=True)
    for known in run.findings:
        assert known.finding.subject in page
    assert "What to do:" in page


def test_a_run_that_is_not_there_is_404(as_role):
    assert as_role("viewer").get("/admin/diagnostics/runs/4711").status_code == 404


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("editor", 403), ("operator", 302)])
def test_who_runs_the_service_has_everything_looked_at(as_role, app, role, status):
    browser = as_role(role)
    browser.get("/admin/diagnostics/")
    assert browser.post("/admin/diagnostics/run").status_code == status
    assert len(app.diagnostics.history().items) == (status == 302)
