"""Users: who may sign in, as what, and how they are shut out."""

from collections.abc import Mapping
from functools import partial

from flask import request, url_for
from flask.typing import ResponseReturnValue

from admin import people
from admin.actions import Action, Once, Preview, Question, Wish
from admin.answers import link, told
from admin.lists import Empty, Found, ListPage
from admin.page import expose
from admin.rights import Role
from app.errors import Conflict, Invalid, NotFound
from app.services import passwords, users
from app.services.users import UserView

_ROLES = tuple((role.value, role.value) for role in Role)
_ONCE = "It is shown this once. Give it to them by a safe way; it has to be changed at the first sign-in."


class UsersPage(ListPage):
    """People of the console. Their number is small: all are shown at once."""

    key = "users"
    title = "Users"
    template = "users/list.html"
    empty = Empty(says="Nobody may sign in.", todo="Make the first one", link="/admin/users/new")

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to somebody."""
        asks = partial(Action, preview=self._preview)
        return {
            "set_role": asks(
                name="set_role", label="Change role", apply=self._set_role, questions=self._ask_role
            ),
            "deactivate": asks(name="deactivate", label="Shut out", apply=self._deactivate, danger=True),
            "activate": asks(name="activate", label="Let in again", apply=self._activate),
            "unlock": asks(name="unlock", label="Unlock", apply=self._unlock),
            "sign_out": asks(name="sign_out", label="Sign out everywhere", apply=self._sign_out),
            "reset_password": asks(
                name="reset_password", label="New password", apply=self._reset_password, danger=True
            ),
            "reset_second_factor": asks(
                name="reset_second_factor",
                label="Remove second factor",
                apply=self._reset_second_factor,
                danger=True,
            ),
        }

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:  # noqa: ARG002 - All are shown.
        found = users.list_users(self.app.engine)
        return Found(
            rows=[(user, self.app.second_factor.is_on(user.id), self._is_locked(user)) for user in found],
            total=f"{len(found):,}",
        )

    @expose("/new")
    def new(self) -> str:
        """Ask who it is to be."""
        return self._form()

    @expose("/new", methods=("POST",))
    def create(self) -> ResponseReturnValue:
        """Make a user with a password that is shown this once."""
        password = passwords.generated()
        said = request.form
        try:
            user = users.create_user(
                self.app.engine,
                people.who(),
                said.get("email", ""),
                role=said.get("role", ""),
                name=said.get("name", "").strip(),
                password=password,
                must_change_password=True,
            )
        except Invalid as exc:
            return self._form({fault.field: fault.message for fault in exc.faults}), 422
        except Conflict as exc:
            return self._form({"email": str(exc)}), 409
        made = Once(says=f"The password of {user.email}", secret=password, todo=_ONCE)
        return self.once(made, url_for("users.index"))

    def _form(self, faults: Mapping[str, str] | None = None) -> str:
        return self.show("users/new.html", faults=faults or {}, roles=_ROLES, said=request.form)

    def _preview(self, wish: Wish) -> Preview:
        user = self._selected(wish)
        open_sessions = len(self.app.sessions.of(user.id, now=people.now()))
        return Preview(
            question=user.name or user.email,
            facts=(
                ("Email", user.email),
                ("Role", user.role),
                ("Signed in at", f"{open_sessions} places, which end by most of this"),
            ),
            warning="This is you." if user.id == people.person().signed.user_id else "",
        )

    def _ask_role(self, wish: Wish) -> tuple[Question, ...]:
        return (Question(name="role", label="Role", choices=_ROLES, value=self._selected(wish).role),)

    def _set_role(self, wish: Wish) -> str:
        user_id = self._selected(wish).id
        role = wish.said.get("role", "")
        user = users.set_role(self.app.engine, wish.who, user_id, role, why=wish.why, now=people.now())
        return told("{} is {} now, and has to sign in again.", _link(user), user.role)

    def _deactivate(self, wish: Wish) -> str:
        return told("{} is shut out and signed out everywhere.", self._set_active(wish, active=False))

    def _activate(self, wish: Wish) -> str:
        return told("{} may sign in again.", self._set_active(wish, active=True))

    def _set_active(self, wish: Wish, *, active: bool) -> str:
        user_id = self._selected(wish).id
        changed = users.set_active(
            self.app.engine, wish.who, user_id, active=active, why=wish.why, now=people.now()
        )
        return _link(changed)

    def _unlock(self, wish: Wish) -> str:
        user = users.unlock(self.app.engine, wish.who, self._selected(wish).id, why=wish.why)
        return told("{} may try again.", _link(user))

    def _sign_out(self, wish: Wish) -> str:
        user = self._selected(wish)
        ended = users.sign_out_everywhere(self.app.engine, wish.who, user.id, why=wish.why, now=people.now())
        return told("{} is signed out of {} places.", _link(user), ended)

    def _reset_password(self, wish: Wish) -> Once:
        user = self._selected(wish)
        password = passwords.reset(self.app.engine, wish.who, user.id, why=wish.why, now=people.now())
        return Once(says=f"The new password of {user.email}", secret=password, todo=_ONCE)

    def _reset_second_factor(self, wish: Wish) -> str:
        user = self._selected(wish)
        self.app.second_factor.remove(wish.who, user.id, why=wish.why)
        return told("The password alone opens the console to {} now.", _link(user))

    def _selected(self, wish: Wish) -> UserView:
        if len(wish.selected) != 1 or not wish.selected[0].isdecimal():
            raise NotFound("There is no such user.")
        return users.user_of(self.app.engine, int(wish.selected[0]))

    def _is_locked(self, user: UserView) -> bool:
        return user.locked_until is not None and user.locked_until > people.now()


def _link(user: UserView) -> str:
    return link(user.email, url_for("users.index", _anchor=f"row-{user.id}"))
