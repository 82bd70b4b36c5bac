"""A relay that counts the bytes of both directions, as they are on the wire above TCP."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES = 65536


class Counting:
    """Relays connections to a server and counts what passes."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname, parts.port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.bytes = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._to)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._relay, args=(source, target), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                with self._lock:
                    self.bytes += len(piece)
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def counting(url: str) -> Iterator[Counting]:
    """Count what passes to and from a server."""
    relay = Counting(url)
    try:
        yield relay
    finally:
        relay.close()
