"""The page Topics: what there is, who follows it, and no token whole."""

import pytest
import sqlalchemy as sa

from app.db.tables import device_tokens, topic_members, topics
from app.services import topics as service

TOKEN = "a-whole-token-of-somebody-x1y2"


@pytest.fixture
def put(app):
    """Gives a function that makes a topic that so many devices follow."""

    def insert(name, followers=0, state="subscribed", error=None):
        with app.engine.begin() as conn:
            topic = conn.execute(sa.insert(topics).values(name=name).returning(topics.c.id)).scalar_one()
            for number in range(followers):
                device = {"token": f"{name}{number}{TOKEN}", "platform": "fcm", "recipient_id": 4711 + number}
                made = sa.insert(device_tokens).values(device).returning(device_tokens.c.id)
                member = {"topic_id": topic, "state": state, "error": error}
                conn.execute(sa.insert(topic_members).values(device_id=conn.scalar(made), **member))

    return insert


def test_topics_are_listed_with_how_many_follow_and_found_by_their_beginning(as_role, put):
    put("spring", followers=3)
    put("summer_sale")
    browser = as_role("viewer")
    page = browser.get("/admin/topics/").text
    assert page.index("/admin/topics/one/spring") < page.index("/admin/topics/one/summer_sale")
    assert '<td data-label="Devices" class="num">3</td>' in page
    found = browser.get("/admin/topics/?name=sum").text
    assert ("one/summer_sale" in found, "one/spring" in found) == (True, False)
    assert "No topic is called so." in browser.get("/admin/topics/?name=s%25").text


def test_one_shows_who_follows_it_and_whether_fcm_knows(as_role, put):
    put("spring", followers=1, state="subscribing", error="INTERNAL")
    page = as_role("viewer").get("/admin/topics/one/spring").text
    assert 'href="/admin/devices/?recipient=4711"' in page
    assert "FCM is to be told" in page
    assert "INTERNAL" in page
    assert "…x1y2" in page
    assert TOKEN not in page


def test_members_are_counted_no_further_than_they_must(as_role, app, put, monkeypatch):
    monkeypatch.setattr(service, "COUNTED", 2)
    put("spring", followers=3)
    put("summer", followers=2)
    views = {view.name: view for view in app.topics.list().items}
    assert [(view.members, view.at_least) for view in views.values()] == [(2, True), (2, False)]
    assert views["spring"].changed_at is None
    assert views["summer"].changed_at is not None
    assert ">2+</td>" in as_role("viewer").get("/admin/topics/").text


def test_pages_of_members_follow_each_other(as_role, put, monkeypatch):
    monkeypatch.setattr("admin.pages.topics.PAGE", 2)
    put("spring", followers=3)
    browser = as_role("viewer")
    first = browser.get("/admin/topics/one/spring").text
    following = first.partition('" rel="next"')[0].rpartition('href="')[2]
    second = browser.get(following.replace("&amp;", "&")).text
    assert [page.count('data-label="Recipient"') for page in (first, second)] == [2, 1]
    wrong = browser.get("/admin/topics/one/spring?after=nonsense")
    assert (wrong.status_code, "Begin again" in wrong.text) == (400, True)


def test_a_topic_that_is_not_there_is_404(as_role):
    assert as_role("viewer").get("/admin/topics/one/none").status_code == 404
