"""The OpenAPI document of the collector: what each route takes and answers."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun_sync.collector.documents import schemas
from edgerun_sync.limits import LIMITS
from edgerun_sync.names import DEVICE, SEGMENT, SEGMENT_TYPE

_PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_DEVICE = {
    "name": "device",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": f"^{DEVICE}$"},
}
_SEGMENT = {
    "name": "segment",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": f"^{SEGMENT}$"},
}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_FILE = {
    "name": "file",
    "in": "path",
    "required": True,
    "schema": {
        "type": "string",
        "pattern": r"^(timestamp|[1-9][0-9]{0,9}\.(root|targets|snapshot|"
        r"(bundle|channel)-[a-z0-9][a-z0-9._-]{0,63}))\.json$",
    },
}
_HEX = {"name": "hex", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}
_REFUSALS = {
    401: "no token, or one that is worth nothing",
    403: "a token of another role or device",
    404: "there is no such thing",
    408: "the body came too slowly",
    409: "the name is taken by something else",
    412: "the condition does not hold: the name is taken, or somebody else has published meanwhile",
    413: "the body is too large",
    415: "the body is of another type, or encoded",
    422: "the body is not what it should be",
    429: "too many requests; wait as Retry-After says",
    503: "the store does not answer; wait as Retry-After says",
}


def _operation(
    summary: str,
    answers: dict[int, tuple[str, str | None]],
    *,
    body: str | None = None,
    refusals: tuple[int, ...] = (401, 403, 422, 429, 503),
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {"description": _REFUSALS[status], "content": _PROBLEM} for status in refusals
    }
    for status, (description, schema) in answers.items():
        responses[str(status)] = {"description": description}
        if schema is not None:
            content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
            responses[str(status)]["content"] = content
    found: dict[str, Any] = {"summary": summary, "responses": responses}
    if body is not None:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{body}"}}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _put_segment() -> dict[str, Any]:
    answers: dict[int, tuple[str, str | None]] = {201: ("stored durably", None), 200: ("it was stored before", None)}
    operation = _operation("Land a sealed segment.", answers, refusals=(401, 403, 408, 409, 413, 415, 422, 429, 503))
    body = {"type": "string", "format": "binary", "maxLength": LIMITS.segment_max_bytes}
    operation["requestBody"] = {"required": True, "content": {SEGMENT_TYPE: {"schema": body}}}
    digest = {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"}
    operation["parameters"] = [
        {"name": "If-None-Match", "in": "header", "required": True, "schema": {"type": "string", "enum": ["*"]}},
        {"name": "Content-Digest", "in": "header", "required": True, "schema": digest},
    ]
    return operation


def _header(name: str, pattern: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string", "pattern": pattern}}


def _get_file(summary: str, media_type: str, *, has_ranges: bool) -> dict[str, Any]:
    answers: dict[int, tuple[str, str | None]] = {
        200: ("the file", None),
        304: ("it is the one of If-None-Match", None),
    }
    if has_ranges:
        answers |= {206: ("a part of it", None), 416: ("it has no such part", None)}
    operation = _operation(summary, answers, refusals=(401, 404, 429, 503))
    is_json = media_type == "application/json"
    file = {"schema": {"type": "object"} if is_json else {"type": "string", "format": "binary"}}
    for status in {200, 206} & answers.keys():
        operation["responses"][str(status)]["content"] = {media_type: file}
    operation["parameters"] = [_header("If-None-Match", '^"[0-9a-f]{64}"$')]
    if has_ranges:
        operation["parameters"].append(_header("Range", "^bytes=[0-9]{0,18}-[0-9]{0,18}$"))
    return operation


def _head_file(summary: str, get: dict[str, Any]) -> dict[str, Any]:
    """What GET answers, without the file; a file that is not there is said without a reason, too."""
    said = {"Allow": "what the token may do", "Upload-Offset": "to a publisher, the bytes of it that are there"}
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in said.items()}
    responses = dict(get["responses"])
    responses["404"] = {"description": _REFUSALS[404], "headers": headers}
    return {**get, "summary": summary, "responses": responses}


def _put_file(
    summary: str, answers: dict[int, tuple[str, str | None]], refused: int, max_bytes: int, *headers: dict[str, Any]
) -> dict[str, Any]:
    operation = _operation(summary, answers, refusals=(401, 403, 404, 408, refused, 413, 415, 422, 429, 503))
    body = {"type": "string", "format": "binary", "maxLength": max_bytes}
    operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": body}}}
    operation["parameters"] = [*headers]
    return operation


def _repository_paths() -> dict[str, Any]:
    etag, span = '^"[0-9a-f]{64}"$', r"^bytes ([0-9]{1,18}-[0-9]{1,18}|\*)/[0-9]{1,18}$"
    put_metadata = _put_file(
        "Make a file of metadata; publish by timestamp.json.",
        {201: ("made", None), 204: ("published", None)}, 412, DEVICE_LIMITS.metadata_max_bytes,
        _header("If-Match", etag), _header("If-None-Match", r"^\*$"),
    )  # fmt: skip
    put_blob = _put_file(
        "Send a blob, or a part of one.",
        {201: ("it is whole and in its place", None), 202: ("Upload-Offset says how much is there", None)},
        409, LIMITS.upload_part_max_bytes, _header("Content-Range", span),
    )  # fmt: skip
    get_metadata = _get_file("A file of metadata.", "application/json", has_ranges=False)
    get_blob = _get_file("A blob.", "application/octet-stream", has_ranges=True)
    return {
        "/v1/repository/metadata/{file}": {
            "parameters": [_FILE],
            "get": get_metadata,
            "head": _head_file("Whether there is one, and what the token may do.", get_metadata),
            "put": put_metadata,
        },
        "/v1/repository/blobs/sha256/{hex}": {
            "parameters": [_HEX],
            "get": get_blob,
            "head": _head_file("Whether there is one, and how much of it.", get_blob),
            "put": put_blob,
        },
    }


def _open_to_all(summary: str, answer: str, refusals: tuple[int, ...] = ()) -> dict[str, Any]:
    return {"get": {**_operation(summary, {200: (answer, None)}, refusals=refusals), "security": []}}


@cache
def openapi_document() -> dict[str, Any]:
    """Return the document, OpenAPI 3.1."""
    sent = (401, 403, 408, 413, 415, 422, 429, 503)
    enrol = _operation(
        "Trade an enrolment token.", {201: ("enrolled", "Enrolled")}, body="Enrol", refusals=(*sent, 409)
    )
    list_devices = _operation("How every device was last.", {200: ("devices", None)}, refusals=(401, 403, 429, 503))
    revoke = (401, 403, 404, 422, 429, 503)
    revoke_device = _operation("Refuse a device from now on.", {204: ("revoked", None)}, refusals=revoke)
    rotate = _operation("Make the device's next token.", {201: ("the next token", "Token")})
    check_in = _operation("Say how a device is.", {200: ("taken down", "CheckedIn")}, body="CheckIn", refusals=sent)
    issue = _operation("Make a token.", {201: ("told once", "Token")}, body="IssueToken", refusals=sent)
    revoke_token = _operation("Refuse a token from now on.", {204: ("revoked", None)}, refusals=revoke)
    paths = {
        "/healthz": _open_to_all("Whether the process lives.", "it does"),
        "/readyz": _open_to_all("Whether the store answers.", "it does", (503,)),
        "/metrics": _open_to_all("Counters, for Prometheus.", "counters", (503,)),
        "/openapi.json": _open_to_all("This document.", "the document"),
        "/v1/enroll": {"post": enrol},
        "/v1/devices": {"get": list_devices},
        "/v1/devices/{device}": {"parameters": [_DEVICE], "delete": revoke_device},
        "/v1/devices/{device}/token": {"parameters": [_DEVICE], "post": rotate},
        "/v1/devices/{device}/checkin": {"parameters": [_DEVICE], "post": check_in},
        "/v1/devices/{device}/segments/{segment}": {"parameters": [_DEVICE, _SEGMENT], "put": _put_segment()},
        "/v1/tokens": {"post": issue},
        "/v1/tokens/{name}": {"parameters": [_NAME], "delete": revoke_token},
        **_repository_paths(),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "edgerun collector", "version": version("edgerun"), "description": "See sync/PROTOCOL.md."},
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": schemas(), "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }
