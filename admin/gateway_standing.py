"""How gateways stand, in the words of questions: the same as beside them in their list."""

from collections.abc import Sequence

from app.domain.condition import Condition
from app.services.gateways import GatewayView

_WORDS = {
    Condition.OPEN: "breaker open",
    Condition.HALF_OPEN: "breaker half open",
    Condition.UNTRIED: "not tried",
}


def standing(others: Sequence[GatewayView]) -> list[tuple[str, str]]:
    """Tell how each other one of the channel stands, those that are no choice in one line."""
    configured = [(f"Besides: {each.gateway}", stands(each)) for each in others if each.credentials]
    without = ", ".join(each.gateway for each in others if not each.credentials)
    return [*configured, *([("Without credentials", without)] if without else [])]


def stands(view: GatewayView) -> str:
    """Say how a gateway stands, with the reason."""
    if not view.credentials:
        return "no credentials"
    if not view.enabled:
        return f"disabled by {view.disabled_by}: {view.disabled_why}"
    if view.drained:
        return f"drained by {view.drained_by}: {view.drained_why}"
    words = _WORDS.get(view.condition, view.condition.value)
    return f"{words}: {view.condition_reason}" if view.condition_reason else words


def does_well(view: GatewayView) -> bool:
    """Tell whether it is in use and nothing speaks against it."""
    return view.credentials and view.enabled and not view.drained and view.is_healthy
