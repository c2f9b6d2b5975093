"""The OpenAPI document is valid, and what the API does is what it says, for whatever one sends."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import hypothesis
import pytest
import schemathesis
from flask import Flask
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from app.api.application import RESOURCES, create_app
from app.api.openapi import document

DOCUMENT = document(RESOURCES, None)
# Reading it takes as long as a test, so it is read once.
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)


class Served:
    """What the operations of the schema are asked of: each test's own application."""

    app: Flask

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.app(environ, start_response)


SERVED = SCHEMA.app = Served()
OPERATIONS = [
    pytest.param(path, method, mode, id=f"{mode.value} {method} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, details in methods.items()
    for mode in GenerationMode
    # Where nothing is taken, nothing can be wrong.
    if mode.is_positive or details["parameters"] or "requestBody" in details
    # Forgery is tested by itself.
    if not path.startswith("/webhooks/")
]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]


def test_the_document_is_valid_openapi_3_1():
    validate(document(RESOURCES, "https://tocsin.example.com"))


def test_every_operation_has_a_summary_and_its_own_id():
    operations = [operation for resource in RESOURCES for operation in resource.operations]
    assert all(operation.summary for operation in operations)
    assert len({operation.name for operation in operations}) == len(operations)


@pytest.fixture
def ticking(app):
    """A system whose jobs run: without them it says by a 503 that nothing gets on, as it should."""
    with app.engine.begin() as conn:
        conn.exec_driver_sql(
            "INSERT INTO job_runs (job, slot, holder, started_at)"
            " VALUES ('dispatch urgent', now(), 'me', now() + interval '1 h')"
        )


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_answers_are_as_the_document_says(app, keys, path, method, mode):
    SERVED.app = create_app(app)
    operation = SCHEMA[path][method]

    # A query that is wrong may be right again once it is spelled in an address, a body not.
    checks = [*CHECKS, negative_data_rejection] if operation.body else CHECKS

    @hypothesis.settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def answers_well(case):
        case.call_and_validate(headers={"Authorization": f"Bearer {keys['everything']}"}, checks=checks)

    answers_well()
