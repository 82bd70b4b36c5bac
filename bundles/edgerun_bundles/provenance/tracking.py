"""``track``: keeps what a training run was made from and what came of it, as a call, a ``with`` block or a decorator.

Code, environment, notebooks and data are captured before the run starts, so that what ran is what was kept. Wrong
arguments are refused at once; apart from that nothing here ever ends a user's training: what cannot be kept is told as
a warning of the logger ``edgerun``, and stands among the run's problems.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from edgerun.errors import InputError
from edgerun_bundles.provenance.metrics import confusion_matrices_of, metric_values, per_class_numbers
from edgerun_bundles.provenance.model_files import model_paths
from edgerun_bundles.provenance.run import Run
from edgerun_bundles.provenance.tracked_function import tracked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edgerun_bundles.provenance.capture import CaptureCode, DataSource

P = ParamSpec("P")
R = TypeVar("R")


@overload
def track(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track(
    function: None = None,
    /,
    *,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    confusion_matrix: Any = None,
    per_class: Mapping[str, Mapping[str, Any]] | None = None,
    data: str
    | Path
    | DataSource
    | Sequence[str | Path | DataSource]
    | Mapping[str, str | Path | DataSource]
    | None = None,
    notebooks: Sequence[str | Path] = (),
    models: str | Path | Sequence[str | Path] = (),
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    capture_code: CaptureCode | None = None,
) -> Run: ...
def track(
    function: Callable[P, R] | None = None,
    /,
    *,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    confusion_matrix: Any = None,
    per_class: Mapping[str, Mapping[str, Any]] | None = None,
    data: Any = None,
    notebooks: Sequence[str | Path] = (),
    models: str | Path | Sequence[str | Path] = (),
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    capture_code: CaptureCode | None = None,
) -> Run | Callable[P, R]:
    """Keep a training run: what it was made from, and what came of it.

    Three ways to use it::

        track(params={"lr": 0.1}, metrics={"accuracy": 0.97})   # all at once

        with track(params={"lr": 0.1}) as run:                  # as it runs
            run.log(loss=0.3, step=1)

        @track                                                  # each call is a run: arguments are the parameters,
        def train(lr, epochs): ...                              # and numbers in a returned mapping are the metrics

    Args:
        function: the function to decorate.
        params: what was chosen: texts, numbers, truth values, None, and lists and mappings of them; numpy's too.
        metrics: numbers by name; a mapping inside gives names with a slash.
        confusion_matrix: a square array of counts, a pair of labels and such an array, a `ConfusionMatrix`, or a
            mapping of name to one of these. Rows are the true classes.
        per_class: metric to class to number.
        data: paths of files and folders, hashed as a whole before the run starts; by name where it is a mapping.
        notebooks: paths of notebooks; the one that runs is kept by itself where its front end tells which it is.
        models: models that were written already, for a call that keeps all at once. What a block or a function writes
            is found at its end, or named by `Run.log_model`. A bundle with such a model tells of this run.
        name: what to call the run.
        tags: the user's own notes.
        folder: where runs are kept; else ``.edgerun/runs`` at the repository's root, or where the program runs.
        capture_code: what captures the code of a folder; else edgerun's own.

    Raises:
        InputError: an argument is wrong. Nothing else is ever raised.
    """
    if function is not None:
        if not callable(function):
            raise InputError(f"track takes its arguments by name, such as params=...; got {function!r:.60}")
        return tracked(function, Run(capture_code=capture_code))
    run = Run(
        params=params,
        data=data,
        notebooks=notebooks,
        name=name,
        tags=tags,
        folder=folder,
        capture_code=capture_code,
    )
    written = model_paths(models)
    results = (metric_values(metrics), confusion_matrices_of(confusion_matrix), per_class_numbers(per_class))
    run.start()
    for path in written:
        run.log_model(path)
    if any(results):
        run.log(metrics)
        run.log_confusion_matrix(confusion_matrix)
        run.log_per_class(per_class)
    return run
