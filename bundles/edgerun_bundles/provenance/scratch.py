"""A temporary bare repository that can read the user's objects, and takes everything that git has to write.

Git writes more than it says: it renews the times of packs, of loose objects and of a shared index that it merely
meets. So whatever needs an index runs on a copy of it here, and the user's settings, hooks and filters stay out.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgerun_bundles.provenance import git

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun_bundles.provenance.git import Git
    from edgerun_bundles.provenance.repository import Repository

NAME_PREFIX = "edgerun-code-"


@contextlib.contextmanager
def empty(object_format: str) -> Iterator[Git]:
    """Give a repository with nothing in it, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix=NAME_PREFIX) as name:
        folder = Path(name)
        made = git.isolated(folder / "git", folder)
        git.run(made, "init", "--quiet", "--bare", "--template=", f"--object-format={object_format}")
        yield made


@contextlib.contextmanager
def beside(repository: Repository) -> Iterator[Git]:
    """Give a repository that sees the objects, the index and the excludes of another one, and its working tree."""
    with empty(repository.object_format) as made:
        git_dir = Path(made.variables["GIT_DIR"])
        (git_dir / "info").mkdir()
        (git_dir / "objects" / "info").mkdir(exist_ok=True)
        if repository.git_dir and repository.common_dir:
            _copy(repository.git_dir / "index", git_dir / "index")
            for shared in repository.git_dir.glob("sharedindex.*"):
                _copy(shared, git_dir / shared.name)
            _copy(repository.common_dir / "shallow", git_dir / "shallow")
            _copy(repository.common_dir / "info" / "exclude", git_dir / "info" / "exclude")
            alternate = quoted(bytes(repository.common_dir / "objects"))
            (git_dir / "objects" / "info" / "alternates").write_bytes(alternate + b"\n")
        for name, value in repository.settings.items():
            git.run(made, "config", name, value)
        yield git.isolated(git_dir, repository.work_tree, work_tree=repository.work_tree)


def quoted(path: bytes) -> bytes:
    """Return a path as git reads it between quotes, whatever bytes it holds."""
    return b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'


def _copy(source: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # each of them may be missing
        shutil.copyfile(source, target)
