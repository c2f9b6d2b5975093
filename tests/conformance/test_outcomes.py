"""What becomes of each magic recipient: the answer at once, and what is told of it afterwards."""

from collections import Counter

from app.domain.vocabulary import EventType, OutcomeClass

PROGRESS = {EventType.QUEUED, EventType.SENT}


def spelt(fact):
    return f"{fact.event_type} {fact.outcome}" if fact.outcome else str(fact.event_type)


def test_a_gateway_is_expected_to_do_something_about_every_fate(fate, expected):
    assert fate in expected.fates


def test_the_answer_is_of_the_expected_class(stage, gateway, fate, expected, write):
    (outcome,) = stage.send(gateway, write(fate), impatient=fate == "silent")
    assert outcome.kind == expected.answer_to(fate), outcome


def test_what_is_accepted_has_an_id_of_its_own(stage, gateway, write):
    outcomes = [outcome for number in range(3) for outcome in stage.send(gateway, write(number=number))]
    assert {outcome.kind for outcome in outcomes} == {OutcomeClass.ACCEPTED}
    ids = {outcome.external_id for outcome in outcomes}
    assert len(ids) == 3
    assert all(ids)


def test_it_is_taken_with_our_tag_exactly_where_it_may_have_been(stage, gateway, fate, expected, write):
    message = write(fate)
    stage.send(gateway, message, impatient=fate == "silent")
    taken = expected.answer_to(fate) == "accepted" or fate == "lost"
    assert [entry["fate"] for entry in stage.entries(message)] == ([fate] if taken else [])


def test_webhooks_tell_what_became_of_it_once_a_fact(stage, gateway, fate, expected, write):
    """Each webhook comes twice: the key of a fact is the same both times, and of another fact another."""
    message = write(fate)
    (outcome,) = stage.send(gateway, message, impatient=fate == "silent")
    told = [fact for _, fact in stage.about(message, outcome) if fact.event_type not in PROGRESS]
    assert sorted(spelt(fact) for fact in {fact.key: fact for fact in told}.values()) == expected.told_about(
        fate
    )
    assert set(Counter(fact.key for fact in told).values()) <= {2}


def test_facts_are_about_our_tag_or_the_id_that_was_answered(stage, gateway, expected, write):
    message, other = (write(expected.teller, number) for number in (1, 2))
    (outcome,) = stage.send(gateway, message)
    stage.send(gateway, other)
    facts = [fact for _, fact in stage.about(message, outcome)]
    assert bool(facts) == expected.told
    assert {fact.tag for fact in facts} <= {message.tag, None}
    assert {fact.external_id for fact in facts} <= {outcome.external_id, None}
