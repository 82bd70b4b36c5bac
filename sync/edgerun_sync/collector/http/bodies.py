"""Bodies of requests: read up to a limit and within a time, for whoever sends them is to be trusted with neither."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import re
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from edgerun_sync.errors import RefusedError

if TYPE_CHECKING:
    from starlette.requests import Request

_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*(?:$|,)")


def declared_bytes(request: Request) -> float:
    """Return how many bytes a request says that its body has; infinitely many where it does not."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() and len(declared) < 20 else math.inf


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """Return a request's body.

    Args:
        request: whose.
        max_bytes: that it may have.
        timeout_s: that it may take to come.

    Raises:
        RefusedError: 413, 408, 415 or 400: it is too large, too slow, encoded, or broke off, which nobody is told.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise RefusedError(415, "encoded", f"send the body as it is, without Content-Encoding {encoding[:40]!r}")
    if max_bytes < declared_bytes(request) < math.inf:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.stream():
                body += piece
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError as error:
        raise RefusedError(408, "too-slow", f"the body did not come within {timeout_s:g} s") from error
    except ClientDisconnect as error:
        raise RefusedError(400, "broken-off", "the connection broke off within the body") from error
    return bytes(body)


def read_digest(request: Request) -> str:
    """Return the SHA-256 that a request's Content-Digest names (RFC 9530), in hexadecimal.

    Raises:
        RefusedError: 422: it names none.
    """
    found = _DIGEST.search(request.headers.get("content-digest", ""))
    try:
        return base64.b64decode(found[1], validate=True).hex() if found else _no_digest()
    except binascii.Error:
        return _no_digest()


def _no_digest() -> str:
    raise RefusedError(422, "no-digest", "send the header Content-Digest: sha-256=:BASE64:")


def _too_large(max_bytes: int) -> RefusedError:
    return RefusedError(413, "too-large", f"the body is larger than {max_bytes} bytes")
