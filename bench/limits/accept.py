"""The limit of accept: our server with as many threads, in front of an empty Flask view."""

from flask import Flask, Response

from app import settings as config
from app.api.server import serve
from app.api.shares import threads


def make() -> Flask:
    """Make an application that reads nothing and knows nothing."""
    flask = Flask("empty", static_folder=None)

    @flask.post("/v1/messages")
    def empty() -> Response:
        return Response(b"{}", status=202, content_type="application/json")

    return flask


def main() -> None:
    """Serve until told to stop."""
    settings = config.load()
    serve(make, settings.host, settings.port, threads=threads(settings))


if __name__ == "__main__":
    main()
