import pytest


@pytest.fixture
def listed(bare, tocsin):
    """Lists all settings by name."""

    def listed():
        return {item["name"]: item for item in tocsin("settings", "--json").json["items"]}

    return listed


def test_every_setting_is_there_with_its_meaning(listed):
    found = listed()
    assert {"DATABASE_URL", "PORT", "P0__MAX_AGE_SECONDS", "SOFT_BOUNCE_THRESHOLD"} <= found.keys()
    assert all(item["meaning"] for item in found.values())


def test_what_nobody_set_is_the_default_as_it_is_in_force(listed):
    found = listed()
    assert (found["PORT"]["value"], found["PORT"]["source"]) == (8000, "default")
    assert found["P0__MAX_AGE_SECONDS"]["value"] == 300
    assert found["P4__RETRY_ATTEMPTS"]["value"] == 5


def test_the_source_is_told(listed, bare, tmp_path):
    (tmp_path / ".env").write_text("PORT=9000\nP1__UNKNOWN=hold\n")
    bare.setitem(__import__("app.settings").settings.Settings.model_config, "env_file", tmp_path / ".env")
    bare.setenv("HOST", "::1")
    found = listed()
    assert (found["PORT"]["value"], found["PORT"]["source"]) == (9000, ".env")
    assert (found["P1__UNKNOWN"]["value"], found["P1__UNKNOWN"]["source"]) == ("hold", ".env")
    assert (found["HOST"]["value"], found["HOST"]["source"]) == ("::1", "environment")


def test_no_secret_is_shown(bare, tocsin):
    secret = "s3cr3t-word"
    for name in ("POSTAL_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"):
        bare.setenv(name, secret)
    bare.setenv("DATABASE_URL", f"postgresql+psycopg://anna:{secret}@db/tocsin")
    bare.setenv("REDIS_URL", f"redis://:{secret}@cache:6379/0")
    for said in (tocsin("settings"), tocsin("settings", "--json")):
        assert secret not in said.out
        assert "anna:********@db" in said.out


def test_each_secret_of_a_list_is_masked(listed, bare):
    bare.setenv("BIRD_SIGNING_KEYS", "s3cr3t, w0rd")
    assert listed()["BIRD_SIGNING_KEYS"]["value"] == ["********", "********"]


def test_a_password_in_the_query_of_an_address_is_no_less_secret(bare, tocsin):
    bare.setenv("DATABASE_URL", "postgresql+psycopg://anna@db/tocsin?password=s3cr3t&host=db")
    assert "s3cr3t" not in tocsin("settings").out


def test_only_what_was_changed_may_be_asked_for(listed, bare, tocsin):
    bare.setenv("PORT", "9000")
    names = {item["name"] for item in tocsin("settings", "--changed", "--json").json["items"]}
    assert names == {"PORT", "DATA_DIR"}


def test_settings_that_cannot_be_used_are_named(bare, tocsin):
    bare.setenv("PORT", "eight")
    said = tocsin("settings")
    assert said.code == 3
    assert "PORT" in said.err
