"""Diagnostics: what is wrong now, what it means, and what to do about it."""

from collections.abc import Mapping

from flask import flash, redirect, url_for
from flask.typing import ResponseReturnValue

from admin import people
from admin.answers import link, told
from admin.overview import watch
from admin.page import Page, expose
from app.services.diagnostics.findings import Severity

_TONES: Mapping[Severity, str] = {
    Severity.CRITICAL: "critical",
    Severity.HIGH: "critical",
    Severity.MEDIUM: "warning",
    Severity.LOW: "info",
    Severity.INFO: "info",
}


class DiagnosticsPage(Page):
    """The findings that stand, worst first, and the runs they come from."""

    key = "diagnostics"
    title = "Diagnostics"

    @expose("/")
    def index(self) -> str:
        """Show what stands."""
        return self.show(
            "diagnostics/list.html",
            standing=self.app.diagnostics.standing(
                least=Severity.INFO, looked=watch().look(people.now()).looked
            ),
            history=self.app.diagnostics.history(limit=20).items,
            tones=_TONES,
        )

    @expose("/run", methods=("POST",))
    def run(self) -> ResponseReturnValue:
        """Look at everything now, the world outside too."""
        run = self.app.diagnostics.run(deep=True)
        new = sum(known.is_new for known in run.findings)
        found = f"{len(run.findings)} findings, {new} of them new"
        flash(told("{}; {} are gone.", _link(run.id, found), len(run.gone)), "success")
        return redirect(url_for("diagnostics.index"))

    @expose("/runs/<int:run_id>")
    def one(self, run_id: int) -> str:
        """Show what one run found."""
        return self.show("diagnostics/run.html", run=self.app.diagnostics.get(run_id), tones=_TONES)


def _link(run_id: int | None, words: str) -> str:
    return words if run_id is None else link(words, url_for("diagnostics.one", run_id=run_id))
