"""Templates: each save a version, nothing saved that could not be sent."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.domain.rendering import Variable
from app.domain.templates.findings import Level
from app.domain.vocabulary import Channel
from app.errors import Invalid, NotFound
from app.services.template_desk import TemplateDesk
from app.services.template_views import Name
from app.services.templates import TemplateDraft, TemplateService
from tests.accepting import WHO, email


@pytest.fixture
def desk(place):
    return TemplateDesk(place.engine)


@pytest.fixture
def templates(place):
    return TemplateService(place.engine, place.catalog)


def draft(**changes) -> TemplateDraft:
    wanted = {"name": "Welcome", "subject": "Hello {{ name }}", "body_html": "<b>{{ name }}</b>"}
    return TemplateDraft(**wanted | changes)


def saved(templates, *, slug="welcome", channel=Channel.EMAIL, locale=None, activate=True, **changes):
    return templates.save(WHO, slug, channel, draft(**changes), locale=locale, activate=activate)


def faults_of(templates, **changes) -> set[str]:
    with pytest.raises(Invalid) as caught:
        saved(templates, **changes)
    return {fault.field for fault in caught.value.faults}


def test_each_save_is_the_next_version(templates):
    assert [saved(templates, subject=f"Hello {n}").version for n in (1, 2, 3)] == [1, 2, 3]


def test_a_saved_version_never_changes(templates):
    saved(templates)
    saved(templates, subject="Other")
    first = templates.versions("welcome", Channel.EMAIL).items[-1]
    assert (first.version, first.subject, first.is_active) == (1, "Hello {{ name }}", False)


def test_locales_are_templates_of_their_own(templates):
    saved(templates)
    assert saved(templates, locale="de").version == 1


def test_saves_at_once_get_numbers_of_their_own(templates):
    with ThreadPoolExecutor(8) as threads:
        versions = sorted(threads.map(lambda _: saved(templates).version, range(8)))
    assert versions == list(range(1, 9))


def test_variables_are_derived_where_none_are_declared(templates):
    version = saved(templates, body_html="{% for item in items %}{{ item }}{% endfor %}")
    assert [(variable.name, variable.required) for variable in version.variables] == [
        ("items", True),
        ("name", True),
    ]


def test_declared_variables_are_kept(templates):
    variables = (Variable(name="name", required=False, default="you", example="Ann"),)
    assert saved(templates, variables=variables).variables == variables


def test_what_is_used_must_be_declared(templates):
    assert faults_of(templates, variables=()) == {"variables.name"}


def test_what_does_not_compile_is_named_by_its_part(templates):
    assert faults_of(templates, subject="{{ name", body_html="{% if %}") == {"subject", "body_html"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slug": "Welcome!"}, "slug"),
        ({"locale": "de_DE"}, "locale"),
        ({"subject": None}, "subject"),
        ({"body_html": None}, "body_text"),
        ({"channel": Channel.SMS, "body_text": "x"}, "body_html"),
        ({"body_text": "a\x00"}, "body_text"),
    ],
)
def test_templates_that_cannot_be_are_refused(templates, changes, field):
    assert faults_of(templates, **changes) == {field}


def test_what_is_refused_leaves_nothing(templates):
    faults_of(templates, subject=None)
    assert templates.list().items == ()


def test_an_activated_version_is_what_new_messages_get_at_once(templates, place):
    saved(templates, body_html="one")
    place.service.send(place.caller, to_welcome())
    saved(templates, body_html="two")
    place.service.send(place.caller, to_welcome())
    assert place.all("SELECT template_version FROM message_queue ORDER BY id") == [(1,), (2,)]


def to_welcome():
    return email(template="welcome", subject=None, body_text=None, data={"name": "Ann"})


def test_a_version_may_be_saved_without_being_used(templates):
    saved(templates)
    saved(templates, activate=False)
    view = templates.get("welcome", Channel.EMAIL)
    assert (view.active_version, view.latest_version, view.active.version) == (1, 2, 1)


def test_an_older_version_can_be_activated_again(templates):
    saved(templates)
    saved(templates)
    assert templates.activate(WHO, "welcome", Channel.EMAIL, 1).active_version == 1


def test_a_version_that_is_none_cannot_be_activated(templates):
    saved(templates)
    with pytest.raises(NotFound):
        templates.activate(WHO, "welcome", Channel.EMAIL, 2)


def test_a_retired_template_takes_no_new_message(templates, place):
    saved(templates)
    templates.retire(WHO, "welcome", Channel.EMAIL)
    with pytest.raises(Invalid, match="template"):
        place.service.send(place.caller, to_welcome())


@pytest.mark.parametrize("call", ["get", "versions"])
def test_an_unknown_template_is_not_found(templates, call):
    with pytest.raises(NotFound):
        getattr(templates, call)("unknown", Channel.EMAIL)


def test_an_unknown_template_has_no_preview(desk):
    with pytest.raises(NotFound):
        desk.preview("unknown", Channel.EMAIL, {})


def test_templates_come_in_pages(templates):
    for slug, locale in (("b", None), ("a", "de"), ("a", None), ("c", None)):
        saved(templates, slug=slug, locale=locale)
    first = templates.list(limit=2)
    second = templates.list(limit=2, cursor=first.next)
    assert [(view.slug, view.locale) for view in (*first.items, *second.items)] == [
        ("a", None),
        ("a", "de"),
        ("b", None),
        ("c", None),
    ]
    assert second.next is None


def test_versions_come_in_pages_newest_first(templates):
    for _ in range(3):
        saved(templates)
    first = templates.versions("welcome", Channel.EMAIL, limit=2)
    second = templates.versions("welcome", Channel.EMAIL, limit=2, cursor=first.next)
    assert [version.version for version in (*first.items, *second.items)] == [3, 2, 1]


def test_a_preview_escapes_html_and_leaves_the_subject(templates, desk):
    saved(templates)
    content = desk.preview("welcome", Channel.EMAIL, {"name": "<i>"})
    assert (content.subject, content.html) == ("Hello <i>", "<b>&lt;i&gt;</b>")


def test_examples_stand_in_for_a_previews_missing_data(templates, desk):
    saved(templates, variables=(Variable(name="name", example="Ann"),))
    assert desk.preview("welcome", Channel.EMAIL, {}, fill=True).subject == "Hello Ann"


def test_a_preview_without_data_names_what_is_missing(templates, desk):
    saved(templates)
    with pytest.raises(Invalid, match=r"data\.name"):
        desk.preview("welcome", Channel.EMAIL, {})


def test_a_draft_is_previewed_without_being_saved(templates, desk):
    assert desk.preview_draft(draft(), {"name": "Ann"}).subject == "Hello Ann"
    assert templates.list().items == ()


def test_changes_are_logged(templates, place):
    saved(templates)
    templates.activate(WHO, "welcome", Channel.EMAIL, 1)
    templates.retire(WHO, "welcome", Channel.EMAIL)
    assert place.all("SELECT action, target FROM audit_log WHERE action LIKE 'template%' ORDER BY id") == [
        ("template.save", "template:email/welcome"),
        ("template.activate", "template:email/welcome"),
        ("template.retire", "template:email/welcome"),
    ]


def newly_needed(templates, desk, **changes) -> tuple[str, ...]:
    """Save a version that is not used yet, and tell what messages would have to bring with it."""
    made = saved(templates, activate=False, **changes)
    return desk.check(Name("welcome", Channel.EMAIL, None), made.version).newly_needed


def test_what_a_version_needs_and_the_one_in_use_does_not_is_a_warning(templates, desk):
    saved(templates)
    assert newly_needed(templates, desk, body_html="<b>{{ nmae }}</b>") == ("nmae",)
    found = desk.check(Name("welcome", Channel.EMAIL, None), 2).findings
    assert {each.level for each in found if each.place == "variables.nmae"} >= {Level.WARNING}


@pytest.mark.parametrize("harmless", [{"required": False}, {"default": "you"}])
def test_what_messages_may_leave_out_is_not_newly_needed(templates, desk, harmless):
    saved(templates, subject="Hello", body_html="<b>Hello</b>")
    variables = (Variable(name="name", **harmless),)
    assert newly_needed(templates, desk, variables=variables) == ()


def test_what_could_be_left_out_till_now_is_newly_needed(templates, desk):
    saved(templates, variables=(Variable(name="name", required=False),))
    assert newly_needed(templates, desk) == ("name",)


def test_where_no_version_is_in_use_nothing_is_newly_needed(templates, desk):
    assert newly_needed(templates, desk) == ()
    saved(templates, subject="Hello", body_html="<b>Hello</b>")
    templates.retire(WHO, "welcome", Channel.EMAIL)
    assert newly_needed(templates, desk) == ()


def test_a_draft_is_held_against_the_version_in_use(templates, desk):
    saved(templates)
    other = draft(body_html="<b>{{ nmae }}</b>")
    assert desk.check_draft(Channel.EMAIL, other, slug="welcome").newly_needed == ("nmae",)
    assert desk.check_draft(Channel.EMAIL, other, slug="unheard-of").newly_needed == ()


def test_what_was_declared_by_itself_and_is_used_no_more_is_dropped(desk):
    declared = (Variable(name="nmae", type="any"), Variable(name="city", type="any", example="Bern"))
    completed = desk.completed(Channel.EMAIL, draft(variables=declared))
    assert [each.name for each in completed.variables] == ["city", "name"]
