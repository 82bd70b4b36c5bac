"""Brings together how a bundle came to be: what is captured unasked, what the user said, and the runs of its models.

Nothing here stops a build but what the user asked for by name: code that cannot be captured is a problem that is told.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance import run_folder
from edgerun_bundles.provenance.author import describe_author
from edgerun_bundles.provenance.capture import code_of, described_data, kept_notebook, repository_root, tried
from edgerun_bundles.provenance.declared import Declared, merged_metrics
from edgerun_bundles.provenance.environment import describe_environment
from edgerun_bundles.provenance.model_runs import ModelRun, history_of, named_run, run_of_model, runs_folders
from edgerun_bundles.provenance.redaction import arguments
from edgerun_bundles.provenance.statement import Provenance, Run, named_blobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_bundles.provenance.capture import Progress
    from edgerun_bundles.provenance.run_history import TrackedRun
    from edgerun_bundles.provenance.statement import Subject


class Collected(NamedTuple):
    """How a bundle came to be."""

    provenance: Provenance
    blobs: Mapping[str, bytes]
    """What it names by digest."""
    unknown: Mapping[str, str]
    """Models of which it is not known how they were trained, and why."""


def collect_build(folder: Path, declared: Declared, progress: Progress | None = None) -> Collected:
    """Return what there is to know before a build starts, of the build itself.

    Args:
        folder: where the definition is.
        declared: what the user said.
        progress: called with the number of bytes of data, as they are read.

    Raises:
        ProvenanceError: data or a notebook that the user named cannot be read.
    """
    here = folder.absolute()
    root = repository_root(here)
    problems: list[str] = []
    blobs: dict[str, bytes] = {}
    now = datetime.now(UTC)
    code = tried(problems, "the code is not kept", lambda: code_of(here, root, blobs))
    environment = tried(problems, "the environment is not kept", lambda: describe_environment(project=root or here))
    run = Run(
        id=run_folder.run_id(declared.parameters, now),
        started=_text(now),
        author=describe_author(here),
        argv=arguments(sys.orig_argv, LIMITS.text_max_bytes),
        problems=tuple(problems),
    )
    build = Provenance(code=code, environment=environment, run=run)
    return Collected(_with_declared(build, declared, root, blobs, progress), blobs, {})


def collect_models(
    build: Collected, folder: Path, models: Mapping[str, tuple[Path, str]], declared: Declared
) -> Collected:
    """Return a build's provenance with that of its models.

    Args:
        build: from `collect_build`.
        folder: where the definition is.
        models: for each model, its file and the SHA-256 of its content.
        declared: what the user said.

    Raises:
        ProvenanceError: a run that the user named is not there, or something they named cannot be read.
    """
    blobs, known, unknown = dict(build.blobs), {}, {}
    root = repository_root(folder.absolute())
    starts = (folder, Path.cwd(), *(path.parent for path, _ in models.values()))
    folders = runs_folders(dict.fromkeys(start.resolve() for start in starts))
    history = history_of(folders)
    for name, (_, sha256) in models.items():
        said = declared.models.get(name, Declared())
        found = named_run(said.run, folder, folders) if said.run else _searched(sha256, history)
        if found.provenance is not None and not named_blobs(found.provenance).keys() <= found.blobs.keys():
            found = ModelRun(None, {}, "files of the run that wrote it are missing")
        blobs |= found.blobs
        if found.provenance is None:
            unknown[name] = found.problem
        provenance = _with_declared(found.provenance or Provenance(), said, root, blobs, None)
        if provenance != Provenance():
            known[name] = provenance
    return Collected(build.provenance._replace(models=known), blobs, unknown)


def ended(collected: Collected, parents: tuple[Subject, ...]) -> Collected:
    """Return what was collected, with what the build came from and its end."""
    run = collected.provenance.run
    assert run is not None
    run = run._replace(ended=_text(datetime.now(UTC)), status="finished", exit_status=0)
    return collected._replace(provenance=collected.provenance._replace(run=run, parents=parents))


def _searched(sha256: str, history: list[TrackedRun]) -> ModelRun:
    problems: list[str] = []
    found = tried(problems, "the run that wrote it cannot be read", lambda: run_of_model(sha256, history))
    return found or ModelRun(None, {}, problems[0])


def _with_declared(
    provenance: Provenance, declared: Declared, root: Path | None, blobs: dict[str, bytes], progress: Progress | None
) -> Provenance:
    notebooks = [kept_notebook(path.absolute(), root, blobs) for path in declared.notebooks]
    data = [described_data(name, source, root, progress) for name, source in declared.data.items()]
    return provenance._replace(
        notebooks=(*provenance.notebooks, *notebooks),
        data=(*provenance.data, *data),
        parameters={**provenance.parameters, **declared.parameters},
        metrics=merged_metrics(provenance.metrics, declared.metrics),
    )


def _text(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
