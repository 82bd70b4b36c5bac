"""The history of tracked runs: none is lost that never became a bundle, and what was run before can be seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance import run_folder
from edgerun_bundles.provenance.canonical import digest
from edgerun_bundles.provenance.documents import from_document
from edgerun_bundles.provenance.environment import Environment
from edgerun_bundles.provenance.metrics import Metrics
from edgerun_bundles.provenance.model_files import ModelFile
from edgerun_bundles.provenance.run_folder import Process
from edgerun_bundles.provenance.run_log import replay
from edgerun_bundles.provenance.statement import Provenance, Run

if TYPE_CHECKING:
    from collections.abc import Iterable

_ENDS = ("finished", "failed")


class TrackedRun(NamedTuple):
    """A run as it lies on the disk, without its environment."""

    id: str
    folder: Path
    provenance: Provenance

    @property
    def run(self) -> Run:
        """When the run was, and how it ended."""
        assert self.provenance.run is not None
        return self.provenance.run


class _End(NamedTuple):
    ended: str
    status: str
    exit_status: int
    error: str | None = None
    problems: tuple[str, ...] = ()
    dropped: int = 0


class History(NamedTuple):
    """All runs of a folder, the oldest first, and those that cannot be read."""

    runs: tuple[TrackedRun, ...]
    problems: tuple[str, ...]


def runs(folder: str | Path | None = None, *, limits: Limits = LIMITS) -> History:
    """Return every run that was tracked, the oldest first.

    Args:
        folder: where they are kept; else ``.edgerun/runs`` of the repository that this is run in.
        limits: the limits in force.
    """
    found, problems = [], []
    for path in run_folder.run_paths(_folder(folder)):
        try:
            found.append(read_run(path, limits=limits))
        except ProvenanceError as error:
            problems.append(str(error))
    return History(tuple(found), tuple(problems))


def find_run(name: str, folder: str | Path | None = None, *, limits: Limits = LIMITS) -> TrackedRun:
    """Return the run whose id is, starts or ends with a text; ``latest`` is the last one.

    Raises:
        ProvenanceError: there is none, or more than one.
    """
    paths = run_folder.run_paths(_folder(folder))
    found = paths[-1:] if name == "latest" else [p for p in paths if p.name.startswith(name) or p.name.endswith(name)]
    if len(found) != 1:
        count = "no run" if not found else f"{len(found)} runs"
        raise ProvenanceError(f"{count} in {_folder(folder)} is or are named {name!r}; see: edgerun bundle track list")
    return read_run(found[0], limits=limits)


def read_run(path: Path, *, limits: Limits = LIMITS) -> TrackedRun:
    """Return the run in a folder.

    Raises:
        ProvenanceError: it cannot be read, or is damaged where it tells what was run.
    """
    document = _document(path / run_folder.RUN, limits)
    if not isinstance(document, dict) or document.get("format") != run_folder.FORMAT:
        raise ProvenanceError(f"{path / run_folder.RUN} is of another format; update edgerun")
    provenance = from_document(Provenance, document.get("predicate"), str(path))
    process = from_document(Process, document.get("process"), f"{path}: process")
    if provenance.run is None:
        raise ProvenanceError(f"{path}: run is missing")
    metrics, models, status, problems = _logged(path, limits)
    end = _end(path, limits)
    run = provenance.run
    if end is not None:
        run = run._replace(**{name: getattr(end, name) for name in ("ended", "status", "exit_status", "error")})
        problems = (*end.problems, *problems)
        metrics = metrics._replace(dropped=end.dropped)
    else:
        problems = (*run.problems, *problems)
        running = "running" if run_folder.is_alive(process) else "interrupted"
        run = run._replace(status=running if status == "running" else run.status)
    run = run._replace(problems=problems, models=models)
    return TrackedRun(path.name, path, provenance._replace(run=run, metrics=metrics))


def whole_provenance(run: TrackedRun, *, limits: Limits = LIMITS) -> tuple[Provenance, dict[str, bytes]]:
    """Return all that is known of a run, its environment included, and the blobs that it names by digest.

    Raises:
        ProvenanceError: something cannot be read, or a blob is not what its name says.
    """
    blobs = {}
    folder = run.folder / run_folder.BLOBS
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        content = path.read_bytes()
        if digest(content) != path.name:
            raise ProvenanceError(f"{path} is damaged: its content is not what its name says")
        blobs[path.name] = content
    provenance = run.provenance
    if (run.folder / run_folder.ENVIRONMENT).exists():
        document = _document(run.folder / run_folder.ENVIRONMENT, limits)
        environment = from_document(Environment, document, f"{run.folder}: environment")
        provenance = provenance._replace(environment=environment)
    return provenance, blobs


def repeated(history: Iterable[TrackedRun]) -> dict[str, str]:
    """Return, for each run whose parameters an earlier one had too, the id of the first such run."""
    first: dict[str, str] = {}
    found = {}
    for run in history:
        if not run.provenance.parameters:
            continue
        key = run_folder.parameters_digest(run.provenance.parameters)
        if key in first:
            found[run.id] = first[key]
        else:
            first[key] = run.id
    return found


def _folder(folder: str | Path | None) -> Path:
    return run_folder.default_folder() if folder is None else Path(folder)


def _document(path: Path, limits: Limits) -> Any:
    try:
        return run_folder.read_document(path, limits.statement_max_bytes)
    except (OSError, ValueError) as error:
        raise ProvenanceError(f"{path} cannot be read: {error}") from error


def _logged(path: Path, limits: Limits) -> tuple[Metrics, tuple[ModelFile, ...], str | None, tuple[str, ...]]:
    try:
        logged = replay(run_folder.read_log(path / run_folder.LOG, limits.log_max_bytes))
        metrics = from_document(Metrics, logged.metrics, f"{path}: metrics")
        models = tuple(from_document(ModelFile, model, f"{path}: models") for model in logged.models)
    except FileNotFoundError:
        return Metrics(), (), None, ()
    except (OSError, ProvenanceError) as error:
        return Metrics(), (), None, (f"the metrics cannot be read: {error}",)
    problems = (f"{logged.damaged} lines of the log are damaged",) if logged.damaged else ()
    return metrics, models, logged.status, problems


def _end(path: Path, limits: Limits) -> _End | None:
    try:
        document = run_folder.read_document(path / run_folder.END, limits.statement_max_bytes)
        end = from_document(_End, document, f"{path}: end")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ProvenanceError) as error:
        return _End("", "interrupted", 1, problems=(f"the end of the run cannot be read: {error}",))
    return end if end.status in _ENDS else end._replace(status="interrupted")
