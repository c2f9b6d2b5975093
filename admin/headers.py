"""What every answer of the console tells a browser: nothing foreign, nothing inline, nothing kept."""

from flask import Flask, Response, request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ASSETS = frozenset({"static", "bootstrap"})
_YEAR = "public, max-age=31536000, immutable"


def install(flask: Flask, *, https: bool) -> None:
    """Set the headers on every answer, where the view did not set its own."""

    def complete(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("Content-Security-Policy", POLICY)
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        # Assets are named with their version; pages show people's data.
        is_asset = request.endpoint in ASSETS and "v" in request.args
        headers["Cache-Control"] = _YEAR if is_asset else "no-store"
        if https:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        return response

    flask.after_request(complete)
