"""A repository behind a web server. The one module of the device that knows the HTTP libraries.

It follows no redirect, so a token goes to no other server, and it never waits for long: a connection that brings too
little in a span of time is cut from beside, for a server that sends a byte now and then could hold a client for ever.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from edgerun.errors import UpdateError
from edgerun.update.source import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_ABSENT = frozenset({403, 404, 410})
"""What servers say of a file that is not there; object stores say 403."""

_WHOLE, _PART = 200, 206
_UNKNOWN = 401
_RANGE = re.compile(r"bytes (\d{1,18})-")


class Pace(NamedTuple):
    """How slow a server may be."""

    connect_s: float = 10.0
    """To connect."""

    silence_s: float = 30.0
    """Between two bytes."""

    span_s: float = 60.0
    """The span in which `span_bytes` must come."""

    span_bytes: int = 4096
    """What must come in each span that an answer takes; the slowest radio brings more."""


PACE = Pace()


class Web:
    """A repository behind a web server.

    Args:
        url: ``http://`` or ``https://`` and the repository's folder.
        ca_file: certificates in PEM that may vouch for the server, instead of those that the system trusts.
        pace: how slow it may be.
        token: what tells the server who asks; by default it is asked as nobody.

    Raises:
        UpdateError: ``ca_file`` is no file, or the token would go to another machine in the clear.
    """

    def __init__(self, url: str, ca_file: str | None = None, pace: Pace = PACE, *, token: str | None = None) -> None:
        if ca_file is not None and not os.path.isfile(ca_file):
            raise UpdateError(f"{ca_file} is no file of certificates")
        is_here = urlsplit(url).hostname in _HERE
        if token is not None and not is_here and urlsplit(url).scheme != "https":
            raise UpdateError(f"{url} would get this device's token in the clear; it must be https://")
        self.where = url.rstrip("/")
        self._pace = pace
        self._verify: str | bool = ca_file or True
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._session = requests.Session()
        # a proxy would see what is meant for this machine alone
        self._session.trust_env = not is_here
        self._auth = _nobody if token is None else _Bearer(token)
        self._session.headers.clear()
        self._session.headers.update({"User-Agent": "edgerun", "Accept-Encoding": "identity"})
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(self._connections))

    def open(self, path: str, offset: int = 0) -> Iterator[bytes] | None:
        """Give the bytes of a file from an offset on, in pieces; None where it is not there.

        Raises:
            UpdateError: now or while they are read: it cannot be reached, is too slow, or answers with something else.
        """
        url = f"{self.where}/{path}"
        watch = _Watch(self._pace, self._connections)
        watch.start()
        try:
            response = self._ask(url, offset)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            watch.stop()
            raise UpdateError(f"{url} cannot be reached: {_reason(error, watch)}") from error
        try:
            is_there = _is_there(response, url, offset)
        except UpdateError:
            watch.stop()
            response.close()
            raise
        if not is_there:
            _leave(response)
            watch.stop()
            return None
        return _pieces(response, watch, url, offset if response.status_code == _WHOLE else 0)

    def _ask(self, url: str, offset: int) -> requests.Response:
        return self._session.get(
            url,
            headers={"Range": f"bytes={offset}-"} if offset else {},
            auth=self._auth,
            timeout=(self._pace.connect_s, self._pace.silence_s),
            verify=self._verify,
            stream=True,
            allow_redirects=False,
        )

    def close(self) -> None:
        """Let go of all connections."""
        self._session.close()


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authenticate as nobody: the library would look into ~/.netrc."""
    return request


class _Bearer:
    """Authenticates by a token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _is_there(response: requests.Response, url: str, offset: int) -> bool:
    status = response.status_code
    if status in _ABSENT:
        return False
    if status == _UNKNOWN:
        raise UpdateError(
            f"{url} does not take this device's token (HTTP 401); if it was enrolled, run: edgerun agent --once"
        )
    if 300 <= status < 400:
        raise UpdateError(f"{url} leads elsewhere (HTTP {status}), which is not followed; join with the real address")
    if status not in {_WHOLE, _PART} or (status == _PART and not offset):
        raise UpdateError(f"{url} answers HTTP {status}; try again later")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise UpdateError(f"{url} is sent compressed, which nobody asked for; have the server send files as they are")
    if status == _PART:
        part = _RANGE.match(response.headers.get("Content-Range", ""))
        if part is None or int(part[1]) != offset:
            raise UpdateError(f"{url} sends another part than was asked for; have the server mended")
    return True


def _leave(response: requests.Response) -> None:
    """Leave an answer so that its connection can serve the next request, where little is left of it."""
    with contextlib.suppress(requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError):
        if int(response.headers.get("Content-Length", PIECE_BYTES)) < PIECE_BYTES:
            response.raw.drain_conn()
    response.close()


def _pieces(response: requests.Response, watch: _Watch, url: str, skip: int) -> Iterator[bytes]:
    """Yield the body as it comes, without its first bytes where the server sent them unasked."""
    try:
        while piece := response.raw.read1(PIECE_BYTES):
            watch.saw(len(piece))
            skipped = min(skip, len(piece))
            skip -= skipped
            if skipped < len(piece):
                yield piece[skipped:]
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise UpdateError(f"{url} broke off: {_reason(error, watch)}") from error
    finally:
        watch.stop()
        response.close()
    if watch.is_slow:
        raise UpdateError(f"{url} broke off: {_reason(None, watch)}")


def _reason(error: Exception | None, watch: _Watch) -> str:
    if watch.is_slow:
        return f"less than {watch.pace.span_bytes} bytes came in {watch.pace.span_s:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted, or it does not speak TLS"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        return "no answer in time"
    return "the connection failed"


class _Watch:
    """Cuts the connections where too little comes in a span of time."""

    def __init__(self, pace: Pace, connections: weakref.WeakSet[Any]) -> None:
        self.pace, self.is_slow = pace, False
        self._connections = connections
        self._seen = 0
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        self._timer = threading.Timer(self.pace.span_s, self._look)
        self._timer.daemon = True
        self._timer.start()

    def saw(self, count: int) -> None:
        self._seen += count

    def stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _look(self) -> None:
        if self._timer is None:
            return
        if self._seen >= self.pace.span_bytes:
            self._seen = 0
            self.start()
            return
        self.is_slow = True
        for connection in [*self._connections]:
            with contextlib.suppress(OSError, AttributeError):  # it is closed, or about to be opened
                connection.sock.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Connects as the library does, and notes each connection."""

    def __init__(self, connections: weakref.WeakSet[Any]) -> None:
        self._connections = connections
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _noting(self._connections)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _noting(self._connections)
        return manager


def _noting(connections: weakref.WeakSet[Any]) -> dict[str, Any]:
    """Return the library's pools, by scheme, which note every connection that they make."""

    def noted(pool: Any) -> type:
        def make(*args: Any, **kwargs: Any) -> Any:
            made = pool.ConnectionCls(*args, **kwargs)
            connections.add(made)
            return made

        return type(pool.__name__, (pool,), {"ConnectionCls": staticmethod(make)})

    return {"http": noted(urllib3.HTTPConnectionPool), "https": noted(urllib3.HTTPSConnectionPool)}
