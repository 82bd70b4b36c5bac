"""HTTP to the service. The one module that knows the HTTP library; it follows no redirect and trusts no other name.

A token goes to the address that the device was enrolled at and nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import requests

from edgerun_sync.errors import UnreachableError, WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ANSWER_MAX_BYTES = 2**20
PIECE_BYTES = 16 * 2**10
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Answer(NamedTuple):
    """What the service answered."""

    status: int
    """Of HTTP."""

    headers: Mapping[str, str]
    """By name; case does not matter."""

    body: bytes
    """All of it."""


class Http:
    """A connection to one service.

    Args:
        url: where it is: ``https://HOST[:PORT][/PATH]``; ``http://`` to this machine only.
        ca_file: a PEM file of the authorities to trust in place of the system's.
        timeout_s: seconds without a byte after which a connection counts as broken.
        bytes_per_s: that bodies may take; None for all there is.
        sleep: how to wait.

    Raises:
        WireError: the URL is none of that kind.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: str | None = None,
        timeout_s: float = 30.0,
        bytes_per_s: int | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        is_local = parts.hostname in _LOOPBACK
        if not parts.hostname or parts.scheme not in ({"https", "http"} if is_local else {"https"}) or parts.username:
            raise WireError(f"{url!r} must be https://HOST[:PORT], without a user; http:// is for this machine only")
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._pace = None if bytes_per_s is None else _Pace(bytes_per_s, sleep)
        self._session = requests.Session()
        self._session.trust_env = not is_local
        self._session.verify = ca_file or True
        self._session.headers.update({"User-Agent": "edgerun", "Accept-Encoding": "identity"})

    def send(
        self, method: str, path: str, *, token: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request.

        Args:
            method: of HTTP.
            path: below the service's URL, with its slash.
            token: who asks.
            body: what is sent.
            headers: besides the token's.

        Raises:
            UnreachableError: there was no answer, or none that can be read.
        """
        given = {"Authorization": f"Bearer {token}", **(headers or {})}
        data = body if body is None or self._pace is None else _PacedBody(body, self._pace)
        try:
            with self._session.request(
                method,
                self.url + path,
                data=data,
                headers=given,
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                content = response.raw.read(ANSWER_MAX_BYTES + 1, decode_content=False)
                answer = Answer(response.status_code, response.headers, content)
        except (requests.RequestException, OSError) as error:
            raise UnreachableError(f"{self.url} does not answer: {_plain(error)}") from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "urllib3":  # what reading the raw body raises
                raise
            raise UnreachableError(f"{self.url}: the answer broke off: {_plain(error)}") from error
        if len(content) > ANSWER_MAX_BYTES:
            raise UnreachableError(f"{self.url} answers more than {ANSWER_MAX_BYTES} bytes")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


class _Pace:
    """Bytes a second, over all bodies of a connection."""

    def __init__(self, bytes_per_s: int, sleep: Callable[[float], object]) -> None:
        self._bytes_per_s, self._sleep = bytes_per_s, sleep
        self._free_at = time.monotonic()

    def take(self, count: int) -> None:
        ahead_s = self._free_at - time.monotonic()
        if ahead_s > 0:
            self._sleep(ahead_s)
        self._free_at = max(self._free_at, time.monotonic()) + count / self._bytes_per_s


class _PacedBody:
    """A body that is read no faster than it may go."""

    def __init__(self, body: bytes, pace: _Pace) -> None:
        self._body, self._pace, self._at = body, pace, 0

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(PIECE_BYTES):
            yield piece

    def read(self, count: int = -1) -> bytes:
        piece = self._body[self._at : self._at + (PIECE_BYTES if count < 0 else min(count, PIECE_BYTES))]
        self._pace.take(len(piece))
        self._at += len(piece)
        return piece


class WatchedSession(requests.Session):
    """A session of the HTTP library, for another library that sends by one and does not tell all that comes of it.

    Attributes:
        outcome: of the last request: a response, or what was raised.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outcome: requests.Response | Exception | None = None

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """See requests.Session; no redirect is followed."""
        try:
            self.outcome = found = super().request(*args, **{**kwargs, "allow_redirects": False})
        except Exception as error:
            self.outcome = error
            raise
        return found


def content_digest(body: bytes) -> str:
    """Return the value of a body's Content-Digest (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def _plain(error: BaseException) -> str:
    """The innermost reason, in a line: the library wraps one in the other."""
    inner = [getattr(error, "reason", None), *error.args]
    wrapped = next((reason for reason in inner if isinstance(reason, BaseException) and reason is not error), None)
    return _plain(wrapped) if wrapped is not None else " ".join(str(error).split())[:300]
