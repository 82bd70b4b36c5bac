"""The log of one run: a line for each time something was logged, appended by one write.

A killed process loses nothing that was logged; a power cut may lose the last seconds. When the disk is full, values are
counted as dropped, and what was last of each metric is written once there is room again.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.provenance.values import json_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from io import FileIO
    from pathlib import Path

    from edgerun_bundles.limits import Limits


def _opened(path: Path) -> FileIO:
    return path.open("ab", buffering=0)


class RunLog:
    """A log to append to. One that was never opened takes nothing: that there is none was told before."""

    def __init__(self, limits: Limits) -> None:
        self.dropped = 0
        """Values that were logged and not kept."""
        self._limits = limits
        self._path: Path | None = None
        self._steps: dict[str, int] = {}
        self._late: dict[str, float] = {}
        """The last value of each metric that was dropped."""
        self._points = 0
        self._bytes = 0
        self._is_torn = False
        self._is_broken = False

    def open(self, path: Path) -> None:
        """Append to a file from now on. Each write opens it: a sweep of runs must not use up open files."""
        self._path = path

    def close(self) -> None:
        """Take nothing more."""
        self._path = None

    def values(self, values: Mapping[str, float], step: int | None, now: str) -> None:
        """Append numbers. Without a step, each metric counts its own.

        Raises:
            OSError: the first time that the file does not take them; later ones are only counted.
        """
        points: dict[str, list[Any]] = {}
        for name, value in values.items():
            at = self._steps.get(name, -1) + 1 if step is None else step
            if self._points >= self._limits.series_points_max or not self._has_room(name):
                self.dropped += 1
                if name in self._steps:
                    self._late[name] = value
                continue
            self._steps[name] = at
            self._points += 1
            self._late.pop(name, None)
            points[name] = [at, json_number(value)]
        if points:
            self._append({"time": now, "points": points}, len(points))

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append anything else.

        Raises:
            OSError: as with `values`.
        """
        self._append(entry, 1)

    def flush(self) -> None:
        """Write the last value of each metric that was dropped, and wait for the disk.

        Raises:
            OSError: the file does not take them.
        """
        if self._path is None:
            return
        self._is_broken = False
        if self._late:
            self._append({"last": {name: json_number(value) for name, value in self._late.items()}}, 0)
        if self._bytes:
            with _opened(self._path) as file:
                os.fsync(file.fileno())

    def _has_room(self, name: str) -> bool:
        return name in self._steps or len(self._steps) < self._limits.metric_names_max

    def _append(self, entry: Mapping[str, Any], values: int) -> None:
        if self._path is None:
            return
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        if self._bytes + len(line) > self._limits.log_max_bytes:
            self._count(entry, values)
            self._fail(OSError(f"the log is larger than {self._limits.log_max_bytes} bytes (log_max_bytes)"))
            return
        try:
            self._put(b"\n" + line if self._is_torn else line)
        except OSError as error:
            self._count(entry, values)
            self._fail(error)

    def _put(self, line: bytes) -> None:
        assert self._path is not None
        with _opened(self._path) as file:
            written = file.write(line) or 0
        self._bytes += written
        self._is_torn = 0 < written < len(line) or (self._is_torn and not written)
        if written < len(line):
            raise OSError(f"the disk took {written} of {len(line)} bytes")

    def _count(self, entry: Mapping[str, Any], values: int) -> None:
        self.dropped += values
        self._late.update({name: value for name, (_, value) in entry.get("points", {}).items()})

    def _fail(self, error: OSError) -> None:
        if not self._is_broken:
            self._is_broken = True
            raise error


class Logged(NamedTuple):
    """What a log says; its documents are not checked here, but read like any other that came from a disk."""

    metrics: dict[str, Any]
    """A document of `Metrics`."""
    models: list[Any]
    """Documents of `ModelFile`."""
    status: str | None
    damaged: int
    """How many of its lines are damaged."""


def replay(entries: Iterable[dict[str, Any] | None]) -> Logged:
    """Return what a log says."""
    values: dict[str, Any] = {}
    series: dict[str, dict[str, list[Any]]] = {}
    per_class: dict[str, Any] = {}
    matrices: dict[str, Any] = {}
    models: dict[str, Any] = {}
    status, damaged = None, 0
    for entry in entries:
        try:
            if entry is None:
                damaged += 1
                continue
            for name, (step, value) in entry.get("points", {}).items():
                values[name] = value
                course = series.setdefault(name, {"step": [], "value": []})
                course["step"].append(step)
                course["value"].append(value)
            values.update(entry.get("last", {}))
            per_class.update(entry.get("per_class", {}))
            matrices.update(entry.get("confusion_matrices", {}))
            models.update(entry.get("models", {}))
            status = str(entry["status"]) if "status" in entry else status
        except (AttributeError, TypeError, ValueError):
            damaged += 1
    courses = {name: course for name, course in series.items() if len(course["step"]) > 1 or course["step"] != [0]}
    document = {"values": values, "series": courses, "per_class": per_class, "confusion_matrices": matrices}
    return Logged(document, [*models.values()], status, damaged)
