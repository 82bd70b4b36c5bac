"""What is captured before a tracked run starts: code, environment, notebooks and data.

A capture that fails is a problem that is told, and stops neither the others nor the run.
"""

from __future__ import annotations

import logging
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from edgerun.errors import InputError
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance.canonical import digest
from edgerun_bundles.provenance.code import capture_code
from edgerun_bundles.provenance.data import Data, describe_data
from edgerun_bundles.provenance.environment import Environment, describe_environment
from edgerun_bundles.provenance.notebooks import Notebook, describe_notebook, running_notebook
from edgerun_bundles.provenance.statement import code_document

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger("edgerun")
CaptureCode = Callable[[Path], Any]
"""Takes a folder, and returns a snapshot of the code in it."""
Progress = Callable[[int], object]
Found = TypeVar("Found")
_READS_MAX = 3


class Snapshot(NamedTuple):
    """What was there before a run started."""

    code: dict[str, Any] | None
    environment: Environment | None
    notebooks: tuple[Notebook, ...]
    data: tuple[Data, ...]
    blobs: dict[str, bytes]
    """What the others name by digest."""
    problems: list[str]


class DataSource(NamedTuple):
    """Data that a run reads, to be hashed before it starts."""

    path: str | Path
    tags: Mapping[str, str] = {}
    uri: str | None = None


def attempt(problems: list[str], what: str, function: Callable[[], Found]) -> Found | None:
    """Call a function whose failure must not end anybody's training: it becomes a problem, and a warning in the log."""
    return tried(problems, what, function, lambda message: logger.warning("tracking: %s", message))


def tried(
    problems: list[str], what: str, function: Callable[[], Found], tell: Callable[[str], object] = lambda _: None
) -> Found | None:
    """Call a function whose failure becomes a problem, which is told, and ends nothing."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - whatever it is, a training of hours must go on
        message = f"{what}: {error or type(error).__name__}"
        problems.append(message[: LIMITS.text_max_bytes])
        tell(message)
        return None


def take_snapshot(
    capture: CaptureCode | None,
    where: Path,
    notebooks: Sequence[str | Path],
    data: Mapping[str, DataSource],
) -> Snapshot:
    """Capture everything, as far as it can be captured."""
    problems: list[str] = []
    blobs: dict[str, bytes] = {}
    root = repository_root(where)
    code = attempt(problems, "the code is not kept", lambda: code_of(where, root, blobs, capture))
    environment = attempt(problems, "the environment is not kept", lambda: describe_environment(project=root or where))
    running = attempt(problems, "the running notebook is not kept", running_notebook)
    paths = dict.fromkeys(Path(path).absolute() for path in (*([running] if running else ()), *notebooks))
    described = (
        attempt(problems, "a notebook is not kept", lambda path=path: kept_notebook(path, root, blobs))  # type: ignore[misc]  # mypy infers no lambda with a default
        for path in paths
    )
    found = [notebook for notebook in described if notebook is not None]
    hashed = [_data(problems, name, source, root) for name, source in data.items()]
    kept = tuple(item for item in hashed if item is not None)
    return Snapshot(code, environment, tuple(found), kept, blobs, problems)


def data_sources(given: Any) -> dict[str, DataSource]:
    """Return data as sources by name, from a path, a list of paths, or a mapping of name to path or `DataSource`.

    Raises:
        InputError: it is none of these.
    """
    if given is None:
        return {}
    if isinstance(given, str | Path | DataSource):
        given = [given]
    if isinstance(given, Mapping):
        return {str(name): _source(item) for name, item in given.items()}
    if not isinstance(given, list | tuple) or isinstance(given, DataSource):
        raise InputError(f"data must be a path, a list of them or a mapping of name to path, got {given!r:.60}")
    return {str(source.path): source for source in map(_source, given)}


def code_folder() -> Path:
    """Return the folder of the program that runs, or where it runs if it is a notebook or an installed command."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(file, str):
        return Path.cwd()
    folder = Path(file).absolute().parent
    installed = {Path(path) for path in (*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix)}
    return Path.cwd() if installed & {folder, *folder.parents} or not folder.is_dir() else folder


def repository_root(start: Path) -> Path | None:
    """Return the folder of the repository that a folder is in."""
    here = start.absolute()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)


def is_too_wide(folder: Path) -> bool:
    """Whether a folder is one that nobody means who means a project."""
    return folder in {Path.home(), Path(folder.anchor)}


def _source(given: Any) -> DataSource:
    if isinstance(given, DataSource):
        return given
    if isinstance(given, str | Path):
        return DataSource(given)
    raise InputError(f"data must be given by paths or DataSource records, got {given!r:.60}")


def code_of(
    where: Path, root: Path | None, blobs: dict[str, bytes], capture: CaptureCode | None = None
) -> dict[str, Any]:
    """Return the code of a folder as a document, and put into ``blobs`` what that names.

    Raises:
        InputError: the folder is in no repository and is the user's home or the root of all.
        ProvenanceError: it cannot be captured.
    """
    if root is None and is_too_wide(where):
        raise InputError(f"{where} is in no repository, and too wide to be taken for a project; run git init in yours")
    document, found = code_document((capture or _capture_code)(where))
    blobs.update(found)
    return document


def _capture_code(where: Path) -> Any:
    return capture_code(where)


def kept_notebook(path: Path, root: Path | None, blobs: dict[str, bytes]) -> Notebook:
    """Return what a notebook says, and put its file into ``blobs``.

    Raises:
        ProvenanceError: it cannot be read, is none, or changes each time that it is read.
        OSError: it cannot be read any more.
    """
    for _ in range(_READS_MAX):
        found = describe_notebook(path, name=_place(path, root) if _is_in(path, root) else path.name)
        content = path.read_bytes()
        if digest(content) == found.sha256:
            blobs[found.sha256] = content
            return found
    raise ProvenanceError(f"{path}: the notebook is being saved all the time")


def described_data(name: str, source: DataSource, root: Path | None, progress: Progress | None = None) -> Data:
    """Return what a source of data holds. One without an address has its path for that.

    Raises:
        ProvenanceError: it cannot be read.
    """
    path = Path(source.path)
    uri = source.uri if source.uri is not None else _place(path.absolute(), root)
    return describe_data(path, name=name, tags=source.tags, uri=uri, progress=progress)


def _data(problems: list[str], name: str, source: DataSource, root: Path | None) -> Data | None:
    return attempt(problems, f"the data {name} is not described", lambda: described_data(name, source, root))


def _is_in(path: Path, root: Path | None) -> bool:
    return root is not None and path.is_relative_to(root)


def _place(path: Path, root: Path | None) -> str:
    """Return a path from the repository's root where it is in there."""
    return (path.relative_to(root) if root is not None and path.is_relative_to(root) else path).as_posix()
