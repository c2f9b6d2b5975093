"""Every page of the menu: axe finds nothing, the console of the browser stays silent, nothing overflows."""

import pytest

from admin.menu import FURTHER, GROUPS
from tests.admin.browser.conftest import HEIGHT, WIDTHS

PAGES = [page for group in GROUPS for page in group.pages] + list(FURTHER)
MOST_BYTES = 300_000


def path_of(page) -> str:
    return "/admin/" if page.key == "home" else f"/admin/{page.key.replace('_', '-')}/"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.key)
def test_a_page_is_accessible_fits_every_width_and_is_small(visit, page, screens):
    visitor, sizes = visit("admin"), []
    visitor.page.on("response", lambda answer: sizes.append(int(answer.headers.get("content-length", 0))))
    assert visitor.open(path_of(page)) == 200
    assert 0 < sum(sizes) < MOST_BYTES
    look_at(visitor, path_of(page), screens)


def test_further_places_are_accessible_and_fit(visit, site, screens):
    visitor = visit("admin")
    for place in site.filled:
        assert (place, visitor.open(place)) == (place, 200)
        look_at(visitor, place, screens)


def test_the_door_is_accessible_and_fits(visit, screens):
    visitor = visit(None)
    assert visitor.open("/admin/sign-in") == 200
    look_at(visitor, "/admin/sign-in", screens)


def look_at(visitor, path, screens):
    name = path.removeprefix("/admin").partition("?")[0].strip("/").replace("/", "-") or "home"
    for width in WIDTHS:
        visitor.page.set_viewport_size({"width": width, "height": HEIGHT})
        assert not visitor.is_too_wide(), f"{path} scrolls sideways at {width} px"
        if screens:
            for scheme in ("dark", "light"):
                visitor.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                visitor.page.screenshot(path=screens / f"{name}-{width}-{scheme}.png", full_page=True)
    assert visitor.violations() == [], path
    # Another scheme is other colours, and another width other rows: only they are looked at again.
    visitor.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    visitor.page.set_viewport_size({"width": WIDTHS[0], "height": HEIGHT})
    assert visitor.violations("color-contrast", "label", "button-name", "link-name") == [], f"{path}, dark"
