"""Servers that do what no honest one does: each connection is handed to a function of the test."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.nginx import Nginx


@contextmanager
def listening(answer: Callable[[socket.socket, str], None]) -> Iterator[str]:
    """Give the URL of a server that hands each connection and the path that it asks for to a function."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    open_sockets: list[socket.socket] = []

    def talk(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while path := requested(connection):
                answer(connection, path)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_sockets.append(connection)
                threads.append(threading.Thread(target=talk, args=(connection,)))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended(listener)
        listener.close()
        acceptor.join()
        ended(*open_sockets)
        for thread in threads:
            thread.join()


def requested(connection: socket.socket) -> str:
    """Read a request; returns the path, with the range behind it where there is one."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            return ""
        head += piece
    first, *fields = head.decode().split("\r\n")
    asked = [field.partition(":")[2].strip() for field in fields if field.lower().startswith("range:")]
    return " ".join([first.split()[1], *asked])


def head(status: str = "200 OK", **fields: str | int) -> bytes:
    """The head of an answer; ``content_length=5`` is ``content-length: 5``."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def cutting(server: Nginx, after_bytes: int, cuts: int) -> Iterator[tuple[str, list[int]]]:
    """Give the URL of a proxy in front of a server, and how many bytes of its answers it passed on, by connection.

    The first ``cuts`` connections whose answers grow beyond ``after_bytes`` break off there.
    """
    passed: list[int] = []
    left = [cuts]
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def back(client: socket.socket, upstream: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            while piece := upstream.recv(4096):
                if left[0] and passed[number] + len(piece) > after_bytes:
                    piece = piece[: after_bytes - passed[number]]
                    left[0] -= 1
                    client.sendall(piece)
                    passed[number] += len(piece)
                    break
                client.sendall(piece)
                passed[number] += len(piece)
        ended(client, upstream)

    def forth(client: socket.socket, upstream: socket.socket) -> None:
        with client, upstream:
            with contextlib.suppress(OSError):
                while piece := client.recv(4096):
                    upstream.sendall(piece)
            ended(client, upstream)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                upstream = socket.create_connection(("127.0.0.1", server.port))
                passed.append(0)
                for work in (
                    threading.Thread(target=back, args=(client, upstream, len(passed) - 1)),
                    threading.Thread(target=forth, args=(client, upstream)),
                ):
                    threads.append(work)
                    work.start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", passed
    finally:
        ended(listener)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


def ended(*connections: socket.socket) -> None:
    """End connections, so that whoever waits for one goes on."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
