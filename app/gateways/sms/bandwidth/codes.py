"""Bandwidth's error codes, as failed messages carry them, in our words."""

from collections.abc import Iterable

from app.gateways.sms.endings import (
    BAD_CONTENT,
    FAILED_SOMEHOW,
    HARD_BOUNCE,
    MAY_WORK_LATER,
    MISCONFIGURED,
    OPTED_OUT,
    SOFT_BOUNCE,
    TOO_FAST,
    UNDECIDED,
    Ending,
)


def _each(codes: Iterable[int], ending: Ending) -> dict[int, Ending]:
    return dict.fromkeys(codes, ending)


_ENDINGS: dict[int, Ending] = {
    # A recipient whom Bandwidth or the carrier blocks for this sender: narrower than a hard bounce.
    **_each((4482, 4772, 4775), OPTED_OUT),
    **_each((4303, 4350, 4404, 4406, 4408, 4434, 4492, 4700, 4720, 4721, 4753, 4790), HARD_BOUNCE),
    **_each((4701, 4702, 4730, 4750), SOFT_BOUNCE),
    **_each((4001, 4302, 4401, 4403, 4405, 4407, 4409, 4420, 4421, 4431, 4432, 4433), MISCONFIGURED),
    **_each((4451, 4452, 4481, 4493, 4740, 4773, 4774, 4791, 4792, 4793, 4795), MISCONFIGURED),
    **_each((4301, 4360, 4410, 4411, 4412, 4435, 4470, 4711, 4712, 4751, 4752), BAD_CONTENT),
    **_each((4770, 4771), BAD_CONTENT),
    **_each((4780, 4781, 4785, 5600), TOO_FAST),
    **_each((*range(5100, 5300), 5500, 5501, 5999), MAY_WORK_LATER),
    **_each((9902, 9999), UNDECIDED),
}

# The carrier's own failures: a second copy may arrive beside the first, so there is one more try at most.
_ONCE_MORE = frozenset({5610, 5620, 5630, 5650})


def ending_of(code: int, attempt: int | None) -> Ending:
    """Tell what a code means for the try with this number; None where it is not known which try it was."""
    if code in _ONCE_MORE:
        return MAY_WORK_LATER if attempt == 1 else FAILED_SOMEHOW
    return _ENDINGS.get(code, FAILED_SOMEHOW)
