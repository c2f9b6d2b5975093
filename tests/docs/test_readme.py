"""What the documents state in tables, names and links, held against the code."""

import re
import tomllib
from pathlib import Path

import pytest

from app.cli import COMMANDS
from tests.docs import tables

README = tables.ROOT / "README.md"
PAGES = [pytest.param(path, id=path.name) for path in tables.documents()]
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


def marked() -> list[tuple[str, str, str]]:
    return [
        (path.name, name, table)
        for path in tables.documents()
        for name, table in tables.between_marks(path.read_text()).items()
    ]


@pytest.mark.parametrize(("page", "name", "table"), [pytest.param(*each, id=each[1]) for each in marked()])
def test_a_table_says_what_the_code_says(page, name, table):
    assert table == tables.TABLES[name](), f"{page} is behind: run python -m tests.docs.tables"


@pytest.mark.parametrize("name", ["settings", "lane-settings", "commands", "operations", "priorities"])
def test_the_readme_has_each_table(name):
    assert name in tables.between_marks(README.read_text())


def test_the_tables_hold_what_everybody_knows_to_be_there():
    text = README.read_text()
    for known in (
        "| `POST /v1/messages` | Send one message | `messages:send` |",
        "| `tocsin up` |",
        "| `DATABASE_URL` |",
        "| P0 | emergency | `emergency` | 5 min | 5 |",
        "| `GET /healthz` |",
    ):
        assert known in text


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_a_document_exists(page):
    called = {
        found[1]
        for code in CODE.findall(page.read_text())
        for found in re.finditer(r"tocsin ([a-z]+(?:-[a-z]+)*)\b", code)
    }
    assert called <= set(COMMANDS)


def test_the_readme_names_every_bench():
    table = (tables.ROOT / "bench" / "cli.py").read_text().partition("BENCHES")[2].partition("}")[0]
    benches = re.findall(r'"([a-z0-9]+)":', table)
    assert "drain" in benches
    assert [bench for bench in benches if f"`{bench}`" not in README.read_text()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_somewhere(page):
    text = page.read_text()
    links = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'src="([^"]+)"', text)
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_link_inside_the_readme_has_its_heading():
    text = README.read_text()
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings


def test_every_folder_of_the_map_is_there():
    named = re.findall(r"^\| `([a-z_/]+/)`", README.read_text(), re.MULTILINE)
    assert len(named) > 15
    assert [folder for folder in named if not (tables.ROOT / folder).is_dir()] == []


def test_no_folder_of_the_application_is_missing_from_the_map():
    folders = {
        f"app/{path.name}/" for path in (tables.ROOT / "app").iterdir() if (path / "__init__.py").exists()
    }
    assert folders <= set(re.findall(r"`(app/[a-z]+/)`", README.read_text()))


def test_the_version_is_in_the_changelog():
    project = tomllib.loads((tables.ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] in (tables.ROOT / "CHANGELOG.md").read_text()
    assert project["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in Path(tables.ROOT / "LICENSE").read_text()
