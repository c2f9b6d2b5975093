"""What buttons do to templates: activate, restore, retire, protect, rebuild, send a test."""

from collections.abc import Mapping, Sequence

from admin import people
from admin.actions import Action, Preview, Question, Wish
from admin.answers import link, message_links, told
from admin.template_names import LABELS, Chosen, chosen, editor_of, of_new_needs, page_of
from app.bootstrap import App
from app.domain.templates.building import Kind
from app.domain.templates.findings import Level
from app.domain.vocabulary import MessageType
from app.services.template_trials import MOST_ADDRESSES, MOST_AN_HOUR, Trial
from app.services.template_views import Name

_TYPES = [(kind.value, kind.value) for kind in MessageType]


class TemplateActions:
    """The actions of the pages about templates, each for one thing."""

    def __init__(self, app: App) -> None:
        self._app = app

    def all(self) -> Mapping[str, Action]:
        """Give the actions by name."""
        actions = (
            Action(name="activate", label="Activate", preview=self._to_activate, apply=self._activate),
            Action(name="restore", label="Restore", preview=self._to_restore, apply=self._restore),
            Action(name="retire", label="Retire", preview=self._to_retire, apply=self._retire, danger=True),
            Action(
                name="protect",
                label="Ask for a second person",
                preview=self._to_protect,
                apply=self._protect,
            ),
            Action(
                name="unprotect",
                label="One person is enough",
                preview=self._to_unprotect,
                apply=self._unprotect,
            ),
            Action(name="rebuild", label="Rebuild", preview=self._to_rebuild, apply=self._rebuild),
            Action(
                name="rebuild_all",
                label="Rebuild its templates",
                preview=self._to_rebuild_all,
                apply=self._rebuild_all,
                questions=_whether_active,
            ),
            Action(
                name="test",
                label="Send a test",
                preview=self._to_test,
                apply=self._test,
                questions=self._where_to,
                needs_reason=False,
            ),
        )
        return {action.name: action for action in actions}

    def _to_activate(self, wish: Wish) -> Preview:
        name, version = _one(wish)
        view = self._app.templates.get(name.slug, name.channel, locale=name.locale, kind=name.kind)
        report = self._app.template_desk.check(name, version)
        errors = [each.message for each in report.findings if each.level is Level.ERROR]
        saved = self._app.templates.version(name, _number(version))
        if view.second_person and saved.created_by == people.who().actor:
            return Preview(
                question=f"You saved version {version}: a second person must activate it.", possible=False
            )
        if errors:
            return Preview(
                question=f"Version {version} has errors and cannot be activated.",
                facts=[("Error", message) for message in errors],
                possible=False,
            )
        now = f"version {view.active_version}" if view.active_version and view.is_active else "none"
        return Preview(
            question=f"Activate version {version} of {name.slug}?",
            facts=(
                ("In use now", now),
                ("Saved by", saved.created_by),
                ("Warnings", str(sum(each.level is Level.WARNING for each in report.findings))),
            ),
            warning=" ".join(filter(None, (of_new_needs(report.newly_needed), _EFFECT[name.kind]))),
        )

    def _activate(self, wish: Wish) -> str:
        name, version = _one(wish)
        self._app.templates.activate(
            wish.who,
            name.slug,
            name.channel,
            _number(version),
            locale=name.locale,
            kind=name.kind,
            why=wish.why,
        )
        return told("{} is active.", _link(name, version))

    def _to_restore(self, wish: Wish) -> Preview:
        name, version = _one(wish)
        return Preview(
            question=f"Save version {version} of {name.slug} again as the newest?",
            warning="It is exactly as it was, its layout and partials too. It is not active until somebody "
            "activates it.",
        )

    def _restore(self, wish: Wish) -> str:
        name, version = _one(wish)
        made = self._app.templates.restore(wish.who, name, _number(version), why=wish.why)
        return told("Version {} was saved again as {}.", version, _link(name, made.version))

    def _to_retire(self, wish: Wish) -> Preview:
        name, _ = _one(wish)
        facts = []
        if name.kind is not Kind.TEMPLATE:
            count = len(self._app.template_rebuilding.dependents(name))
            facts.append(("Templates that have it", str(count)))
        return Preview(
            question=f"Retire the {LABELS[name.kind].lower()} {name.slug}?",
            facts=facts,
            warning="Nothing new can use it. What was accepted or saved with it stays as it is, and "
            "activating a version brings it back.",
        )

    def _retire(self, wish: Wish) -> str:
        name, _ = _one(wish)
        self._app.templates.retire(
            wish.who, name.slug, name.channel, locale=name.locale, kind=name.kind, why=wish.why
        )
        return told("{} is retired.", _link(name))

    def _to_protect(self, wish: Wish) -> Preview:
        name, _ = _one(wish)
        return Preview(
            question=f"Ask for a second person for {name.slug}?",
            warning="Whoever saves a version may not activate it. Only an administrator can take this back.",
        )

    def _protect(self, wish: Wish) -> str:
        name, _ = _one(wish)
        self._app.templates.protect(wish.who, name, second_person=True, why=wish.why)
        return told("Versions of {} are activated by a second person from now on.", _link(name))

    def _to_unprotect(self, wish: Wish) -> Preview:
        name, _ = _one(wish)
        is_everywhere = self._app.settings.template_second_person
        return Preview(
            question=f"Let one person alone activate versions of {name.slug}?",
            warning="The setting TEMPLATE_SECOND_PERSON asks for two everywhere." if is_everywhere else "",
        )

    def _unprotect(self, wish: Wish) -> str:
        name, _ = _one(wish)
        self._app.templates.protect(wish.who, name, second_person=False, why=wish.why)
        return told("One person can activate versions of {}.", _link(name))

    def _to_rebuild(self, wish: Wish) -> Preview:
        name, _ = _one(wish)
        view = self._app.templates.get(name.slug, name.channel, locale=name.locale, kind=name.kind)
        return Preview(
            question=f"Save {name.slug} again with the layouts and partials that are in use now?",
            facts=(("Made of", f"version {view.active_version}"),),
            warning="The new version is not active until somebody activates it.",
            possible=view.active_version is not None,
        )

    def _rebuild(self, wish: Wish) -> str:
        name, _ = _one(wish)
        made = self._app.template_rebuilding.rebuild(wish.who, name, why=wish.why)
        return told("{} has the newest layouts and partials. Activate it.", _link(name, made.version))

    def _to_rebuild_all(self, wish: Wish) -> Preview:
        name, _ = _one(wish)
        found = self._app.template_rebuilding.dependents(name)
        return Preview(
            question=f"Rebuild all templates that have the {LABELS[name.kind].lower()} {name.slug}?",
            facts=(("Templates", str(len(found))),),
            possible=bool(found),
        )

    def _rebuild_all(self, wish: Wish) -> str:
        name, _ = _one(wish)
        made = self._app.template_rebuilding.rebuild_dependents(
            wish.who, name, activate=wish.said.get("activate") == "yes", why=wish.why
        )
        failed = [f"{each.slug}: {each.error}" for each in made if each.error]
        active = sum(each.is_active for each in made)
        rebuilt = f"{len(made) - len(failed)} templates rebuilt, {active} of them active"
        said = told("{}: those with {}.", rebuilt, _link(name))
        return told("{} Not rebuilt: {}", said, "; ".join(failed)) if failed else said

    def _to_test(self, wish: Wish) -> Preview:
        name, version = _one(wish)
        example = self._app.template_desk.preview(
            name.slug, name.channel, {}, locale=name.locale, version=version, fill=True
        )
        made_up = ", ".join(example.made_up)
        editor = link("the editor", editor_of(name, version=version))
        return Preview(
            question=f"Send version {version} of {name.slug} as a test?",
            facts=(
                ("Goes", "the way of every message, by P4; somebody suppressed gets nothing"),
                ("Filled in with", "the examples of its variables"),
                ("At most", f"{MOST_ADDRESSES} addresses, {MOST_AN_HOUR} tests an hour"),
            ),
            warning=told("Give these an example first, in {}: {}.", editor, made_up) if made_up else "",
            possible=not made_up,
        )

    def _where_to(self, wish: Wish) -> Sequence[Question]:
        name, _ = _one(wish)
        view = self._app.templates.get(name.slug, name.channel, locale=name.locale)
        return (
            Question(name="to", label="To", hint="One address or number, or some with commas between"),
            Question(
                name="message_type",
                label="As",
                choices=_TYPES,
                value=view.message_type or MessageType.TRANSACTIONAL.value,
                hint="Chooses the sender and the rules of suppression",
            ),
        )

    def _test(self, wish: Wish) -> str:
        name, version = _one(wish)
        to = tuple(each.strip() for each in wish.said.get("to", "").split(",") if each.strip())
        trial = Trial(
            to=to, version=version, message_type=MessageType(wish.said.get("message_type", "transactional"))
        )
        sent = self._app.template_trials.send(wish.who, name, trial)
        fates = [f"{each.status}{f' ({each.reason})' if each.reason else ''}" for each in sent]
        where = message_links(each.uuid for each in sent)
        return told("{} sent as a test, {}: {}.", len(sent), where, ", ".join(fates))


_EFFECT = {
    Kind.TEMPLATE: "New messages get it within two seconds. Messages accepted before keep theirs.",
    Kind.LAYOUT: "Templates saved from now on get it. Those that are there keep theirs until rebuilt.",
    Kind.PARTIAL: "Templates saved from now on get it. Those that are there keep theirs until rebuilt.",
}


def _whether_active(_wish: Wish) -> Sequence[Question]:
    choices = (("no", "save them, and look at each"), ("yes", "save and activate them"))
    return (Question(name="activate", label="Then", choices=choices, value="no"),)


def _one(wish: Wish) -> Chosen:
    return chosen(wish.selected[0])


def _link(name: Name, version: int | None = None) -> str:
    """Lead to a thing, or to one version of it."""
    if version is None:
        return link(name.slug, page_of(name))
    return link(f"Version {version} of {name.slug}", page_of(name, version=version))


def _number(version: int | None) -> int:
    return version or 0
