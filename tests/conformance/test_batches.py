"""Requests for many messages, at the gateways that have them."""

from dataclasses import replace
from datetime import timedelta

from tests.conformance.test_outcomes import PROGRESS, spelt


def test_every_member_of_a_batch_is_accepted_and_told_about_alone(stage, gateway, expected, write):
    size = min(stage.gateways[gateway].batch, 5)
    sent = [write(number=number) for number in range(size)]
    outcomes = stage.send(gateway, *sent)
    assert [outcome.kind for outcome in outcomes] == ["accepted"] * size
    assert len({outcome.external_id for outcome in outcomes}) == size
    assert [len(stage.entries(message)) for message in sent] == [1] * size
    for message in sent:
        told = {spelt(fact) for _, fact in stage.about(message) if fact.event_type not in PROGRESS}
        assert sorted(told) == expected.told_about("delivered")


def test_one_bad_member_spoils_itself_alone(stage, gateway, expected, write):
    if stage.gateways[gateway].batch == 1:
        return
    assert expected.bad_member, "name an address that spoils a batch, and its class"
    address, kind = expected.bad_member
    good, bad, after = write(number=1), replace(write(), address=address), write(number=2)
    outcomes = stage.send(gateway, good, bad, after)
    assert outcomes[1].kind == kind
    for message, outcome in ((good, outcomes[0]), (after, outcomes[2])):
        taken = len(stage.entries(message)) == 1
        # Refused together with the bad one, it is sent again at once and has used up no attempt.
        again = outcome.kind == "throttle" and outcome.retry_after == timedelta(0)
        assert taken == (outcome.kind == "accepted") != again, outcome
