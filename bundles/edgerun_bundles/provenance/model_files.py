"""The models that a run writes: named by the program, or found by the time of their change when the run ends.

A build looks for the run that wrote the very bytes of a model, so a model file is known by its digest.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun.errors import InputError
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance.values import readable
from edgerun_bundles.provenance.working_tree import DERIVED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MODEL_SUFFIX = ".onnx"
_READ_BYTES = 2**20
_SKIPPED = {name.rstrip("/") for name in DERIVED if "*" not in name}
_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class ModelFile(NamedTuple):
    """A model as it lay on the disk."""

    path: str
    """From the folder of the run, where it is in there."""
    sha256: str
    size: int
    named: bool = False
    """Whether the program named it; else it was found by the time of its last change."""


def describe_model(path: str | os.PathLike[str], root: Path) -> ModelFile:
    """Return a file that a program names as a model that it wrote.

    Raises:
        ProvenanceError: it cannot be read.
    """
    sha256, size = _digest(Path(path))
    return ModelFile(_shown(Path(path).absolute(), root), sha256, size, named=True)


def model_paths(given: object) -> tuple[Path, ...]:
    """Return paths of models, from one or a list of them.

    Raises:
        InputError: it is neither.
    """
    found = (given,) if isinstance(given, str | os.PathLike) else given
    if not isinstance(found, list | tuple) or not all(isinstance(path, str | os.PathLike) for path in found):
        raise InputError(f"models must be a path or a list of paths, got {given!r:.60}")
    return tuple(map(Path, found))


def models_written(root: Path, since_ns: int, limits: Limits = LIMITS) -> list[ModelFile]:
    """Return the models in a folder that changed since a time, as the file system tells it.

    Hidden folders, those that tools make, and links are passed over.

    Raises:
        ProvenanceError: there are more files than may be looked at, or a model cannot be read.
    """
    found = []
    for path in _files(root, limits):
        if path.name.endswith(MODEL_SUFFIX):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mtime_ns >= since_ns:
                found.append(ModelFile(_shown(path, root), *_digest(path)))
    return sorted(found)


def _files(root: Path, limits: Limits) -> Iterator[Path]:
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        count += len(folders) + len(names)
        if count > limits.model_search_entries_max:
            raise ProvenanceError(
                f"{root} has more than {limits.model_search_entries_max} files (model_search_entries_max), so models "
                "that the run wrote are not looked for; name them with run.log_model(path)"
            )
        yield from (Path(folder, name) for name in names)


def without_inner(roots: Sequence[Path]) -> list[Path]:
    """Return folders without those that are inside another one."""
    distinct = sorted({root.resolve() for root in roots})
    return [root for root in distinct if not any(other in root.parents for other in distinct)]


def _digest(path: Path) -> tuple[str, int]:
    hashed, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(path.resolve(strict=True), os.O_RDONLY | _NOT_FOLLOWED)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ProvenanceError(f"{path}: no regular file, and so no model")
            while piece := file.read(_READ_BYTES):
                hashed.update(piece)
                size += len(piece)
    except (OSError, ValueError, RuntimeError) as error:
        raise ProvenanceError(f"{path}: the model cannot be read: {error}") from error
    return hashed.hexdigest(), size


def _shown(path: Path, root: Path) -> str:
    return readable((path.relative_to(root) if path.is_relative_to(root) else path).as_posix())
