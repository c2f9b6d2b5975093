import pytest


@pytest.fixture
def empty(bare, empty_database):
    """An empty database, as the environment names it."""
    bare.setenv("DATABASE_URL", empty_database.application)
    bare.setenv("MIGRATION_DATABASE_URL", empty_database.owner)
    bare.setenv("REDIS_URL", "unix:///nobody-asks.sock")


def test_an_empty_database_comes_to_head_step_by_step(empty, tocsin):
    done = tocsin("migrate", "--json").json
    revisions = [step["revision"] for step in done["steps"]]
    assert done["before"] is None
    assert revisions[:2] == ["0001", "0002"]
    assert done["after"] == revisions[-1]
    assert all(step["meaning"] for step in done["steps"])


def test_again_there_is_nothing_to_do(empty, tocsin):
    tocsin("migrate")
    assert tocsin("migrate").out.startswith("Nothing to do: the database is at ")


def test_it_stops_where_it_is_told_to(empty, tocsin):
    assert tocsin("migrate", "--to", "0002", "--json").json["after"] == "0002"
    shown = tocsin("migrate", "--to", "0003").out
    assert "0003" in shown
    assert "from 0002 to 0003" in shown


def test_it_goes_back_only_where_that_is_asked_for(empty, tocsin):
    tocsin("migrate", "--to", "0003")
    refused = tocsin("migrate", "--to", "0002")
    assert refused.code == 5
    assert "--down" in refused.err
    done = tocsin("migrate", "--to", "0001", "--down", "--json").json
    assert [step["revision"] for step in done["steps"]] == ["0003", "0002"]
    assert done["after"] == "0001"


def test_a_revision_that_is_none_is_refused_before_anything_happens(empty, tocsin):
    said = tocsin("migrate", "--to", "9999")
    assert said.code == 5
    assert "9999" in said.err
    assert tocsin("migrate", "--to", "0001", "--json").json["before"] is None


def test_the_application_may_use_what_was_made(empty, tocsin):
    tocsin("migrate")
    assert tocsin("keys", "list", "--json").json == {"items": []}
