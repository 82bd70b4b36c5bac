"""A collector for tests: the real application under the real server, in a thread, on loopback."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import requests

from edgerun_sync.collector.audit import Audit
from edgerun_sync.collector.data import open_repository
from edgerun_sync.collector.http.app import Application
from edgerun_sync.collector.http.metrics import Metrics
from edgerun_sync.collector.http.server import Server
from edgerun_sync.collector.service import Service
from support.memory_objects import MemoryObjects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgerun_sync.collector.credentials import Role

LANES = 2


class Collector(NamedTuple):
    """A collector that runs."""

    url: str
    service: Service
    objects: MemoryObjects

    def token(self, role: Role, **options) -> str:
        return self.service.credentials.issue(role, **options)[0]

    def device(self, name: str) -> str:
        token = self.service.credentials.issue_device(name)
        assert token is not None
        return token

    def ask(self, method: str, path: str, token: str | None = None, **options) -> requests.Response:
        headers = {**options.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        return requests.request(method, self.url + path, headers=headers, timeout=30, **options)


@contextmanager
def collecting(
    objects: MemoryObjects | None = None,
    tls: tuple[Path, Path] | tuple[None, None] = (None, None),
    folder: Path | None = None,
) -> Iterator[Collector]:
    """Run a collector; ``tls`` is a certificate and its key, and in ``folder`` is the repository that it serves."""
    objects = objects or MemoryObjects()
    repository = None if folder is None else open_repository(str(folder), Audit(objects))
    service = Service(objects, LANES, repository)
    server = Server(Application(service, Metrics()).asgi(), "127.0.0.1", 0, *tls)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Collector(f"{'https' if tls[0] else 'http'}://127.0.0.1:{server.address[1]}", service, objects)
    finally:
        server.stop()
        thread.join()
