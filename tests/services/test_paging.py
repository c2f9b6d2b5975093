from dataclasses import dataclass

import pytest

from app.services import paging


@dataclass
class Row:
    id: int
    name: str = ""


def names(row):
    return row.name.upper()


def rows(count):
    return [Row(id=10 - n, name=f"n{n}") for n in range(count)]


@pytest.mark.parametrize(("count", "shown"), [(0, ()), (2, ("N0", "N1")), (3, ("N0", "N1", "N2"))])
def test_rows_that_all_fit_are_the_last_page(count, shown):
    page = paging.page(rows(count), 3, names)
    assert (page.items, page.next) == (shown, None)


def test_a_row_too_many_is_not_shown_and_the_next_page_begins_behind_the_last_shown():
    page = paging.page(rows(4), 3, names)
    assert page.items == ("N0", "N1", "N2")
    assert paging.position(page.next, int) == [8]


def test_what_the_next_page_begins_behind_need_not_be_the_id():
    assert paging.position(paging.page(rows(4), 3, names, key="name").next, str) == ["n2"]
