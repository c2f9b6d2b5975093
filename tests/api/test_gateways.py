"""Gateways and the reputation of our mail's names over HTTP."""

import pytest
import sqlalchemy as sa

from app.db.tables import reputation_hours

POSTAL = "/v1/gateways/email/postal"
WHY = {"why": "maintenance at the provider"}


def fields(answer):
    return {fault["field"] for fault in answer.json["errors"]}


def test_gateways_are_listed_with_their_health_and_without_their_credentials(api):
    answer = api.get("/v1/gateways?channel=email")
    assert [item["gateway"] for item in answer.json["items"]] == ["postal", "ses", "sendgrid", "smtp"]
    postal = answer.json["items"][0]
    assert (postal["credentials"], postal["is_healthy"], postal["breaker"]["state"]) == (True, True, "closed")
    assert postal["condition"] == "untried"
    assert postal["condition_reason"] == "nothing was sent by it in the last 24 hours"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("verb", "member", "value"), [("drain", "drained", True), ("disable", "enabled", False)]
)
def test_a_gateway_is_taken_out_of_use_by_whose_key_it_is(api, verb, member, value):
    answer = api.post(f"{POSTAL}/{verb}", WHY)
    assert (answer.status_code, answer.json[member]) == (200, value)
    assert answer.json[f"{verb}ed_by".replace("disableed", "disabled")] == "own/everything"
    assert api.get(POSTAL).json[member] is value


def test_a_trip_names_its_time_and_a_reset_ends_it(api):
    tripped = api.post(f"{POSTAL}/trip", WHY | {"minutes": 90})
    assert (tripped.json["breaker"]["state"], tripped.json["breaker"]["reason"]) == ("open", WHY["why"])
    assert api.post(f"{POSTAL}/reset", WHY).json["breaker"]["state"] == "closed"


def test_one_sender_alone_can_be_tripped_and_reset(api):
    sender = {"sender": "news@example.org"}
    tripped = api.post(f"{POSTAL}/trip", WHY | sender).json
    assert [ill["sender"] for ill in tripped["ill_senders"]] == ["news@example.org"]
    assert tripped["breaker"]["state"] == "closed"
    assert api.post(f"{POSTAL}/reset", WHY | sender).json["ill_senders"] == []


def test_changes_are_told_newest_first(api):
    api.post(f"{POSTAL}/drain", WHY)
    api.post(f"{POSTAL}/undrain", WHY)
    page = api.get("/v1/gateways/changes?gateway=postal&limit=1").json
    assert [change["after"] for change in page["items"]] == ["in use"]
    following = api.get(f"/v1/gateways/changes?gateway=postal&limit=1&cursor={page['next']}").json
    assert [(change["after"], change["who"]) for change in following["items"]] == [
        ("drained", "own/everything")
    ]


def test_tier_weight_and_pools_are_changed_by_name(api):
    answer = api.call(
        "PATCH", POSTAL, data='{"why": "cheaper", "weight": 4, "pools": ["campaigns"]}',
        content_type="application/json",
    )  # fmt: skip
    assert (answer.json["tier"], answer.json["weight"], answer.json["pools"]) == (1, 4, ["campaigns"])


def test_an_order_names_gateways_that_are_there(api):
    answer = api.put("/v1/gateways/email/order", WHY | {"tiers": [["ses"]]})
    assert (answer.status_code, fields(answer)) == (422, {"tiers"})


def test_a_test_message_can_be_followed(api):
    answer = api.post(f"{POSTAL}/test", WHY | {"address": "ops@example.org"})
    assert (answer.status_code, answer.json["status"]) == (202, "pending")
    assert api.get(answer.json["links"]["self"]).json["gateway"] == "postal"


@pytest.mark.parametrize("path", ["drain", "undrain", "disable", "enable", "trip", "reset", "switch"])
def test_every_change_needs_a_reason_and_the_scope(api, path):
    assert fields(api.post(f"{POSTAL}/{path}", {})) == {"why"}
    assert api.as_key("reader").post(f"{POSTAL}/{path}", WHY).status_code == 403


def test_a_gateway_without_credentials_cannot_be_changed(api):
    assert api.post("/v1/gateways/email/ses/drain", WHY).status_code == 404


def test_a_names_reputation_is_shown_and_lifted(api, app):
    row = {"kind": "domain", "key": "example.com", "sent": 2000, "bounced": 100, "complained": 1}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(reputation_hours).values(row | {"hour": sa.func.now()}))
    (name,) = api.get("/v1/reputation").json["items"]
    assert (name["key"], name["bounce_rate_24h"], name["complaint_rate_7d"]) == ("example.com", 0.05, 0.0005)
    lifted = api.post("/v1/reputation/domains/example.com/lift", WHY | {"hours": 2}).json
    assert (lifted["lifted_by"], lifted["lifted_why"]) == ("own/everything", WHY["why"])


def test_nobody_lifts_what_is_not_there(api):
    assert api.post("/v1/reputation/ip-pools/nowhere/lift", WHY).status_code == 404
