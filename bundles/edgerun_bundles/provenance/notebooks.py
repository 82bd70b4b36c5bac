"""What a Jupyter notebook says of itself: its source apart from its outputs, and whether it was run top to bottom.

It reads nbformat 4, the only one that Jupyter has written since 2015. PREDICATE.md section 4 is its contract.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance.canonical import digest
from edgerun_bundles.provenance.values import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAJOR_VERSION = 4
_CELL_TYPES = ("code", "markdown", "raw")
_MESSAGE_MAX = 200


class NotebookFailure(NamedTuple):
    """An error that stands in a notebook's outputs."""

    cell: int
    """Index of the cell, from 0, of all cells."""
    name: str
    message: str = ""


class Notebook(NamedTuple):
    """One notebook as it lay on the disk."""

    path: str
    sha256: str
    size: int
    source_sha256: str
    cells: int
    execution: tuple[int | None, ...]
    """Execution count of each code cell that has a source, None if it was not run."""
    top_to_bottom: bool
    language: str | None = None
    kernel: str | None = None
    errors: tuple[NotebookFailure, ...] = ()


def describe_notebook(path: Path, *, name: str | None = None, limits: Limits = LIMITS) -> Notebook:
    """Return what a notebook's file says.

    Args:
        path: an ``.ipynb`` file of nbformat 4.
        name: what to call it, such as its path in the repository; else the file's name.
        limits: the limits in force.

    Raises:
        ProvenanceError: the file cannot be read, is too large, or is no notebook of nbformat 4.
    """
    content = _content(path, limits)
    document = _parsed(path, content)
    cells = _cells(path, document, limits)
    sources = [(str(cell["cell_type"]), _source(path, i, cell)) for i, cell in enumerate(cells)]
    execution = tuple(
        _count(path, i, cell)
        for i, (cell, (kind, source)) in enumerate(zip(cells, sources, strict=True))
        if kind == "code" and source.strip()
    )
    failures = (failure for i, cell in enumerate(cells) for failure in _failures(i, cell))
    metadata = _object(document.get("metadata"))
    return Notebook(
        path=readable(path.name if name is None else name),
        sha256=digest(content),
        size=len(content),
        source_sha256=_source_digest(sources),
        cells=len(cells),
        execution=execution,
        top_to_bottom=bool(execution) and execution == tuple(range(1, len(execution) + 1)),
        language=_text(_object(metadata.get("language_info")).get("name"))
        or _text(_object(metadata.get("kernelspec")).get("language")),
        kernel=_text(_object(metadata.get("kernelspec")).get("name")),
        errors=tuple(islice(failures, limits.notebook_errors_max)),
    )


def running_notebook() -> Path | None:
    """Return the file of the notebook that this process is the kernel of, if its front end tells and it is there."""
    if "ipykernel" not in sys.modules:
        return None
    main = vars(sys.modules["__main__"]) if "__main__" in sys.modules else {}
    told = main.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if not isinstance(told, str) or not told.endswith(".ipynb"):
        return None
    path = Path(told)
    return path if path.is_file() else None


def _content(path: Path, limits: Limits) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limits.notebook_max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ProvenanceError(f"{path}: the notebook cannot be read: {error}") from error
    if len(content) > limits.notebook_max_bytes:
        raise ProvenanceError(
            f"{path}: larger than {limits.notebook_max_bytes} bytes (notebook_max_bytes); clear its outputs"
        )
    return content


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ProvenanceError(f"{path}: no notebook: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("nbformat"), int):
        raise ProvenanceError(f"{path}: no notebook: it has no nbformat")
    if document["nbformat"] != _MAJOR_VERSION:
        raise ProvenanceError(
            f"{path}: nbformat {document['nbformat']}, and only {_MAJOR_VERSION} can be read; "
            "open and save it in a current Jupyter, or run jupyter nbconvert --to notebook"
        )
    return document


def _cells(path: Path, document: dict[str, Any], limits: Limits) -> list[dict[str, Any]]:
    cells = document.get("cells")
    if not isinstance(cells, list):
        raise ProvenanceError(f"{path}: no notebook: cells is no list")
    if len(cells) > limits.notebook_cells_max:
        raise ProvenanceError(f"{path}: more than {limits.notebook_cells_max} cells (notebook_cells_max)")
    for i, cell in enumerate(cells):
        if not isinstance(cell, dict) or cell.get("cell_type") not in _CELL_TYPES:
            raise ProvenanceError(f"{path}: cell {i} is none of {', '.join(_CELL_TYPES)}")
    return cells


def _source(path: Path, index: int, cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    if isinstance(source, str):
        return source
    raise ProvenanceError(f"{path}: the source of cell {index} is neither a text nor a list of texts")


def _count(path: Path, index: int, cell: dict[str, Any]) -> int | None:
    count = cell.get("execution_count")
    if count is None or (isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**53):
        return count
    raise ProvenanceError(f"{path}: cell {index} has the execution count {count!r:.60}")


def _failures(index: int, cell: dict[str, Any]) -> Iterator[NotebookFailure]:
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        if isinstance(output, dict) and output.get("output_type") == "error":
            name, message = _text(output.get("ename")), _text(output.get("evalue"))
            yield NotebookFailure(index, (name or "error")[:_MESSAGE_MAX], (message or "")[:_MESSAGE_MAX])


def _source_digest(sources: list[tuple[str, str]]) -> str:
    hashed = hashlib.sha256()
    for kind, source in sources:
        content = source.encode("utf-8", "surrogatepass")
        hashed.update(f"{kind} {len(content)}\n".encode())
        hashed.update(content + b"\n")
    return hashed.hexdigest()


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return readable(value) if isinstance(value, str) else None
