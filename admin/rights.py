"""Who may do what in the console: one table, asked before every view and every action.

A page's views are named "page.view", its actions "page.action". What is not in the table nobody may do, and
a test walks over every endpoint and action to find those that were forgotten.
"""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """As in the table `roles`."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"
    ADMIN = "admin"


EVERYONE = frozenset(Role)
OPERATORS = frozenset({Role.OPERATOR, Role.ADMIN})
EDITORS = frozenset({Role.EDITOR, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})

# These are reached without being signed in.
PUBLIC = frozenset(
    {
        "static",
        "bootstrap",
        "signing_in.form",
        "signing_in.password",
        "signing_in.code_form",
        "signing_in.code",
        "signing_in.oidc_start",
        "signing_in.oidc_return",
    }
)

# Reached also by somebody who has to change a password before anything else.
BEFORE_ALL_ELSE = frozenset({"account.password_form", "account.password", "account.sign_out"})

RIGHTS: Mapping[str, frozenset[Role]] = {
    "home.index": EVERYONE,
    "home.live": EVERYONE,
    "messages.index": EVERYONE,
    "messages.one": EVERYONE,
    "messages.open": OPERATORS,
    "messages.mail": OPERATORS,
    "messages.cancel": OPERATORS,
    "messages.replay": OPERATORS,
    "messages.mark_sent": OPERATORS,
    "messages.resend": OPERATORS,
    "messages.give_up": OPERATORS,
    "messages.suppress": OPERATORS,
    "batches.index": EVERYONE,
    "batches.one": EVERYONE,
    "batches.rejects": EVERYONE,
    "batches.pause": OPERATORS,
    "batches.resume": OPERATORS,
    "batches.cancel": OPERATORS,
    "batch_upload.index": OPERATORS,
    "batch_upload.take_in": OPERATORS,
    "batch_upload.columns": OPERATORS,
    "batch_upload.trial": OPERATORS,
    "batch_upload.send": OPERATORS,
    "suppressions.index": EVERYONE,
    "suppressions.one": EVERYONE,
    "suppressions.open": OPERATORS,
    "suppressions.new": OPERATORS,
    "suppressions.add": OPERATORS,
    "suppressions.import_form": OPERATORS,
    "suppressions.take_in": OPERATORS,
    "suppressions.export": OPERATORS,
    "suppressions.export_all": OPERATORS,
    "suppressions.release": OPERATORS,
    "devices.index": EVERYONE,
    "devices.deactivate": OPERATORS,
    "topics.index": EVERYONE,
    "topics.one": EVERYONE,
    "emergency.index": EVERYONE,
    "emergency.count": OPERATORS,
    "emergency.stop": OPERATORS,
    "emergency.resume": OPERATORS,
    "emergency.clear": OPERATORS,
    "emergency.undo": OPERATORS,
    "emergency.switch": OPERATORS,
    "emergency.reset_limits": OPERATORS,
    "dead_letters.index": EVERYONE,
    "dead_letters.replay": OPERATORS,
    "dead_letters.suppress": OPERATORS,
    "dead_letters.replay_all": OPERATORS,
    "unknown.index": EVERYONE,
    "unknown.mark_sent": OPERATORS,
    "unknown.resend": OPERATORS,
    "unknown.give_up": OPERATORS,
    "unknown.all_sent": OPERATORS,
    "unknown.all_again": OPERATORS,
    "unknown.all_up": OPERATORS,
    "gateways.index": EVERYONE,
    "gateways.switch": OPERATORS,
    "gateways.drain": OPERATORS,
    "gateways.undrain": OPERATORS,
    "gateways.disable": OPERATORS,
    "gateways.enable": OPERATORS,
    "gateways.trip": OPERATORS,
    "gateways.reset": OPERATORS,
    "gateways.weigh": OPERATORS,
    "gateways.test": OPERATORS,
    "limits.index": EVERYONE,
    "limits.edit": OPERATORS,
    "limits.save": OPERATORS,
    "limits.reset": OPERATORS,
    "limits.remove": OPERATORS,
    "limits.reset_all": OPERATORS,
    "limits.forget_pace": OPERATORS,
    "limits.lift": OPERATORS,
    "webhooks.index": EVERYONE,
    "webhooks.one": EVERYONE,
    "webhooks.open": OPERATORS,
    "webhooks.replay": OPERATORS,
    "webhooks.replay_failed": OPERATORS,
    "prices.index": EVERYONE,
    "prices.new": ADMINS,
    "prices.save": ADMINS,
    "prices.remove": ADMINS,
    "senders.index": EVERYONE,
    "senders.edit": ADMINS,
    "senders.save": ADMINS,
    "senders.retire": ADMINS,
    "diagnostics.index": EVERYONE,
    "diagnostics.one": EVERYONE,
    "diagnostics.run": OPERATORS,
    "users.index": ADMINS,
    "users.new": ADMINS,
    "users.create": ADMINS,
    "users.set_role": ADMINS,
    "users.deactivate": ADMINS,
    "users.activate": ADMINS,
    "users.unlock": ADMINS,
    "users.sign_out": ADMINS,
    "users.reset_password": ADMINS,
    "users.reset_second_factor": ADMINS,
    "clients.index": OPERATORS,
    "clients.create": ADMINS,
    "clients.new_key": ADMINS,
    "clients.make_key": ADMINS,
    "clients.rotate": ADMINS,
    "clients.revoke": ADMINS,
    "audit.index": OPERATORS,
    "audit.export": ADMINS,
    "templates.index": EVERYONE,
    "templates.one": EVERYONE,
    "templates.shown": EVERYONE,
    "templates.diff": EVERYONE,
    "templates.activate": EDITORS,
    "templates.restore": EDITORS,
    "templates.retire": EDITORS,
    "templates.protect": EDITORS,
    "templates.unprotect": ADMINS,
    "templates.rebuild": EDITORS,
    "templates.rebuild_all": EDITORS,
    "templates.test": EDITORS,
    "template_editor.index": EDITORS,
    "template_editor.edit": EDITORS,
    "template_editor.save": EDITORS,
    "template_editor.check": EDITORS,
    "template_editor.preview": EDITORS,
    "account.index": EVERYONE,
    "account.theme": EVERYONE,
    "account.password_form": EVERYONE,
    "account.password": EVERYONE,
    "account.sign_out": EVERYONE,
    "account.second_factor": EVERYONE,
    "account.second_factor_on": EVERYONE,
    "account.second_factor_off": EVERYONE,
    "account.end_session": EVERYONE,
    "account.end_others": EVERYONE,
}


def may(role: str, right: str) -> bool:
    """Tell whether somebody with that role may do what is named so."""
    return role in RIGHTS.get(right, frozenset())
