"""Gives back what a bundle or a model was made from, in a new folder: all that can be, and a word on what cannot.

| in the folder | what |
|---|---|
| ``code/`` | the tree, checked by its hash |
| ``notebooks/`` | as they were, outputs included |
| ``requirements.lock.txt`` | a lock of the environment |
| ``parameters.json``, ``metrics.json`` | what was chosen, and what came of it |
| ``data.json`` | where the data was, and its hashes |
| ``provenance.json`` | the statement, byte for byte |
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.placing import folder_placed
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.provenance.locks import RestoredEnvironment, restore_environment
from edgerun_bundles.provenance.restore import restore_code
from edgerun_bundles.provenance.snapshot import CodeSnapshot, RestoredCode
from edgerun_bundles.provenance.statement import code_snapshot

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from edgerun_bundles.attached import Attached
    from edgerun_bundles.provenance.data import Data
    from edgerun_bundles.provenance.notebooks import Notebook
    from edgerun_bundles.provenance.statement import Provenance

CODE, NOTEBOOKS = "code", "notebooks"
PARAMETERS, METRICS, DATA, STATEMENT = "parameters.json", "metrics.json", "data.json", "provenance.json"


class Restored(NamedTuple):
    """What was given back; paths are relative to the folder."""

    folder: Path
    code: RestoredCode | None
    """None where there was none, or it could not be had."""
    environment: RestoredEnvironment | None
    notebooks: tuple[str, ...]
    parameters: Mapping[str, Any]
    data: tuple[Data, ...]
    failed: tuple[str, ...]
    """One sentence for each thing that the provenance holds and that could not be given back."""
    not_restored: tuple[str, ...]
    """One sentence for each thing that it does not hold."""


def restore(
    attached: Attached,
    provenance: Provenance,
    dest: str | os.PathLike[str],
    clones: Sequence[str | os.PathLike[str]] = (),
) -> Restored:
    """Write into a new folder what a bundle or a model was made from.

    Args:
        attached: the bundle's provenance.
        provenance: its predicate, or that of one of its models.
        dest: the folder; new or empty.
        clones: folders of clones on this machine, to be asked for commits before any remote.

    Raises:
        BundleError: the folder holds something else, or cannot be written.
    """
    target = Path(dest)
    failed: list[str] = []
    missing: list[str] = []
    with folder_placed(target, lambda _: False) as scratch:
        code = _code(attached, provenance, scratch / CODE, clones, failed, missing)
        environment = _environment(provenance, scratch, missing)
        notebooks = _notebooks(attached, provenance, scratch / NOTEBOOKS, failed)
        documents = {
            PARAMETERS: provenance.parameters,
            METRICS: to_document(provenance.metrics),
            DATA: to_document(provenance.data),
        }
        for name, document in documents.items():
            (scratch / name).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", "utf-8")
        (scratch / STATEMENT).write_bytes(attached.content)
    missing += [
        f"the data {data.name} is not kept; it was at {data.uri or 'a place unknown'}" for data in provenance.data
    ]
    return Restored(
        target,
        None if code is None else code._replace(folder=str(target / CODE)),
        None if environment is None else environment._replace(path=target / environment.path.name),
        tuple(notebooks),
        provenance.parameters,
        provenance.data,
        tuple(failed),
        tuple(missing),
    )


def _code(
    attached: Attached,
    provenance: Provenance,
    place: Path,
    clones: Sequence[str | os.PathLike[str]],
    failed: list[str],
    missing: list[str],
) -> RestoredCode | None:
    code = provenance.code
    if not code:
        missing.append("the code was not captured")
        return None
    if "tree" not in code:
        remotes = [remote.get("url") for remote in code.get("remotes") or [] if isinstance(remote, dict)]
        where = f" of {remotes[0]}" if remotes else ""
        missing.append(f"of the code only its commit is known: {code.get('commit')}{where}; changes to it are not")
        return None
    try:
        restored = restore_code(code_snapshot(CodeSnapshot, code, attached.blob), place, clones=clones)
    except ProvenanceError as error:
        failed.append(f"the code is not restored: {error}")
        return None
    missing += restored.not_restored
    return restored


def _environment(provenance: Provenance, place: Path, missing: list[str]) -> RestoredEnvironment | None:
    if provenance.environment is None:
        missing.append("the environment was not captured")
        return None
    restored = restore_environment(provenance.environment, place)
    missing += restored.problems
    return restored


def _notebooks(attached: Attached, provenance: Provenance, place: Path, failed: list[str]) -> list[str]:
    """Write every notebook by its last name: what a statement from outside calls a path leads nowhere."""
    found = []
    for notebook in provenance.notebooks:
        try:
            content = attached.blob(notebook.sha256)
        except ProvenanceError as error:
            failed.append(f"the notebook {notebook.path} is not restored: {error}")
            continue
        place.mkdir(exist_ok=True)
        name = _free_name(notebook, place)
        (place / name).write_bytes(content)
        found.append(f"{NOTEBOOKS}/{name}")
    return found


def _free_name(notebook: Notebook, place: Path) -> str:
    last = PurePosixPath(notebook.path).name
    safe = last if last.isprintable() and last not in {"", ".", ".."} and "\\" not in last else "notebook.ipynb"
    safe = safe if len(safe.encode()) <= 200 else "notebook.ipynb"
    return safe if not (place / safe).exists() else f"{notebook.sha256[:12]}-{safe}"
