"""Whatever stands in a list's address, its form stays, and says what cannot be looked for."""

import pytest

from admin.lists import ListPage
from admin.menu import FURTHER, GROUPS

LISTS = [
    page
    for page in [*(page for group in GROUPS for page in group.pages), *FURTHER]
    if issubclass(page, ListPage)
]


def address_of(page):
    return f"/admin/{page.key.replace('_', '-')}/"


@pytest.mark.parametrize("page", LISTS, ids=lambda page: page.key)
def test_a_filter_that_cannot_be_is_told_beside_it(as_role, page):
    browser = as_role("admin")
    for each in page.filters:
        nonsense = browser.get(address_of(page), query_string={each.name: "nonsense"})
        assert nonsense.status_code in ((400,) if each.choices else (200, 400)), each.name
        assert f'id="f-{each.name}"' in nonsense.text
        assert (f'id="e-{each.name}"' in nonsense.text) is (nonsense.status_code == 400)
        nul = browser.get(address_of(page), query_string={each.name: "\x00"})
        assert (nul.status_code, f'id="e-{each.name}"' in nul.text) == (400, True), each.name


@pytest.mark.parametrize("page", LISTS, ids=lambda page: page.key)
def test_a_place_that_is_none_is_told_and_the_list_stays(as_role, page):
    answer = as_role("admin").get(address_of(page), query_string={"after": "nonsense"})
    assert answer.status_code in {200, 400}
    assert "<h1" in answer.text
    assert "Go back" not in answer.text


def test_several_that_cannot_be_are_told_at_once(as_role):
    answer = as_role("viewer").get("/admin/dead-letters/?status=sent&channel=pigeon")
    assert answer.status_code == 400
    assert 'id="e-status"' in answer.text
    assert 'id="e-channel"' in answer.text
    assert "Nothing was looked for." in answer.text
