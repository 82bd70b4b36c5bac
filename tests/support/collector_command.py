"""Collectors as whoever operates one starts them: ``edgerun collector serve`` in a process of its own, on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgerun_sync.collector.credentials import Credentials
from edgerun_sync.collector.files import Files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

END_S = 60


class CollectorProcess:
    """A collector that runs; whoever starts another one at the port of one that was killed takes its place."""

    def __init__(self, data: Path, *options: str, port: int = 0, program: Sequence[str] = ()) -> None:
        listen = ["--data", os.fspath(data), "--listen", f"127.0.0.1:{port}"]
        command = [*program] or ["-m", "edgerun", "collector", "serve", *listen, *options]
        with Path(f"{data}.log").open("ab") as log:
            self._process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=log)
        self.pid = self._process.pid
        self.url = self._address()
        self.port = int(self.url.rpartition(":")[2])

    def _address(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.match(rb"collector at (http://[^,]+),", line):
                return found[1].decode()
        raise AssertionError(f"the collector ended with {self._process.wait()} before it served")

    def kill(self) -> None:
        """End it as the power would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let it end."""
        self._end(signal.SIGTERM)

    def end(self, sent: signal.Signals) -> int:
        """Let it end by a signal; returns its exit code."""
        self._end(sent)
        return self._process.returncode

    def _end(self, sent: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(sent)
        self._process.wait(END_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def cpu_s(self) -> float:
        """The CPU time that it and its processes have used, of all their threads; of those that ended, too."""
        return sum(sum(map(int, _stat(pid)[11:15])) for pid in self.pids()) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """The most memory that it and its processes ever had, each for itself; pages that they share count for each."""
        return sum(_most_bytes(pid) for pid in self.pids())

    def pids(self) -> list[int]:
        """It, and the processes below it."""
        found = [self.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found


def _stat(pid: int) -> list[str]:
    """What Linux says of a process, behind its name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _most_bytes(pid: int) -> int:
    found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


@contextmanager
def collector_running(data: Path, *options: str) -> Iterator[CollectorProcess]:
    """Run a collector of a folder."""
    process = CollectorProcess(data, *options)
    try:
        yield process
    finally:
        process.stop()


def enrolled(data: Path, name: str) -> str:
    """The token of a device that is enrolled now."""
    token = Credentials(Files(data)).issue_device(name)
    assert token is not None
    return token
