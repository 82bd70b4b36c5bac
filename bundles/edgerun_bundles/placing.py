"""Files and folders that come to be at once or not at all: made beside their place, and renamed into it."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgerun.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCRATCH = ".new-"
"""How the names of scratch folders begin; one that is left over was left by a process that was killed."""


@contextlib.contextmanager
def folder_placed(destination: Path, may_replace: Callable[[Path], bool]) -> Iterator[Path]:
    """Give an empty folder that takes its place when the block ends well, and is gone when it does not.

    A folder that stands there is replaced by two renames: a process that is killed between them leaves both folders
    beside the place, in a scratch folder.

    Args:
        destination: where it is to be; new, an empty folder, or one that may be replaced.
        may_replace: whether a folder that stands there is one of the kind that is being written.

    Raises:
        BundleError: something else stands there, or it cannot be written.
    """
    _check_place(destination, may_replace)
    with _scratch(destination) as scratch:
        made = scratch / "made"
        made.mkdir()
        yield made
        try:
            if destination.exists():
                destination.rename(scratch / "former")
            made.rename(destination)
        except BaseException:  # Ctrl-C too: what is left in the scratch folder is about to be removed
            with contextlib.suppress(OSError):
                (scratch / "former").rename(destination)
            raise


@contextlib.contextmanager
def file_placed(destination: Path) -> Iterator[Path]:
    """Give the path of a file to write, which takes its place when the block ends well, and is gone when it does not.

    Raises:
        BundleError: a folder stands there, or it cannot be written.
    """
    if destination.is_dir():
        raise BundleError(f"{destination} is a folder; choose another name")
    with _scratch(destination) as scratch:
        yield scratch / "made"
        (scratch / "made").replace(destination)


def _check_place(destination: Path, may_replace: Callable[[Path], bool]) -> None:
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise BundleError(f"{destination} is no folder; choose another name")
    if destination.is_dir() and any(destination.iterdir()) and not may_replace(destination):
        raise BundleError(f"{destination} holds something else; choose another folder")


@contextlib.contextmanager
def _scratch(destination: Path) -> Iterator[Path]:
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=destination.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise BundleError(f"{destination} cannot be written: {error}") from error
