"""The server under the application: uvicorn, on one socket, stopped by a signal or from another thread."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edgerun_sync.errors import CollectorError
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.applications import Starlette

BACKLOG = 2048
KEEP_ALIVE_S = 75
STOP_S = 8
"""How long requests that are under way may take when the server is told to stop."""
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux has it: says that what has come is to be acknowledged to the sender's TCP at once, this time."""


class _ImpatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 that hangs up on a connection which takes too long to say what it wants, or says too much of it."""

    def connection_made(self, transport: Any) -> None:
        """See HttpToolsProtocol."""
        super().connection_made(transport)
        self._is_in_head, self._head_bytes = True, 0
        self._patience = asyncio.get_running_loop().call_later(LIMITS.headers_timeout_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """See HttpToolsProtocol."""
        self._patience.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See HttpToolsProtocol."""
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._is_in_head else 0
        if self._head_bytes > LIMITS.head_max_bytes and not self.transport.is_closing():
            self.transport.close()
        cycle: Any = self.cycle
        if cycle is not None and cycle.more_body and not cycle.response_complete:
            self._acknowledge()

    def on_message_begin(self) -> None:
        """See HttpToolsProtocol."""
        super().on_message_begin()
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        """See HttpToolsProtocol. Only what comes before the headers' end counts, by whole pieces from the network."""
        super().on_headers_complete()
        self._is_in_head = False

    def _acknowledge(self) -> None:
        """Let the rest of a body come: Nagle's algorithm holds it back until what came is acknowledged.

        The kernel would wait 40 ms for an answer to send with it, and the answer waits for the body.
        """
        if _QUICKACK is not None and not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _give_up(self) -> None:
        said: object = self.cycle
        if said is None and not self.transport.is_closing():
            self.transport.close()


class Server:
    """Serves an application until it is told to stop.

    Args:
        application: what to serve.
        host: the address to listen at.
        port: likewise; 0 takes a free one.
        certificate: a PEM file, with its chain; None serves without TLS.
        key: its private key.

    Raises:
        CollectorError: nobody may listen there.
    """

    def __init__(
        self, application: Starlette, host: str, port: int, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        self._socket = _listening(host, port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        """Where it listens."""
        config = uvicorn.Config(
            application,
            http=_ImpatientProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            backlog=BACKLOG,
            limit_concurrency=LIMITS.connections_max,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_S,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until SIGINT, SIGTERM or `stop`."""
        gc.freeze()  # what is loaded stays: looking through it for garbage again and again takes time from requests
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Let requests under way end, and return from `run`; callable from any thread."""
        self._server.should_exit = True


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is said; it would hold an answer's body for 40 ms
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(BACKLOG)  # whoever connects before the server runs waits a moment
    except OSError as error:
        found.close()
        raise CollectorError(f"nobody can listen at {host}:{port}: {error.strerror or error}") from error
    return found
