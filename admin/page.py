"""What all pages of the console share: their frame, their actions, who looks at them."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import BaseView
from flask_admin import expose as flask_admin_expose

from admin import people
from admin.actions import Action, Once, Question, Wish
from app.bootstrap import App
from app.errors import Conflict, Invalid, NoGateway, NotFound

MOST_SELECTED = 1000
LONGEST_REASON = 500

_NO_FAULTS: Mapping[str, str] = MappingProxyType({})

_View = TypeVar("_View", bound=Callable[..., ResponseReturnValue])


def expose(url: str, methods: Sequence[str] = ("GET",)) -> Callable[[_View], _View]:
    """Serve the method below at `url`, which stands behind its page's; its right is "<key>.<its name>"."""
    found: Callable[[_View], _View] = flask_admin_expose(url, methods)
    return found


class Page(BaseView):  # type: ignore[misc] # Flask-Admin is typed in parts only.
    """A page of the console with its views.

    `key` names it in URLs (/admin/<key>/), endpoints ("<key>.index") and the table of rights; `title` is for
    people. `actions` become buttons, whose rights are named "<key>.<action>".
    """

    key: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, app: App) -> None:
        super().__init__(name=self.title, endpoint=self.key, url=f"/admin/{self.path}")
        self.app = app

    @property
    def path(self) -> str:
        """Where it is below /admin."""
        return self.key.replace("_", "-")

    @property
    def actions(self) -> Mapping[str, Action]:
        """The page's actions by name."""
        return {}

    def show(self, template: str, **values: Any) -> str:
        """Render a template with what every page has."""
        return str(self.render(template, page=self, **values))

    def back(self, _wish: Wish) -> str:
        """Tell where to go after an action."""
        return request.form.get("back_to") or url_for(f"{self.key}.index")

    @expose("/do/<action>", methods=("POST",))
    def do(self, action: str) -> ResponseReturnValue:
        """Show what an action would do, or do it where that was confirmed."""
        found = self.actions.get(action)
        if found is None:
            abort(404)
        wish = wished()
        if not wish.selected:
            flash("Nothing was selected. Tick some rows first.", "warning")
            return redirect(safe(self.back(wish)))
        if "confirmed" not in request.form:
            return self._confirm(found, wish)
        faults = _faults(found, wish)
        return (self._confirm(found, wish, faults), 422) if faults else self._apply(found, wish)

    def _confirm(self, action: Action, wish: Wish, faults: Mapping[str, str] = _NO_FAULTS) -> str:
        return self.show(
            "console/confirm.html",
            action=action,
            wish=wish,
            preview=action.preview(wish),
            questions=action.questions(wish),
            faults=faults,
            back=safe(self.back(wish)),
        )

    def _apply(self, action: Action, wish: Wish) -> ResponseReturnValue:
        try:
            done = action.apply(wish)
            if isinstance(done, Once):
                return self.once(done, safe(self.back(wish)))
            flash(done, "success")
        except Invalid as exc:
            return self._confirm(action, wish, {fault.field: fault.message for fault in exc.faults}), 422
        except (Conflict, NotFound, NoGateway) as exc:
            flash(str(exc), "danger")
        return redirect(safe(self.back(wish)))

    def once(self, made: Once, back: str) -> ResponseReturnValue:
        """Show what cannot be shown again; nothing on the way may keep it."""
        return self.show("console/once.html", made=made, back=back), {"Cache-Control": "no-store"}

    def _run_view(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        # Flask-Admin calls a view once more where it raises TypeError, which would hide faults of ours.
        return fn(self, *args, **kwargs)

    def may(self, name: str) -> bool:
        """Tell whether who is signed in may use a view or an action of this page."""
        return people.is_signed_in() and people.person().may(f"{self.key}.{name}")

    @property
    def allowed(self) -> bool:
        """Tell whether the menu shows the page."""
        return self.may("index")


def wished() -> Wish:
    """Read from the form what somebody asks for; 413 for too much at once."""
    selected = tuple(dict.fromkeys(request.form.getlist("selected")))
    if len(selected) > MOST_SELECTED:
        abort(413)
    reserved = {"csrf_token", "selected", "why", "confirmed", "back_to"}
    said = {name: value for name, value in request.form.items() if name not in reserved}
    return Wish(who=people.who(), selected=selected, why=request.form.get("why", "").strip(), said=said)


def safe(target: str | None) -> str:
    """Give a target back that stays in the console, else the home page."""
    if target and target.startswith("/admin") and not any(char in target for char in "\\\r\n\t"):
        return target
    return url_for("home.index")


def _faults(action: Action, wish: Wish) -> dict[str, str]:
    """Tell what is missing or cannot be, by the names of the questions."""
    found = {each.name: fault for each in action.questions(wish) if (fault := _fault(each, wish))}
    if action.needs_reason and not wish.why:
        found["why"] = "Say why: the audit log keeps it, and whoever comes next will ask."
    elif len(wish.why) > LONGEST_REASON:
        found["why"] = f"The reason may have {LONGEST_REASON} characters at most."
    return found


def _fault(question: Question, wish: Wish) -> str:
    answer = wish.said.get(question.name, "").strip()
    if not answer:
        return "Still to be filled in." if question.required else ""
    if question.choices and answer not in dict(question.choices):
        return "Must be one of those in the list."
    if question.kind == "number" and not (answer.isascii() and answer.isdecimal()):
        return "Must be a whole number, 0 or more."
    return ""
