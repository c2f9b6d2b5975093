from app.domain.vocabulary import Priority
from app.services.upkeep.leases import wake_releases

BOTH = (Priority.P0, Priority.P4)


def claim(table, priority, left, state="sending"):
    table(
        "INSERT INTO claims (uuid, priority, size, worker, state, lease_until)"
        " VALUES (gen_random_uuid(), %s, 1, 'w', %s, now() + %s::interval)",
        *(priority, state, left),
    )


def test_a_lapsed_claim_wakes_its_lane_only(table, tools, wake):
    claim(table, "P0", "-1 s")
    claim(table, "P1", "-1 s")
    wake_releases(tools, BOTH)
    assert wake.told == [("release", "P0")]


def test_emergencies_are_released_first(table, tools, wake):
    claim(table, "P4", "-60 s")
    claim(table, "P0", "-1 s")
    wake_releases(tools, BOTH)
    assert wake.told == [("release", "P0"), ("release", "P4")]


def test_a_claim_that_waits_for_a_worker_in_vain_is_released_too(table, tools, wake):
    claim(table, "P4", "-1 s", state="claimed")
    wake_releases(tools, BOTH)
    assert wake.told == [("release", "P4")]


def test_living_and_closed_claims_wake_nobody(table, tools, wake):
    claim(table, "P0", "30 s")
    claim(table, "P0", "-1 s", state="closed")
    wake_releases(tools, BOTH)
    assert wake.told == []
