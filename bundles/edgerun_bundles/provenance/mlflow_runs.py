"""Imports a run from MLflow's file store, ``mlruns/EXPERIMENT/RUN``, without needing MLflow.

Parameters stay the texts that MLflow keeps. What MLflow did not know stays absent: it names a commit, and keeps neither
changes nor packages. Nothing outside the run's folder is read, and links in it are not followed.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance.data import Data, describe_data
from edgerun_bundles.provenance.metrics import Metrics, Series
from edgerun_bundles.provenance.redaction import without_secrets
from edgerun_bundles.provenance.statement import Provenance, Run
from edgerun_bundles.provenance.values import cut, readable
from edgerun_bundles.provenance.yaml_files import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_META = "meta.yaml"
_STATES = {1: "running", 2: "running", 3: "finished", 4: "failed", 5: "interrupted"}
_STATES_BY_NAME = {"RUNNING": 1, "SCHEDULED": 2, "FINISHED": 3, "FAILED": 4, "KILLED": 5}
_COMMIT = "mlflow.source.git.commit"
_BRANCH = "mlflow.source.git.branch"
_REMOTE = "mlflow.source.git.repoURL"
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_HEX_COMMIT = re.compile("[0-9a-f]{7,64}")


def read_mlflow_run(folder: Path, *, limits: Limits = LIMITS) -> Provenance:
    """Return the provenance that a run's folder of MLflow's file store tells of.

    Args:
        folder: the folder with the run's ``meta.yaml``, ``params``, ``metrics`` and ``tags``.
        limits: the limits in force.

    Raises:
        ProvenanceError: it is no such folder, something in it cannot be read, or is past a limit.
    """
    meta = read_yaml(folder / _META, limits)
    if not isinstance(meta, dict) or not isinstance(meta.get("run_id", meta.get("run_uuid")), str):
        raise ProvenanceError(f"{folder}: no run of MLflow: {_META} names no run_id")
    reading = _Reading(folder, limits)
    tags = {name: reading.text(path) for name, path in reading.files("tags")}
    parameters = {name: reading.text(path) for name, path in reading.files("params")}
    metrics, dropped = reading.metrics()
    return Provenance(
        code=_code(tags),
        data=_artifacts(folder, limits),
        parameters=parameters,
        metrics=metrics._replace(dropped=dropped),
        run=_run(folder, meta, tags, limits),
    )


class _Reading:
    """One walk through a run's folder."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._count = 0

    def files(self, kind: str) -> Iterator[tuple[str, Path]]:
        """Yield every file of a kind by its name, sorted; a slash in a name is a folder."""
        found = []
        root = self._folder / kind
        for folder, _, names in os.walk(root, onerror=_raise_unless_missing):
            for name in names:
                self._count += 1
                if self._count > self._limits.mlflow_files_max:
                    raise ProvenanceError(f"{self._folder}: more than {self._limits.mlflow_files_max} files")
                found.append(Path(folder, name))
        yield from sorted((readable(path.relative_to(root).as_posix()), path) for path in found)

    def text(self, path: Path) -> str:
        """Return the text in a file."""
        limit = self._limits.mlflow_file_max_bytes
        try:
            descriptor = os.open(path, os.O_RDONLY | _NO_LINK)
            with os.fdopen(descriptor, "rb") as file:
                content = file.read(limit + 1)
        except OSError as error:
            raise ProvenanceError(f"{path} cannot be read: {error.strerror or error}") from error
        if len(content) > limit:
            raise ProvenanceError(f"{path}: larger than {limit} bytes (mlflow_file_max_bytes)")
        return content.decode("utf-8", "backslashreplace")

    def metrics(self) -> tuple[Metrics, int]:
        """Return every metric, with its course where it has more than one value."""
        values: dict[str, float] = {}
        series: dict[str, Series] = {}
        dropped, room = 0, self._limits.series_points_max
        for name, path in self.files("metrics"):
            points = [_point(path, line) for line in self.text(path).splitlines() if line.strip()]
            if not points:
                continue
            points.sort(key=lambda point: (point[1], point[0]))  # by step, then by time: the order that MLflow shows
            values[name] = points[-1][2]
            kept = points[:room]
            dropped += len(points) - len(kept)
            room -= len(kept)
            if len(kept) > 1 or (kept and kept[0][1]):
                series[name] = Series(tuple(step for _, step, _ in kept), tuple(value for *_, value in kept))
        return Metrics(values=values, series=series), dropped


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise ProvenanceError(f"{error.filename} cannot be read: {error.strerror}") from error


def _point(path: Path, line: str) -> tuple[int, int, float]:
    """Return time in ms, step and value of a line; old versions wrote no step."""
    parts = line.split()
    try:
        return int(parts[0]), int(parts[2]) if len(parts) > 2 else 0, float(parts[1])
    except (ValueError, IndexError) as error:
        raise ProvenanceError(f"{path}: {line!r:.60} is no time, value and step") from error


def _code(tags: dict[str, str]) -> dict[str, Any] | None:
    commit = tags.get(_COMMIT, "")
    if not _HEX_COMMIT.fullmatch(commit):
        return None
    found: dict[str, Any] = {"commit": commit}
    if _BRANCH in tags:
        found["branch"] = tags[_BRANCH]
    if _REMOTE in tags:
        found["remotes"] = [{"name": "origin", "url": without_secrets(tags[_REMOTE])}]
    return found


def _artifacts(folder: Path, limits: Limits) -> tuple[Data, ...]:
    path = folder / "artifacts"
    if not path.is_dir() or path.is_symlink() or not any(path.iterdir()):
        return ()
    return (describe_data(path, name="artifacts", limits=limits),)


def _run(folder: Path, meta: dict[Any, Any], tags: dict[str, str], limits: Limits) -> Run:
    state = meta.get("status")
    state = _STATES_BY_NAME.get(state) if isinstance(state, str) else state
    name = meta.get("run_name") or tags.get("mlflow.runName")
    status = _STATES.get(state, "interrupted") if isinstance(state, int) else "interrupted"
    return Run(
        id=str(meta.get("run_id", meta.get("run_uuid"))),
        name=name if isinstance(name, str) else None,
        started=_time(folder, meta.get("start_time")) or "",
        ended=_time(folder, meta.get("end_time")),
        status=status,
        exit_status={"finished": 0, "failed": 1}.get(status),
        tags={name: cut(without_secrets(value), limits.text_max_bytes) for name, value in tags.items()},
    )


def _time(folder: Path, milliseconds: Any) -> str | None:
    if milliseconds is None:
        return None
    try:
        found = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise ProvenanceError(f"{folder / _META}: {milliseconds!r:.60} is no time in milliseconds") from error
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
