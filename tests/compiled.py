"""What Flask compiles for each application, compiled once for all the applications of a run."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.routing import Rule


class CompiledTemplates(BytecodeCache):
    """Keeps templates of environments with the same options in memory."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._known.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._known[bucket.key, bucket.checksum] = bucket.code


@pytest.fixture(scope="session")
def compiled_templates() -> CompiledTemplates:
    """The console's templates, each compiled when it is first asked for."""
    return CompiledTemplates()


@pytest.fixture(scope="session", autouse=True)
def compiled_rules() -> Iterator[None]:
    """Have equal rules of URLs share the functions that werkzeug writes for them: 40 ms an application."""
    compiled: Callable[[Rule, bool], Any] = Rule._compile_builder
    known: dict[tuple[Any, ...], Any] = {}

    def compiled_once(rule: Rule, append_unknown: bool = True) -> Any:  # noqa: FBT001, FBT002 - werkzeug's.
        # A default is written into the function; the rule alone does not tell it.
        if rule.defaults:
            return compiled(rule, append_unknown)
        key = (rule.rule, *rule._trace, append_unknown)
        if key not in known:
            known[key] = compiled(rule, append_unknown)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compiled_once)
        yield
