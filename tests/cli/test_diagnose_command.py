"""`tocsin diagnose`: tables for people, JSON for programs, exit codes by severity."""


def test_it_ends_with_the_code_of_the_worst_and_says_what_to_do(app, tocsin):
    said = tocsin("diagnose", "--quick")
    assert said.code == 12
    assert "no_scheduler" in said.out
    assert "Start `tocsin scheduler`" in said.out
    assert said.out.index("critical") < said.out.index("medium")


def test_programs_get_json(app, tocsin):
    said = tocsin("diagnose", "--subject", "scheduler", "--json")
    assert said.code == 12
    assert [each["finding"]["code"] for each in said.json["findings"]] == ["no_scheduler"]


def test_where_nothing_is_wrong_it_ends_well(app, tocsin):
    said = tocsin("diagnose", "--subject", "limits")
    assert (said.code, said.out.strip()) == (0, "Nothing is wrong.")


def test_a_lesser_trouble_has_a_lesser_code(app, tocsin, servers, bare):
    bare.setenv("RATE_LIMITING_ENABLED", "false")
    assert tocsin("diagnose", "--subject", "limits").code == 10


def test_what_is_mended_is_said_to_be_gone(app, tocsin):
    tocsin("diagnose", "--subject", "scheduler")
    tocsin("diagnose", "--quick")
    with app.engine.begin() as conn:
        conn.exec_driver_sql("INSERT INTO job_leader VALUES ('scheduler', 'me', now() + interval '1 min')")
    assert "Gone: no_scheduler" in tocsin("diagnose", "--subject", "scheduler").out


def test_it_works_where_nothing_else_does(tocsin, bare):
    bare.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    bare.setenv("REDIS_URL", "redis://127.0.0.1:1")
    said = tocsin("diagnose", "--quick", "--json")
    codes = {each["finding"]["code"] for each in said.json["findings"]}
    assert said.code == 12
    assert {"database_unreachable", "redis_unreachable"} <= codes


def test_a_subject_that_there_is_not_is_a_wrong_call(tocsin, servers):
    assert tocsin("diagnose", "--subject", "weather").code == 2
