import pytest
import sqlalchemy as sa

from app.db.tables import isp_domains
from app.errors import Unavailable
from app.services.upkeep.isps import IspLookups


class Names:
    """A DNS of a few domains; None stands for one that does not answer."""

    def __init__(self, **records):
        self.records_of = {name.replace("_", "."): records for name, records in records.items()}
        self.asked = []

    def records(self, name, kind):
        self.asked.append((name, kind))
        found = self.records_of.get(name, ())
        if found is None:
            raise Unavailable("no answer")
        return found


GOOGLE = ("10 alt1.aspmx.l.google.com.", "1 aspmx.l.google.com.")


@pytest.fixture
def write(table):
    def write(*domains, priority="P3"):
        for domain in domains:
            table.messages(priority, recipient_address=f"'reader@{domain}'")

    return write


def known(table):
    return dict(table("SELECT domain, isp FROM isp_domains"))


def expire(table):
    table("UPDATE isp_domains SET expires_at = now()")


def test_domains_that_are_written_to_are_looked_up_once(table, tools, write):
    names = Names(shop_example=GOOGLE, firm_example=("0 firm-example.mail.protection.outlook.com.",))
    lookups = IspLookups(names)
    write("shop.example", "Firm.example", "shop.example", priority="P4")
    lookups.run(tools)
    write("shop.example")
    lookups.run(tools)
    assert known(table) == {"shop.example": "google", "firm.example": "microsoft"}
    assert sorted(names.asked) == [("firm.example", "MX"), ("shop.example", "MX")]


def test_well_known_domains_and_numbers_are_not_looked_up(table, tools, write):
    names = Names()
    write("gmail.com")
    table.messages("P4", channel="sms", recipient_address="'+15551234567'")
    IspLookups(names).run(tools)
    assert names.asked == []


def test_a_domain_is_looked_up_again_when_its_time_is_over_and_it_is_written_to(table, tools, write):
    names = Names(shop_example=GOOGLE)
    lookups = IspLookups(names)
    write("shop.example")
    lookups.run(tools)
    names.records_of["shop.example"] = ("10 mx.example.net.",)
    expire(table)
    write("shop.example")
    lookups.run(tools)
    assert known(table) == {"shop.example": None}


def test_what_was_known_stays_while_nobody_answers(table, tools, write):
    names = Names(shop_example=GOOGLE)
    lookups = IspLookups(names)
    write("shop.example")
    lookups.run(tools)
    names.records_of["shop.example"] = None
    expire(table)
    write("shop.example")
    lookups.run(tools)
    assert known(table) == {"shop.example": "google"}
    assert table.one("SELECT expires_at < now() + interval '1 hour' FROM isp_domains")


def test_mail_servers_are_kept_the_most_preferred_first(table, tools, write):
    write("shop.example")
    IspLookups(Names(shop_example=GOOGLE)).run(tools)
    assert table.one("SELECT mx FROM isp_domains") == ["aspmx.l.google.com", "alt1.aspmx.l.google.com"]


def test_that_there_is_no_such_domain_is_believed_for_a_day_and_else_for_a_week(table, tools, write):
    write("shop.example", "nowhere.example")
    IspLookups(Names(shop_example=GOOGLE)).run(tools)
    days = "SELECT domain, round(extract(epoch FROM expires_at - now()) / 86400) FROM isp_domains"
    assert dict(table(days)) == {"shop.example": 7, "nowhere.example": 1}


def test_what_is_too_much_for_one_run_is_looked_up_in_the_next(table, tools, write):
    names = Names()
    lookups = IspLookups(names)
    write(*(f"d{number}.example" for number in range(130)))
    lookups.run(tools)
    lookups.run(tools)
    assert len(set(names.asked)) == len(names.asked) == 130


def test_a_domain_counts_for_its_isp_as_soon_as_that_is_known(table, tools, write):
    assert tools.catalog.isps().of("shop.example") is None
    write("shop.example")
    IspLookups(Names(shop_example=GOOGLE)).run(tools)
    tools.catalog.forget()
    assert tools.catalog.isps().of("shop.example") == "google"
    with tools.engine.begin() as conn:
        conn.execute(sa.update(isp_domains).values(isp=None, looked_up_at=sa.func.now()))
    tools.catalog.forget()
    assert tools.catalog.isps().of("shop.example") is None
