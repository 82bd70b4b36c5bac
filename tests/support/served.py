"""``edgerun collector serve`` as a process of the tests, as an operator starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests

from edgerun.log import LogPolicy
from edgerun.log.rows import Kind, Note
from edgerun.log.writer import LogWriter
from edgerun_sync.agent.enrolment import enrol, write_enrolment
from edgerun_sync.agent.http import Http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

END_S = 60
LABELS = 9


class Served:
    """A collector that runs."""

    def __init__(self, data: str, log: Path, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "edgerun", "collector", "serve", "--data", data, "--listen", "127.0.0.1:0"]
        self._log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, **environment}
            )
        self.said = ""
        assert self.process.stdout is not None
        while "collector at" not in self.said:
            line = self.process.stdout.readline()
            assert line, f"the collector ended: {log.read_text()}"
            self.said += line
        self.url = self._match(r"collector at (http://[^,]+),")
        self.admin = self._match(r"told this once: (er1_admin_\S+)")

    def _match(self, pattern: str) -> str:
        found = re.search(pattern, self.said)
        return found[1] if found else ""

    def ask(self, method: str, path: str, **options) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.admin}"}
        return requests.request(method, self.url + path, headers=headers, timeout=30, **options)

    def token(self, role: str) -> str:
        return self.ask("POST", "/v1/tokens", json={"role": role}).json()["token"]

    def log(self) -> str:
        return self._log.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(END_S)


@contextmanager
def serving(data: str, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Run a collector; its log goes into a file."""
    served = Served(data, log, environment or {})
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.process.kill()
            served.process.wait(END_S)
        assert served.process.stdout is not None
        served.process.stdout.close()


def until(holds: Callable[[], object], *, within_s: float = 30) -> None:
    """Return once something holds, that another process brings about."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"it does not hold within {within_s} s"
        threading.Event().wait(0.05)


def device_with_labels(url: str, token: str, folder: Path, name: str, ca_file: str | None = None) -> str:
    """The store of a device that enrolled, with a sealed segment of labels."""
    http = Http(url, ca_file=ca_file)
    enrolment, _ = enrol(http, token, device=name, edgerun="0.1.0", now_s=time.time())
    http.close()
    store = str(folder / name)
    write_enrolment(store, enrolment._replace(ca_file=ca_file))
    writer = LogWriter(f"{store}/log", policy=LogPolicy())
    writer.write(None, [Note(Kind.LABEL, n, {"id": f"{n:016x}-1", "value": n}) for n in range(LABELS)])
    writer.close()
    return store
