"""A network that fails: a relay in front of servers, which breaks off, loses replies, waits, sends everything twice, or
answers by itself."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

PIECE_BYTES = 65536


class Proxy:
    """Relays connections, each as the next fault in line says, to servers by turns."""

    def __init__(self, *urls: str) -> None:
        self._servers = [(parts.hostname, parts.port) for parts in map(urlsplit, urls)]
        self._weather: Random | None = None
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.connections, self.relayed_bytes = 0, 0
        self._faults: list[tuple[str, object]] = []
        self._always: tuple[str, object] | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def break_after(self, count: int, *, times: int) -> None:
        """Break connections off after so many bytes of what the client sends."""
        self._faults += [("break", count)] * times

    def lose_replies(self, times: int) -> None:
        """Break connections off when the server begins to answer."""
        self._faults += [("lose", None)] * times

    def answer(self, status: int, headers: Mapping[str, str], *, times: int | None = None) -> None:
        """Answer requests in the server's place."""
        fault = ("answer", (status, dict(headers)))
        if times is None:
            self._always = fault
        else:
            self._faults += [fault] * times

    def turn_bad(self, random: Random) -> None:
        """From now on, most connections fail in some way, as chance has it."""
        self._weather = random

    def clear_up(self) -> None:
        """From now on, none does."""
        self._weather = None

    def _next(self) -> tuple[str, object] | None:
        if self._faults:
            return self._faults.pop(0)
        if (random := self._weather) is None:
            return self._always
        fault = random.choice(["break", "lose", "wait", "twice", None])
        return fault and (fault, random.randrange(3000) if fault == "break" else random.random() / 10)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                fault = self._next()
                self._servers.append(self._servers.pop(0))
                self._open.add(client)
                self.connections += 1
            threading.Thread(target=self._serve, args=(client, fault), daemon=True).start()

    def _serve(self, client: socket.socket, fault: tuple[str, object] | None) -> None:
        with client, suppress(OSError):
            if fault and fault[0] == "answer":
                self._answer(client, *fault[1])
                return
            if fault and fault[0] == "wait":
                time.sleep(float(fault[1]))
            with socket.create_connection(self._servers[0]) as server, self._other(fault) as other:
                with self._lock:
                    self._open |= {server} if other is None else {server, other}
                left = int(fault[1]) if fault and fault[0] == "break" else None
                up = threading.Thread(target=self._relay, args=(client, server, left, other), daemon=True)
                up.start()
                if fault and fault[0] == "lose":
                    server.recv(1)
                else:
                    self._relay(server, client, None)
                client.shutdown(socket.SHUT_RDWR)

    def _other(self, fault: tuple[str, object] | None) -> AbstractContextManager[socket.socket | None]:
        """To where all that is sent goes once more; nobody reads what is answered there."""
        return socket.create_connection(self._servers[-1]) if fault and fault[0] == "twice" else nullcontext()

    def _answer(self, client: socket.socket, status: int, headers: Mapping[str, str]) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(PIECE_BYTES)
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        left = int(lengths[0].split(b":")[1]) - len(head.partition(b"\r\n\r\n")[2]) if lengths else 0
        while left > 0 and (piece := client.recv(PIECE_BYTES)):
            left -= len(piece)
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        client.sendall("\r\n".join([*lines, "Content-Length: 0", "Connection: close", "", ""]).encode())

    def _relay(
        self, source: socket.socket, target: socket.socket, left: int | None, other: socket.socket | None = None
    ) -> None:
        with suppress(OSError):
            while left is None or left > 0:
                piece = source.recv(PIECE_BYTES if left is None else min(left, PIECE_BYTES))
                if not piece:
                    break
                target.sendall(piece)
                with self._lock:
                    self.relayed_bytes += len(piece)
                if other is not None:
                    other.sendall(piece)
                left = None if left is None else left - len(piece)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxying(*urls: str) -> Iterator[Proxy]:
    """Run a proxy in front of servers."""
    proxy = Proxy(*urls)
    try:
        yield proxy
    finally:
        proxy.close()
