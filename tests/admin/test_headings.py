"""Each page has one heading of its own, which is not where it came from."""

import re

_HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)
_CRUMB = re.compile(r'class="crumb"><a [^>]*>(.*?)</a>', re.DOTALL)
_OTHERS = {"home.live", "audit.export", "signing_in.oidc_start", "static"}


def test_no_page_is_headed_by_the_page_above_it_or_twice(console, as_role):
    browser, looked = as_role("admin"), 0
    for rule in console.url_map.iter_rules():
        if "GET" not in rule.methods or rule.arguments or rule.endpoint in _OTHERS:
            continue
        answer = browser.get(rule.rule)
        if answer.status_code != 200 or answer.mimetype != "text/html":
            continue
        headings = _HEADING.findall(answer.text)
        assert len(headings) == 1, rule.rule
        assert headings[0] not in _CRUMB.findall(answer.text), rule.rule
        looked += 1
    assert looked > 20


def test_what_is_shown_once_is_headed_by_what_it_is(as_role):
    new = {"email": "carl@example.com", "role": "viewer"}
    assert _HEADING.findall(as_role("admin").post("/admin/users/new", new).text) == [
        "The password of carl@example.com"
    ]
