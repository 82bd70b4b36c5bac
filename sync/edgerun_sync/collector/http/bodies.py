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


class Allowances:
    """How many bytes of bodies callers have under way: whoever sends many at once, slowly, would fill the memory.

    Args:
        max_bytes: of one caller.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._taken: dict[str, int] = {}

    def take(self, caller: str, count: int) -> None:
        """Count bytes that have come.

        Raises:
            RefusedError: 429: these are too many.
        """
        taken = self._taken.get(caller, 0) + count
        if taken > self._max_bytes:
            raise RefusedError(429, "too-much", "too much is under way at once; send one body after the other", 1)
        self._taken[caller] = taken

    def give_back(self, caller: str, count: int) -> None:
        """Count bytes that were dealt with."""
        self._taken[caller] -= count
        if not self._taken[caller]:
            del self._taken[caller]


class Share:
    """What one request has taken of its caller's allowance; it gives that back at its end.

    Args:
        allowances: of all callers.
        caller: whose request it is.
    """

    def __init__(self, allowances: Allowances, caller: str) -> None:
        self._allowances, self._caller, self._count = allowances, caller, 0

    def take(self, count: int) -> None:
        """Count bytes that have come.

        Raises:
            RefusedError: 429: these are too many.
        """
        self._allowances.take(self._caller, count)
        self._count += count

    def end(self) -> None:
        """Give all back."""
        if self._count:
            self._allowances.give_back(self._caller, self._count)
            self._count = 0


def declared_bytes(request: Request) -> float:
    """Return how many bytes a request says that its body has; infinitely many where it does not."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() and len(declared) < 20 else math.inf


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """Return a request's body.

    Args:
        request: whose; where its caller is known, its state has a Share.
        max_bytes: that it may have.
        timeout_s: that it may take to come.

    Raises:
        RefusedError: 413, 408, 415, 429 or 400: it is too large, too slow, encoded, one of too many, or broke off,
            which nobody is told.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise RefusedError(415, "encoded", f"send the body as it is, without Content-Encoding {encoding[:40]!r}")
    if max_bytes < declared_bytes(request) < math.inf:
        raise _too_large(max_bytes)
    body = bytearray()
    share: Share | None = getattr(request.state, "share", None)
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.stream():
                if share is not None:
                    share.take(len(piece))
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
