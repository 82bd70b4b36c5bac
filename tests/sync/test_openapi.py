"""The service and its own description: whatever schemathesis makes up, the answer is one that the document names."""

from __future__ import annotations

import base64
import hashlib

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from edgerun_sync.collector.credentials import Role
from edgerun_sync.collector.http.openapi import openapi_document
from edgerun_sync.names import SEGMENT_TYPE
from support.collector import collecting
from support.publishers import founded, team

OPERATIONS = sorted(
    (method, path) for path, item in openapi_document()["paths"].items() for method in item if method != "parameters"
)
EXAMPLES = 25
BLOB = bytes(range(256))
CONFORMS = [
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        founded(folder / "repository", team())
    with collecting(folder=folder) as found:
        path = f"/v1/repository/blobs/sha256/{sha256(BLOB)}"
        assert found.ask("PUT", path, found.token(Role.PUBLISH), data=BLOB).status_code == 201
        yield found


def sha256(body):
    return hashlib.sha256(body).hexdigest()


@pytest.fixture(scope="module")
def schema(collector):
    return schemathesis.openapi.from_dict(openapi_document())


def token_for(collector, path):
    """One that gets in, so that what lies behind the door is tried."""
    if path.startswith("/v1/devices/{device}/"):
        return None
    role = Role.ENROLL if path == "/v1/enroll" else Role.ADMIN
    return collector.token(role, **({"uses": 10**6} if role is Role.ENROLL else {}))


def send(collector, case, token, device):
    parameters = {**(case.path_parameters or {}), **({"device": device[0]} if device else {})}
    case.path_parameters = parameters
    hexadecimal, body = parameters.get("hex", ""), case.body
    if case.method != "PUT" and hexadecimal[:1].isdecimal():  # or else no blob would ever be there
        parameters["hex"] = sha256(BLOB)
    elif "hex" in parameters and isinstance(body, bytes) and hexadecimal[:1].isdecimal():
        parameters["hex"] = sha256(body)
    arguments = case.as_transport_kwargs(base_url=collector.url)
    headers = {**(arguments.pop("headers", None) or {}), "Authorization": f"Bearer {device[1] if device else token}"}
    if "segments" in case.path and isinstance(arguments.get("data"), bytes):
        digest = base64.b64encode(hashlib.sha256(arguments["data"]).digest()).decode()
        headers["Content-Digest"] = f"sha-256=:{digest}:"
    return requests.request(**arguments, headers=headers, timeout=30)


@schemathesis.serializer(SEGMENT_TYPE, "application/octet-stream")
def as_it_is(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_one_that_the_document_names(collector, schema, method, path, monkeypatch):
    monkeypatch.setattr("edgerun_sync.collector.http.rates.Rates.take", lambda self, caller: None)
    operation = schema[path][method.upper()]
    token = token_for(collector, path)
    name = f"pump-{OPERATIONS.index((method, path))}"
    device = (name, collector.device(name)) if token is None else None

    @seed(8)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(case=operation.as_strategy())
    def behaves(case):
        case.validate_response(send(collector, case, token, device), checks=[not_a_server_error, *CONFORMS])

    behaves()
