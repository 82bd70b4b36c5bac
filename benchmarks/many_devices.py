"""Devices that send at once, in a process of their own: ``python many_devices.py`` with a Plan as JSON on stdin.

Each keeps one connection and sends a segment at its own moment of every second. What an acknowledgement took counts
from that moment, whether or not the one before had come: a service that falls behind is not spared by those who wait.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

CONNECT_S = 5.0
"""In which all connections are made, before the first segment."""


class Plan(NamedTuple):
    """What is sent."""

    host: str
    """Of the collector."""

    port: int
    """Likewise."""

    devices: list[tuple[str, str]]
    """Their names and tokens."""

    segments: list[str]
    """Paths of sealed segments; a device sends each once, one a second."""


class Seen(NamedTuple):
    """What came of it."""

    taken_s: list[float]
    """Of each acknowledgement."""

    statuses: dict[str, int]
    """How many answers of each."""

    sent_bytes: int
    """Over all connections, headers included."""

    received_bytes: int
    """Likewise."""


class Sending:
    """All devices of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parts = [_part(Path(path)) for path in plan.segments]
        self.seen = Seen([], {}, 0, 0)

    async def run(self) -> None:
        """Send everything."""
        begin = asyncio.get_running_loop().time() + CONNECT_S
        count = len(self._plan.devices)
        await asyncio.gather(
            *(self._device(name, token, i, begin + i / count) for i, (name, token) in enumerate(self._plan.devices))
        )

    async def _device(self, name: str, token: str, number: int, first: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(CONNECT_S / 2 * number / len(self._plan.devices))
        reader, writer = await asyncio.open_connection(self._plan.host, self._plan.port)
        for second, (segment, headers, body) in enumerate(self._parts):
            due = first + second
            await asyncio.sleep(due - loop.time())
            head = f"PUT /v1/devices/{name}/segments/{segment} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n{headers}"
            request = head.encode() + body
            writer.write(request)
            status, received = await _answer(reader)
            self.seen.taken_s.append(loop.time() - due)
            self.seen.statuses[status] = self.seen.statuses.get(status, 0) + 1
            self.seen = self.seen._replace(
                sent_bytes=self.seen.sent_bytes + len(request), received_bytes=self.seen.received_bytes + received
            )
        writer.close()


def _part(path: Path) -> tuple[str, str, bytes]:
    """A segment's name, the headers that all devices send with it, and its bytes."""
    body = path.read_bytes()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    headers = [
        "Host: collector.example.org", "User-Agent: edgerun", "Accept: */*", "Accept-Encoding: identity",
        "Content-Type: application/vnd.edgerun.log.v1", f"Content-Digest: sha-256=:{digest}:", "If-None-Match: *",
        f"Content-Length: {len(body)}", "", "",
    ]  # fmt: skip
    return path.stem, "\r\n".join(headers), body


async def _answer(reader: asyncio.StreamReader) -> tuple[str, int]:
    """An answer's status, and its bytes."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    await reader.readexactly(length)
    return head[9:12].decode(), len(head) + length


if __name__ == "__main__":
    given = json.load(sys.stdin)
    sending, began = Sending(Plan(**given)), time.process_time()
    asyncio.run(sending.run())
    json.dump({**sending.seen._asdict(), "cpu_s": time.process_time() - began}, sys.stdout)
