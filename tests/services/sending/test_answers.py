"""What the ledger keeps of an answer is what deciding needs."""

from datetime import UTC, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.services.sending import answers

outcomes = st.builds(
    Outcome,
    kind=st.sampled_from(OutcomeClass),
    code=st.text(max_size=40),
    external_id=st.none() | st.text(min_size=1, max_size=80),
    retry_after=st.none() | st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    scope=st.none() | st.sampled_from(ConfigScope),
    opt_out=st.booleans(),
    as_of=st.none() | st.datetimes(timezones=st.just(UTC)),
)


@given(gateway=st.text(min_size=1, max_size=20), outcome=outcomes)
def test_an_outcome_comes_back_as_it_was_written_down(gateway, outcome):
    assert answers.read(answers.spell(gateway, outcome)) == (gateway, outcome)


def test_the_gateways_own_words_are_not_kept():
    spelled = answers.spell("postal", Outcome(kind=OutcomeClass.CONTENT, detail="Dear Ada, no"))
    assert "Ada" not in spelled
