"""A run that is being tracked: what is captured when it starts, what is logged meanwhile, and how it ended.

Wrong arguments are refused at once; apart from that nothing here ever ends a user's training: what cannot be kept is
told as a warning of the logger ``edgerun``, and stands among the run's problems.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from edgerun.errors import InputError
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance import run_folder
from edgerun_bundles.provenance.author import describe_author
from edgerun_bundles.provenance.capture import (
    CaptureCode,
    attempt,
    code_folder,
    data_sources,
    is_too_wide,
    repository_root,
    take_snapshot,
)
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.provenance.metrics import confusion_matrices_of, metric_values, per_class_numbers
from edgerun_bundles.provenance.model_files import describe_model, models_written, without_inner
from edgerun_bundles.provenance.redaction import arguments
from edgerun_bundles.provenance.run_log import RunLog
from edgerun_bundles.provenance.statement import Provenance
from edgerun_bundles.provenance.statement import Run as RunRecord
from edgerun_bundles.provenance.values import cut, number_of, parameters_of, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from edgerun_bundles.provenance.model_files import ModelFile

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("edgerun")
_INTERRUPTED = 128 + 2
_STEP_MAX = 2**53 - 1
_current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("edgerun_run", default=None)


def current_run() -> Run | None:
    """Return the innermost run that is under way here, such as the one of a decorated function."""
    return _current.get()


class Run:
    """A run that is being tracked. `track` makes it."""

    def __init__(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        notebooks: Sequence[str | Path] = (),
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        folder: str | Path | None = None,
        capture_code: CaptureCode | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        """Check the arguments; nothing is captured or written before `start`.

        Raises:
            InputError: an argument is wrong.
        """
        self.parameters = parameters_of(params, limits)
        self.data = data_sources(data)
        self.notebooks = _paths(notebooks)
        self.name = None if name is None else readable(str(name))
        self.tags = _tags(tags, limits)
        self.id = ""
        self.folder: Path | None = None
        """Where the run is kept; None before it starts, and where it could not be written."""
        self.problems: list[str] = []
        """What could not be kept, and why."""
        self.earlier: tuple[str, ...] = ()
        """Ids of the runs before this one that had the same parameters."""
        self._runs_folder = None if folder is None else Path(folder)
        self._capture_code = capture_code
        self._limits = limits
        self._log = RunLog(limits)
        self._roots: tuple[Path, ...] = ()
        self._models: set[str] = set()
        self._process = -1
        self._is_over = False
        self._token: contextvars.Token[Run | None] | None = None

    def start(self, where: Path | None = None) -> Self:
        """Capture everything, and write it down; a run starts once.

        Args:
            where: the folder of the code; else that of the program.
        """
        if not self.id:
            self._process = os.getpid()
            self.id = run_folder.run_id(self.parameters, datetime.now(UTC))
            attempt(self.problems, "the run is not kept", lambda: self._start(where))
        return self

    def log(self, metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **named: Any) -> None:
        """Keep numbers, now.

        Args:
            metrics: numbers by name; a mapping inside gives names with a slash.
            step: which step they belong to; else each metric counts its own from 0.
            **named: further numbers.

        Raises:
            InputError: a value is not one number.
        """
        values = {**metric_values(metrics), **metric_values(named)}
        at = None if step is None else _step(step)
        if values:
            attempt(self.problems, "metrics are not kept", lambda: self._log.values(values, at, self._now()))

    def log_confusion_matrix(self, matrix: Any) -> None:
        """Keep a confusion matrix, or several by name; a later one of a name replaces it.

        Raises:
            InputError: it is no confusion matrix.
        """
        found = confusion_matrices_of(matrix, self._limits)
        if found:
            document = {"confusion_matrices": to_document(found)}
            attempt(self.problems, "a confusion matrix is not kept", lambda: self._log.write(document))

    def log_per_class(self, numbers: Mapping[str, Mapping[str, Any]] | None) -> None:
        """Keep numbers per class, ``{"auc": {"gold": 0.93}}``.

        Raises:
            InputError: they are no mapping of mappings of numbers.
        """
        found = per_class_numbers(numbers, self._limits)
        if found:
            attempt(self.problems, "numbers are not kept", lambda: self._log.write({"per_class": to_document(found)}))

    def log_model(self, path: str | os.PathLike[str]) -> None:
        """Keep which file is a model that this run wrote, by its digest now: a bundle with it will tell of this run.

        Models that lie in the code's folder, or where the program runs, are found without it when the run ends.
        """
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"log_model takes the path of a file, got {path!r:.60}")
        attempt(
            self.problems, f"the model {path} is not kept", lambda: self._keep_model(describe_model(path, Path.cwd()))
        )

    def finish(self, *, exit_status: int = 0, error: str | None = None) -> None:
        """End the run; what is logged afterwards is kept too, and an end happens once. A ``with`` block does it."""
        if self._is_over or not self.id or os.getpid() != self._process:
            return  # a forked child is not the one to end its parent's run
        self._is_over = True
        attempt(self.problems, "the end of the run is not kept", lambda: self._finish(exit_status, error))

    def __enter__(self) -> Self:
        self.start()
        self._token = _current.set(self)
        attempt(self.problems, "the state of the run is not kept", lambda: self._log.write({"status": "running"}))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            with contextlib.suppress(ValueError):  # entered in another context, as event loops do
                _current.reset(self._token)
        if error is None:
            self.finish()
            return
        text = attempt(self.problems, "the traceback is not kept", lambda: _traceback(error, self._limits))
        self.finish(exit_status=_exit_status(error), error=text)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function: each call is a run of its own, with these arguments and the function's.

        Raises:
            InputError: it is no function, or gives its results one by one.
        """
        from edgerun_bundles.provenance.tracked_function import tracked  # noqa: PLC0415 - it needs this module

        decorated = tracked(function, self)
        self.discard()  # what was captured at the definition is no run
        return decorated

    def discard(self) -> None:
        """Delete what is kept of the run, and keep nothing more."""
        self._log.close()
        if self.folder is not None:
            run_folder.remove_run(self.folder)
            self.folder = None

    def again(self, parameters: Mapping[str, Any]) -> Run:
        """Return another run with this one's arguments, and further parameters; nothing of it is captured yet."""
        return Run(
            params={**parameters, **self.parameters},
            data=self.data,
            notebooks=self.notebooks,
            name=self.name,
            tags=self.tags,
            folder=self._runs_folder,
            capture_code=self._capture_code,
            limits=self._limits,
        )

    def _start(self, where: Path | None) -> None:
        started = self._now()
        runs = (self._runs_folder or run_folder.default_folder()).absolute()
        where = where or code_folder()
        snapshot = take_snapshot(self._capture_code, where, self.notebooks, self.data)
        self.problems += snapshot.problems
        record = RunRecord(
            id=self.id,
            name=self.name,
            author=describe_author(where),
            started=started,
            argv=arguments(sys.orig_argv, self._limits.text_max_bytes),
            problems=tuple(self.problems),
            tags=self.tags,
        )
        provenance = Provenance(
            code=snapshot.code,
            notebooks=snapshot.notebooks,
            data=snapshot.data,
            parameters=self.parameters,
            run=record,
        )
        documents = {
            run_folder.RUN: {
                "format": run_folder.FORMAT,
                "process": to_document(run_folder.this_process()),
                "predicate": to_document(provenance),
            }
        }
        if snapshot.environment is not None:
            documents[run_folder.ENVIRONMENT] = to_document(snapshot.environment)
        earlier = attempt(self.problems, "earlier runs are not looked at", lambda: self._earlier(runs))
        self.earlier = earlier or ()
        self.folder = run_folder.create_run(runs, self.id, documents, snapshot.blobs)
        self._log.open(self.folder / run_folder.LOG)
        self._roots = (repository_root(where) or where, Path.cwd())

    def _earlier(self, runs: Path) -> tuple[str, ...]:
        """Find the runs of the same parameters; their names tell."""
        if not self.parameters:
            return ()
        same = run_folder.RUN_ID.fullmatch(self.id)
        assert same is not None
        found = [path.name for path in run_folder.run_paths(runs) if f"-{same['parameters']}-" in path.name]
        if found:
            logger.warning(
                "tracking: these parameters were run before, %d times; see the last: edgerun bundle track show %s",
                len(found),
                found[-1],
            )
        return tuple(found)

    def _finish(self, exit_status: int, error: str | None) -> None:
        if self.folder is None:
            return
        attempt(self.problems, "models that it wrote are not kept", self._find_models)
        attempt(self.problems, "metrics are not kept", self._log.flush)
        document = {
            "ended": self._now(),
            "status": "failed" if exit_status else "finished",
            "exit_status": exit_status,
            "problems": self.problems,
            "dropped": self._log.dropped,
        }
        run_folder.replace_file(
            self.folder / run_folder.END,
            json.dumps(document if error is None else {**document, "error": error}).encode(),
        )

    def _find_models(self) -> None:
        """Keep the models that were written since the run's own files were: the same clock tells both times."""
        assert self.folder is not None
        since_ns = (self.folder / run_folder.RUN).stat().st_mtime_ns
        for root in without_inner([root for root in self._roots if not is_too_wide(root)]):
            for model in models_written(root, since_ns, self._limits):
                if model.sha256 not in self._models:
                    self._keep_model(model)

    def _keep_model(self, model: ModelFile) -> None:
        if len(self._models) >= self._limits.models_max:
            raise ProvenanceError(f"there are more than {self._limits.models_max} of them (models_max)")
        self._models.add(model.sha256)
        self._log.write({"models": {model.sha256: to_document(model)}})

    @staticmethod
    def _now() -> str:
        return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _paths(given: Any) -> tuple[str | Path, ...]:
    found = (given,) if isinstance(given, str | Path) else given
    if not isinstance(found, list | tuple) or not all(isinstance(path, str | Path) for path in found):
        raise InputError(f"notebooks must be a list of paths, got {given!r:.60}")
    return tuple(found)


def _tags(given: Any, limits: Limits) -> dict[str, str]:
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"tags must be a mapping of text to text, got {given!r:.60}")
    return {readable(str(name)): cut(str(value), limits.text_max_bytes) for name, value in (given or {}).items()}


def _step(given: Any) -> int:
    step = number_of(given, "step")
    if not abs(step) <= _STEP_MAX or step != int(step):  # NaN is not below anything
        raise InputError(f"step must be a whole number, got {given!r:.60}")
    return int(step)


def _exit_status(error: BaseException) -> int:
    """Return what the process would end with, were this never caught."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def _traceback(error: BaseException, limits: Limits) -> str:
    return cut("".join(traceback.format_exception(error)), limits.text_max_bytes)
