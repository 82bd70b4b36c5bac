"""Finds the run that a model came from: the one that wrote its very bytes, or the one that the user names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import run_folder
from edgerun_bundles.provenance.mlflow_runs import read_mlflow_run
from edgerun_bundles.provenance.run_history import TrackedRun, find_run, runs, whole_provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from edgerun_bundles.provenance.statement import Provenance

_MLFLOW_FILE = "meta.yaml"


class ModelRun(NamedTuple):
    """How a model was trained, as far as it is known."""

    provenance: Provenance | None
    blobs: Mapping[str, bytes]
    """What that names by digest."""
    problem: str = ""
    """Why it is not known, in a sentence."""


def runs_folders(starts: Iterable[Path]) -> list[Path]:
    """Return every folder of tracked runs in folders and in those above them, the nearest first."""
    places = (run_folder.place_in(folder) for start in starts for folder in (start, *start.parents))
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def run_of_model(sha256: str, history: Sequence[TrackedRun]) -> ModelRun:
    """Return the run that wrote a model.

    A run whose program named the file goes before one during which it merely changed. Of runs one after the other that
    wrote the same bytes it is the last one; of runs at the same time nobody can say which it was.
    """
    wrote = [(run, file) for run in history for file in run.run.models if file.sha256 == sha256]
    named = [run for run, file in wrote if file.named]
    found = sorted(named or [run for run, _ in wrote], key=lambda run: (run.run.started, run.id))
    if not found:
        return ModelRun(None, {}, "no tracked run wrote it")
    last = found[-1]
    beside = [run for run in found[:-1] if (run.run.ended or last.run.started) >= last.run.started]
    if beside and not named:
        ids = ", ".join(run.id for run in (*beside, last))
        return ModelRun(None, {}, f"it was written while several runs ran: {ids}; name the right one")
    return ModelRun(*whole_provenance(last))


def named_run(name: str, folder: Path, folders: Sequence[Path]) -> ModelRun:
    """Return the run that a user names: an id, its start or end, ``latest``, or an MLflow run's folder.

    Args:
        name: what they wrote.
        folder: what a path is relative to.
        folders: where tracked runs are kept.

    Raises:
        ProvenanceError: there is no such run, or it cannot be read.
    """
    if (folder / name / _MLFLOW_FILE).is_file():
        return ModelRun(read_mlflow_run(folder / name), {})
    for place in folders:
        if name == "latest" or any(_is_named(path, name) for path in run_folder.run_paths(place)):
            return ModelRun(*whole_provenance(find_run(name, place)))
    places = ", ".join(map(str, folders)) or "no folder of tracked runs"
    raise ProvenanceError(f"no run {name!r} in {places}, and no MLflow run there; see: edgerun bundle track list")


def history_of(folders: Iterable[Path]) -> list[TrackedRun]:
    """Return every tracked run of several folders that can be read."""
    return [run for folder in folders for run in runs(folder).runs]


def _is_named(path: Path, name: str) -> bool:
    return path.name.startswith(name) or path.name.endswith(name)
