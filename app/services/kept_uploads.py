"""Files that wait for a person's next step, for an hour at most, where all processes can see them."""

import base64
import secrets
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import orjson
import redis

from app.db.redis import translated
from app.errors import NotFound

KEPT = timedelta(hours=1)

_CHUNK = 64 * 1024
_TOKEN = 16  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptUpload:
    """A file with its name, and what was said in the form beside it."""

    token: str
    name: str
    said: Mapping[str, str]
    content: bytes

    def chunks(self) -> Iterator[bytes]:
        """Give the file in pieces."""
        for start in range(0, len(self.content), _CHUNK):
            yield self.content[start : start + _CHUNK]


class UploadShelf:
    """Keeps one file for each person; a later one takes its place. Raises Unavailable without Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, owner: int, name: str, said: Mapping[str, str], content: bytes) -> str:
        """Keep a file; gives the token that it is asked for by."""
        token = secrets.token_urlsafe(_TOKEN)
        fields = {
            "token": token,
            "name": name,
            "said": dict(said),
            "content": base64.b64encode(zlib.compress(content, 1)).decode(),
        }
        with translated():
            self._client.set(_key(owner), orjson.dumps(fields), ex=KEPT)
        return token

    def get(self, owner: int, token: str) -> KeptUpload:
        """Give a person's own file; raises NotFound where it is gone, or was another."""
        with translated():
            text = self._client.get(_key(owner))
        found = orjson.loads(text) if text else {}
        if not secrets.compare_digest(found.get("token", "").encode(), token.encode()):
            raise NotFound("this file is no longer kept: upload it again")
        content = zlib.decompress(base64.b64decode(found["content"]))
        return KeptUpload(token=token, name=found["name"], said=found["said"], content=content)


def _key(owner: int) -> str:
    return f"console:upload:{owner}"
