import pytest

COMMANDS = [
    ("send", "--to", "anna@example.com", "--text", "x"),
    ("status", "01a20066-345e-7285-a18f-824c0d9e4146"),
    ("queue",),
    ("templates", "list"),
    ("suppressions", "list"),
    ("keys", "list"),
    ("users", "list"),
    ("migrate",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_where_nothing_runs_each_command_says_what_to_start_or_to_set(bare, tocsin, command):
    said = tocsin(*command)
    assert said.code == 3
    assert said.err == "Error: Nothing runs here: start `bin/tocsin up`, or set DATABASE_URL and REDIS_URL.\n"


def test_a_server_that_does_not_answer_is_one_line_and_a_code_of_its_own(bare, tocsin, tmp_path):
    bare.setenv("DATABASE_URL", f"postgresql+psycopg://nobody@/none?host={tmp_path}")
    bare.setenv("REDIS_URL", "unix:///nowhere.sock")
    said = tocsin("keys", "list")
    assert (said.code, said.err) == (4, "Error: the database cannot be reached\n")


def test_what_a_command_changes_is_audited_under_the_name_of_the_user(app, tocsin, bare):
    tocsin("suppressions", "add", "anna@example.com")
    with app.engine.connect() as conn:
        actors = conn.exec_driver_sql("SELECT actor FROM audit_log WHERE actor <> 'test'").scalars().all()
    assert [actor.partition("/")[0] for actor in actors] == ["cli"]
    assert all(actor.partition("/")[2] for actor in actors)


def test_commands_send_as_the_one_client_local(app, tocsin):
    for name in ("anna", "ben"):
        tocsin("send", "--to", f"{name}@example.com", "--subject", "x", "--text", "x")
    with app.engine.connect() as conn:
        query = "SELECT c.name FROM message_queue AS m JOIN api_clients AS c ON c.id = m.client_id"
        assert conn.exec_driver_sql(query).scalars().all() == ["local", "local"]
