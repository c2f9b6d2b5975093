"""Every page of the menu: axe finds nothing, the console of the browser stays silent, nothing overflows."""

import pytest

from admin.menu import FURTHER, GROUPS
from admin.rights import may
from tests.admin.browser.conftest import HEIGHT, WIDTHS
from tests.admin.conftest import ROLES

PAGES = [page for group in GROUPS for page in group.pages] + list(FURTHER)
MOST_BYTES = 300_000


def path_of(page) -> str:
    return "/admin/" if page.key == "home" else f"/admin/{page.key.replace('_', '-')}/"


@pytest.fixture(params=PAGES, ids=lambda page: page.key)
def path(request):
    return path_of(request.param)


def test_it_is_accessible_and_fits_at_every_width_light_and_dark(visit, path, screens):
    visitor = visit("admin")
    assert visitor.open(path) == 200
    look_at(visitor, path, screens)


def test_it_shows_each_role_what_is_theirs(visit):
    for role in ROLES:
        visitor = visit(role)
        for page in PAGES:
            expected = 200 if may(role, f"{page.key}.index") else 403
            assert (page.key, visitor.open(path_of(page))) == (page.key, expected)
        refused = [page for page in PAGES if not may(role, f"{page.key}.index")]
        # A refusal is told on the console by Chromium itself.
        assert len(visitor.complaints) == len(refused)
        visitor.complaints.clear()


def test_further_places_are_accessible_and_fit(visit, site, screens):
    visitor = visit("admin")
    for place in site.filled:
        assert (place, visitor.open(place)) == (place, 200)
        look_at(visitor, place, screens)


def test_the_door_is_accessible_and_fits(visit, screens):
    visitor = visit(None)
    assert visitor.open("/admin/sign-in") == 200
    look_at(visitor, "/admin/sign-in", screens)


def test_it_is_small(visit, path):
    visitor = visit("admin")
    sizes = []
    visitor.page.on("response", lambda answer: sizes.append(int(answer.headers.get("content-length", 0))))
    visitor.open(path)
    assert 0 < sum(sizes) < MOST_BYTES


def look_at(visitor, path, screens):
    name = path.removeprefix("/admin").strip("/").replace("/", "-") or "home"
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width in WIDTHS:
            visitor.page.set_viewport_size({"width": width, "height": HEIGHT})
            assert not visitor.is_too_wide(), f"{path} scrolls sideways at {width} px"
            if screens:
                visitor.page.screenshot(path=screens / f"{name}-{width}-{scheme}.png", full_page=True)
            # All colours and both layouts are seen, each once: an axe run costs as much as a page.
            if (scheme, width) in {("light", 1280), ("dark", 360)}:
                assert visitor.violations() == [], f"{path} at {width} px, {scheme}"
