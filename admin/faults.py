"""Error pages that say what to do, for everything that may go wrong in the console."""

from dataclasses import dataclass

import structlog
from flask import Flask, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from app import errors
from app.api.calls import REQUEST_ID

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Advice:
    """An error in words: what it is, and what to do about it."""

    status: int
    title: str
    todo: str


_STALE = Advice(
    400,
    "This page was open for too long",
    "Go back, load the page again and repeat what you did; nothing was changed.",
)
_BAD = Advice(400, "The request cannot be read", "Go back and try again; nothing was changed.")
_OUT = Advice(401, "You are signed out", "Sign in again.")
_FORBIDDEN = Advice(
    403,
    "Your role does not allow this",
    "Ask an administrator for another role; your own stands under Your account. Nothing was changed.",
)
_NOT_FOUND = Advice(
    404,
    "There is nothing here",
    "It may have been removed: finished messages are kept for some weeks only. Go on from the menu or search "
    "for it.",
)
_METHOD = Advice(405, "This address takes no such request", "Use the buttons of the page it belongs to.")
_CONFLICT = Advice(409, "Its state does not allow this", "Load the page again: somebody was quicker.")
_TOO_LARGE = Advice(413, "That is too much at once", "Select fewer rows, or upload a smaller file.")
_INVALID = Advice(422, "Something is not right in what was sent", "Go back and mend it; nothing was changed.")
_TOO_MANY = Advice(429, "Too many requests", "Wait a minute and try again.")
_INTERNAL = Advice(
    500,
    "Something went wrong on our side",
    "Try once more. If it stays, tell whoever runs Tocsin the number below: it finds the cause in the logs.",
)
_BUSY = Advice(
    503,
    "Too many people are looking at once",
    "The console has a share of the process, so that sending always goes first. Try again in a few seconds.",
)
_UNAVAILABLE = Advice(
    503,
    "The database or Redis cannot be reached",
    "Sending goes on as far as it can. Try again in a few seconds; `tocsin diagnose` tells what is down.",
)

_OF_ERROR: dict[type[BaseException], Advice] = {
    errors.Invalid: _INVALID,
    errors.Unauthenticated: _OUT,
    errors.Forbidden: _FORBIDDEN,
    errors.NotFound: _NOT_FOUND,
    errors.TooLarge: _TOO_LARGE,
    errors.Busy: _BUSY,
    errors.Refused: _CONFLICT,
    errors.Unavailable: _UNAVAILABLE,
    CSRFError: _STALE,
}
_OF_STATUS = {
    each.status: each for each in (_BAD, _OUT, _FORBIDDEN, _NOT_FOUND, _METHOD, _TOO_LARGE, _TOO_MANY, _BUSY)
}


def install(flask: Flask) -> None:
    """Answer every error with a page of ours."""
    flask.register_error_handler(Exception, _answer)


def advice_of(error: BaseException) -> Advice:
    """Find the words for an error."""
    known = next((_OF_ERROR[kind] for kind in type(error).__mro__ if kind in _OF_ERROR), None)
    if known is not None:
        return known
    if isinstance(error, HTTPException):
        return _OF_STATUS.get(error.code or 500, _BAD)
    return _INTERNAL


def _answer(error: Exception) -> tuple[str, int] | HTTPException:
    if isinstance(error, HTTPException) and (error.code or 500) < 400:  # noqa: PLR2004 - Redirects are no errors.
        return error
    advice = advice_of(error)
    if advice is _INTERNAL:
        log.error("unexpected error in the console", exc_info=error)
    detail = str(error) if isinstance(error, errors.Refused) else ""
    return render_template(
        "console/error.html", advice=advice, detail=detail, request_id=request.environ.get(REQUEST_ID, "")
    ), advice.status
