from datetime import timedelta

import sqlalchemy as sa
from structlog.testing import capture_logs

from app.db.engine import make_engine
from scheduler.leadership import Leadership

SHORT = timedelta(milliseconds=200)


def nowhere():
    return make_engine("postgresql://nobody@127.0.0.1:1/none", pool=1, name="test")


def test_the_first_to_ask_leads_and_the_second_stands_by(tools):
    first, second = Leadership(tools.engine, "a"), Leadership(tools.engine, "b")
    assert (first.renew(), second.renew()) == (True, False)
    assert (first.held, second.held) == (True, False)


def test_a_renewed_lead_is_not_newly_taken(leader):
    assert not leader.renew()
    assert leader.held


def test_a_leader_that_does_not_renew_stops_leading(tools, eventually):
    leader = Leadership(tools.engine, "a", lease=SHORT)
    leader.renew()
    eventually(lambda: not leader.held, within=2)


def test_the_standby_takes_over_when_the_lease_is_over_and_not_before(tools, eventually):
    dead, standby = Leadership(tools.engine, "a", lease=SHORT), Leadership(tools.engine, "b")
    dead.renew()
    standby.renew()
    assert not standby.held
    eventually(standby.renew, within=2)
    assert not dead.held


def test_the_standby_need_not_wait_for_one_that_resigned(tools):
    first, second = Leadership(tools.engine, "a"), Leadership(tools.engine, "b")
    first.renew()
    first.resign()
    assert second.renew()
    assert not first.held


def test_resigning_does_not_end_the_lead_of_another(tools):
    first, second = Leadership(tools.engine, "a"), Leadership(tools.engine, "b")
    first.renew()
    second.resign()
    assert not second.renew()


def test_a_leader_that_lost_its_row_to_another_stops_at_once(tools):
    leader = Leadership(tools.engine, "a")
    leader.renew()
    with tools.once.connect() as conn:
        conn.execute(sa.text("UPDATE job_leader SET holder = 'b'"))
    leader.renew()
    assert not leader.held


def test_without_the_database_nobody_leads_and_it_is_told_once():
    leadership = Leadership(nowhere(), "a")
    with capture_logs() as logs:
        assert not leadership.renew()
        leadership.renew()
    assert not leadership.held
    assert len(logs) == 1


def test_a_failed_renewal_leaves_the_lead_until_its_lease_ends(tools, eventually):
    leader = Leadership(tools.engine, "a", lease=SHORT)
    leader.renew()
    leader._engine = nowhere()
    leader.renew()
    eventually(lambda: not leader.held, within=2)


def test_whoever_takes_over_tells_for_how_long_nobody_led(tools):
    with tools.once.connect() as conn:
        conn.execute(sa.text("INSERT INTO job_leader VALUES ('scheduler', 'dead', now() - interval '60 s')"))
    with capture_logs() as logs:
        Leadership(tools.engine, "b").renew()
    assert 60 <= logs[0]["vacant_seconds"] < 70
