"""Who asks: an API client by one of its keys, or a person or process of our own."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Somebody whose request is served. `scopes` are what the key allows; see `SCOPES`."""

    client_id: int
    name: str
    scopes: frozenset[str]
    key_id: int | None = None

    def may(self, scope: str) -> bool:
        """Tell whether this caller holds the scope."""
        return scope in self.scopes


SCOPES = {
    "messages:send": "send messages of the caller's own types at their own priority",
    "messages:read": "read and search messages and batches",
    "messages:p0": "send emergencies (P0)",
    "messages:priority": "give a message another priority than its type's",
    "messages:gateway": "name the gateway a message goes through",
    "messages:replay": "send again what was not sent, decide about what may have been",
    "templates:read": "read templates",
    "templates:write": "write templates and send tests",
    "suppressions:read": "read the suppression list",
    "suppressions:write": "add, import and release suppressions",
    "senders:write": "write sender identities",
    "devices:read": "read devices and topics",
    "devices:write": "register devices, write topics and who follows them",
    "prices:write": "write what gateways ask for sending",
    "gateways:write": "order, weigh, drain, disable, trip and test gateways",
    "limits:write": "write rate limits",
    "emergency:use": "stop and resume sending, switch providers",
    "diagnostics:read": "read diagnostics and statistics",
    "admin": "manage clients, keys and users",
}
