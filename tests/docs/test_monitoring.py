"""The papers on monitoring against what is registered: nothing is shown or alarmed by that does not exist."""

import json
import re

import pytest
import yaml

from tests.docs.metrics import PAPER, registered, series, written

DOCS = PAPER.parent
NAME = re.compile(r"\btocsin_[a-z0-9_]+")
SEVERITIES = {"page", "ticket"}


def dashboard():
    return json.loads((DOCS / "grafana" / "dashboard.json").read_text(encoding="utf-8"))


def rules():
    told = yaml.safe_load((DOCS / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in told["groups"] for rule in group["rules"]]


def queries():
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]


def test_the_table_of_metrics_is_what_is_registered():
    text = PAPER.read_text(encoding="utf-8")
    assert text == written(text), "run `python -m tests.docs.metrics`"


@pytest.mark.parametrize("query", queries())
def test_what_the_dashboard_asks_for_exists(query):
    assert set(NAME.findall(query)) <= series()
    assert NAME.search(query)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_what_alerts_ask_for_exists_and_says_what_is_wrong(rule):
    assert set(NAME.findall(rule["expr"])) <= series()
    assert NAME.search(rule["expr"])
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"]["summary"]


@pytest.mark.parametrize("query", [*queries(), *(rule["expr"] for rule in rules())])
def test_queries_select_by_labels_that_there_are(query):
    known = registered()
    for name, selected in re.findall(r"\b(tocsin_[a-z0-9_]+)\{([^}]*)\}", query):
        metric = known.get(name) or known[re.sub(r"_(bucket|sum|count)$", "", name)]
        assert set(re.findall(r"(\w+)=~?\"", selected)) <= {*metric[2], "le"}


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)


def test_names_end_as_prometheus_wants_them():
    for name, (kind, _, _) in registered().items():
        assert (kind == "counter") == name.endswith("_total")
        assert kind != "histogram" or name.endswith("_seconds")
