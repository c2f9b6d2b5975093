"""Topics: what devices follow, and whether FCM knows of it."""

from collections.abc import Mapping

from flask import request
from flask.typing import ResponseReturnValue

from admin.lists import PAGE, Empty, Filter, Found, ListPage
from admin.page import expose
from app.errors import Invalid
from app.services.topics import COUNTED

# Tones and words of a membership's state, as badges have them.
_BADGES = {
    "subscribed": ("active", "follows"),
    "subscribing": ("waiting", "FCM is to be told"),
}


class TopicsPage(ListPage):
    """All topics by name. Apps and modules make and fill them by the API."""

    key = "topics"
    title = "Topics"
    template = "topics/list.html"
    filters = (Filter(name="name", label="Name", hint="how it begins", wide=True),)
    empty = Empty(
        says="There is no topic.",
        todo="POST /v1/topics makes one; devices follow it by POST /v1/topics/<name>/subscribe.",
    )
    empty_filtered = Empty(says="No topic is called so.", todo="A name is found by its beginning.")
    badges = _BADGES
    counted = COUNTED

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        page = self.app.topics.list(beginning=wanted.get("name", ""), cursor=after, limit=limit)
        return Found(rows=page.items, after=page.next)

    @expose("/one/<path:topic>")
    def one(self, topic: str) -> ResponseReturnValue:
        """Show who follows one, a page at a time, by when their devices were registered."""
        view = self.app.topics.get(topic)
        after = request.args.get("after") or None
        try:
            members = self.app.topics.members(topic, cursor=after, limit=PAGE)
        except Invalid:
            return self.show("topics/one.html", topic=view, members=None, after=after), 400
        return self.show("topics/one.html", topic=view, members=members, after=after)
