"""Whoever uploads more than limits let through in time is told so at once."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.db.tables import rate_limits
from app.domain.vocabulary import MessageType
from app.services.bulk_trial import try_bulk
from app.services.requests import Row
from app.settings import Settings
from tests.accepting import newsletter


def limit(place, kind, key, **figures):
    with place.engine.begin() as conn:
        conn.execute(sa.insert(rate_limits).values(limit_type=kind, limit_key=key, is_active=True, **figures))
    place.catalog.forget()


def people(count, domain="example.com"):
    return [Row(line, f"user{line}@{domain}") for line in range(1, count + 1)]


def warnings(place, rows, **changes):
    return place.service.send_bulk(place.caller, newsletter(**changes), rows).warnings


def test_where_nothing_is_limited_there_is_nothing_to_say(place):
    assert warnings(place, people(50)) == ()


def test_a_domain_that_is_limited_too_much_is_named(place):
    limit(place, "domain", "example.com", max_per_hour=10)
    end = datetime.now(UTC) + timedelta(minutes=90)
    # In ninety minutes are parts of two hours; a fifth of each is kept for P0 and P4.
    (said,) = warnings(place, people(17), expires_at=end)
    assert said == (
        f"At most 16 of 17 messages can leave by {end:%Y-%m-%d %H:%M} UTC: "
        "the limit of domain example.com allows no more. The others leave later."
    )
    assert warnings(place, people(16), expires_at=end) == ()
    assert warnings(place, people(17, "example.org"), expires_at=end) == ()


def test_an_isps_domains_count_together(place):
    limit(place, "isp", "google", max_per_day=10)
    rows = [Row(1, "a@gmail.com"), *(Row(n, f"user{n}@googlemail.com") for n in range(2, 11))]
    (said,) = warnings(place, rows)
    assert said.startswith("At most 8 of 10 messages can leave by ")
    assert "the limit of isp google allows no more" in said


def test_a_pool_limits_all(place):
    limit(place, "ip_pool", "newsletters", max_per_minute=1)
    (said,) = warnings(place, people(61), expires_at=datetime.now(UTC) + timedelta(minutes=10))
    assert "the limit of ip_pool newsletters allows no more" in said


def test_a_pool_that_is_warming_up_has_more_of_a_day_by_then(place):
    limit(
        place, "ip_pool", "newsletters", max_per_day=1000,
        warmup_first=10, warmup_growth="double", warmup_started_at=datetime.now(UTC),
    )  # fmt: skip
    assert warnings(place, people(61), expires_at=datetime.now(UTC) + timedelta(days=5)) == ()


def test_gateways_are_too_little_together_only(place):
    limit(place, "gateway", "postal", max_per_hour=10)
    assert warnings(place, people(20)) == ()
    limit(place, "gateway", "ses", max_per_hour=10)
    (said,) = warnings(place, people(20))
    assert said.startswith("At most 16 of 20 messages can leave by ")
    assert "the limits of postal, ses allow no more" in said


def test_what_is_not_to_be_sent_counts_for_nobody(place):
    limit(place, "domain", "example.com", max_per_day=10)
    assert warnings(place, [*people(8), Row(9, "nobody"), Row(10, "else@example.org")]) == ()


def test_what_begins_later_has_its_time_from_then_on(place):
    limit(place, "domain", "example.com", max_per_hour=10)
    later = datetime.now(UTC) + timedelta(hours=6)
    (said,) = warnings(place, people(17), scheduled_for=later)
    assert f"{later + timedelta(hours=1):%Y-%m-%d %H:%M} UTC" in said


def test_what_expires_by_the_clock_is_said_to_expire(place):
    limit(place, "domain", "example.com", max_per_hour=10)
    (said,) = warnings(place, people(40), message_type=MessageType.TRANSACTIONAL)
    # Half of the reserve is P4's.
    assert said.startswith("At most 9 of 40 messages")
    assert said.endswith("The others expire then.")


def test_emergencies_wait_for_gateways_alone(place):
    limit(place, "domain", "example.com", max_per_hour=1)
    limit(place, "gateway", "postal", max_per_hour=10)
    limit(place, "gateway", "ses", max_per_hour=10)
    (said,) = warnings(place, people(25), message_type=MessageType.EMERGENCY)
    assert said.startswith("At most 20 of 25 messages")


def test_whoever_repeats_the_request_is_told_again(place):
    limit(place, "domain", "example.com", max_per_day=10)
    answers = [
        place.service.send_bulk(
            place.caller, newsletter(), people(20), idempotency_key="news", request_hash=lambda: b"same"
        )
        for _ in range(2)
    ]
    assert [answer.replayed for answer in answers] == [False, True]
    assert answers[0].warnings == answers[1].warnings != ()


def test_a_trial_says_it_before(place):
    limit(place, "domain", "example.com", max_per_day=10)
    found = try_bulk(
        place.engine, place.catalog, place.settings, caller=place.caller, head=newsletter(), rows=people(20)
    )
    assert [said[:26] for said in found.warnings] == ["At most 8 of 20 messages c"]


def test_where_limits_are_not_enforced_they_keep_nobody(place):
    limit(place, "domain", "example.com", max_per_day=10)
    free = Settings(_env_file=None, rate_limiting_enabled=False)
    assert (
        try_bulk(
            place.engine, place.catalog, free, caller=place.caller, head=newsletter(), rows=people(20)
        ).warnings
        == ()
    )
