"""Where tracked runs lie on the disk, and how they get there: whole or not at all, whatever the process dies of.

A run is a folder under ``.edgerun/runs``, named by its time, the digest of its parameters and chance, so that runs with
the same parameters are found by their names alone:

| file | written |
|---|---|
| ``run.json`` | before the run: the predicate without environment and metrics, and the process |
| ``environment.json`` | before the run |
| ``blobs/SHA256`` | before the run: what the predicate names by digest |
| ``log.jsonl`` | during it: a line each time something is logged, by one write |
| ``end.json`` | at its end; where it is missing, the process is running or was killed |
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.provenance.canonical import canonical, digest, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RUN, ENVIRONMENT, LOG, END, BLOBS = "run.json", "environment.json", "log.jsonl", "end.json", "blobs"
FORMAT = 1
RUN_ID = re.compile(r"\d{8}T\d{6}\.\d{6}Z-(?P<parameters>[0-9a-f]{8})-[0-9a-f]{8}")
_UNFINISHED = ".new-"
_PLACE = Path(".edgerun", "runs")
_IGNORE_ALL = "# What is tracked here is no part of the code.\n*\n"


class Process(NamedTuple):
    """What tells a process from all others, on all machines, for all time."""

    pid: int
    host: str
    boot: str = ""
    """Id of the machine's start; empty where the system has none."""
    started: str = ""
    """When the process started, in the system's own ticks after that."""


def default_folder(start: Path | None = None) -> Path:
    """Return ``.edgerun/runs`` at the root of the repository that a folder is in, else in the folder itself."""
    here = (start or Path.cwd()).absolute()
    root = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
    return place_in(root)


def place_in(folder: Path) -> Path:
    """Return where runs are kept in a folder."""
    return folder / _PLACE


def run_id(parameters: Mapping[str, Any], now: datetime) -> str:
    """Return a name for a run that no other has."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{parameters_digest(parameters)[:8]}-{secrets.token_hex(4)}"


def parameters_digest(parameters: Mapping[str, Any]) -> str:
    """Return the SHA-256 of parameters: equal ones have equal digests, in whatever order they were given."""
    return digest(canonical(dict(parameters)))


def create_run(folder: Path, name: str, documents: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Path:
    """Write a run's folder, which is there as a whole once this returns, and not at all before.

    Raises:
        OSError: the disk is full, or the folder cannot be written; nothing of the run is left then.
    """
    is_ours = not folder.exists() or folder.parts[-2:] == _PLACE.parts
    folder.mkdir(parents=True, exist_ok=True)
    if is_ours and not (folder / ".gitignore").exists():
        replace_file(folder / ".gitignore", _IGNORE_ALL.encode())
    unfinished, path = folder / f"{_UNFINISHED}{name}", folder / name
    unfinished.mkdir()
    try:
        for file, document in documents.items():
            _write(unfinished / file, canonical(document))
        if blobs:
            (unfinished / BLOBS).mkdir()
            for sha256, content in blobs.items():
                _write(unfinished / BLOBS / sha256, content)
            _sync_folder(unfinished / BLOBS)
        _sync_folder(unfinished)
        unfinished.rename(path)
    except BaseException:
        remove_run(unfinished)
        raise
    _sync_folder(folder)
    return path


def remove_run(path: Path) -> None:
    """Delete a run's own files, and its folder if nothing else is in it."""
    names = [path / name for name in (RUN, ENVIRONMENT, LOG, END)]
    with contextlib.suppress(OSError):
        names += (path / BLOBS).iterdir()
    for name in names:
        with contextlib.suppress(OSError):
            name.unlink()
    for folder in (path / BLOBS, path):
        with contextlib.suppress(OSError):
            folder.rmdir()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    unfinished = path.with_name(f"{_UNFINISHED}{path.name}-{secrets.token_hex(4)}")
    try:
        _write(unfinished, content)
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    _sync_folder(path.parent)


def run_paths(folder: Path) -> list[Path]:
    """Return the folders of all runs, the oldest first; none if there is no such folder."""
    try:
        names = sorted(name for name in os.listdir(folder) if RUN_ID.fullmatch(name))  # noqa: PTH208 - names, not paths
    except FileNotFoundError:
        return []
    return [folder / name for name in names]


def read_document(path: Path, limit_bytes: int) -> Any:
    """Return the JSON in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than the limit, or no JSON.
    """
    with path.open("rb") as file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise ValueError(f"{path} is larger than {limit_bytes} bytes")
    return parsed(content)


def read_log(path: Path, limit_bytes: int) -> Iterator[dict[str, Any] | None]:
    """Yield what was logged, in order; None for a line that was cut off or damaged, or where the limit is reached."""
    with path.open("rb") as file:
        while line := file.readline(limit_bytes + 1):
            limit_bytes -= len(line)
            if limit_bytes < 0:
                yield None
                return
            if line.strip():
                yield _entry(line)


def this_process() -> Process:
    """Return what process this is."""
    return Process(os.getpid(), platform.node(), _boot(), _started(os.getpid()))


def is_alive(process: Process) -> bool:
    """Say whether a process may still run; of one on another machine that cannot be known, and it may."""
    if process.host != platform.node():
        return True
    if process.boot != _boot():
        return False
    if process.started:
        return process.started == _started(process.pid)
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        found = parsed(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "nt":
        return  # it has no such thing
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
