import pytest

from app.db.arrays import flags, numbers, texts
from app.domain.vocabulary import Status


@pytest.mark.parametrize(
    ("values", "spelt"),
    [
        ([], "{}"),
        (["a", "b c", ""], '{"a","b c",""}'),
        ([None, "NULL", None], '{NULL,"NULL",NULL}'),
        (["a,b", "{}"], '{"a,b","{}"}'),
        (['say "a"', "b"], '{"say \\"a\\"","b"}'),
        (["back\\slash", None], '{"back\\\\slash",NULL}'),
        (['","'], '{"\\",\\""}'),
        ([Status.SENT], '{"sent"}'),
    ],
)
def test_texts_are_spelled_as_postgresql_reads_them(values, spelt):
    assert texts(values) == spelt
    assert texts(iter(values)) == spelt


def test_numbers_and_flags_are_spelled_bare():
    assert numbers([1, 2.5]) == "{1,2.5}"
    assert flags([True, False]) == "{t,f}"
