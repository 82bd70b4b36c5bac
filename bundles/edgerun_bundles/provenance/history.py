"""Which commits no remote has, what may travel with them, and where the part begins that a remote has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.provenance import git
from edgerun_bundles.provenance.snapshot import UnpushedCommit

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_bundles.limits import Limits
    from edgerun_bundles.provenance.git import Git
    from edgerun_bundles.provenance.repository import Repository


class History(NamedTuple):
    """The commits of HEAD, parted by whether a remote-tracking branch has them."""

    unpushed: tuple[str, ...]
    """The newest first."""
    boundary: tuple[str, ...]
    """The newest commits of each line that a remote has: what an unpushed one stands on, or HEAD itself."""


def history_of(scratch: Git, repository: Repository) -> History:
    """Walk from HEAD to what the remote-tracking branches have."""
    if repository.head is None:
        return History((), ())
    names = [repository.head, *(f"^{tip}" for tip in repository.remote_tips)]
    stdin = ("\n".join(names) + "\n").encode()
    found = git.run(scratch, "rev-list", "--boundary", "--ignore-missing", "--stdin", stdin=[stdin]).decode().split()
    unpushed = tuple(name for name in found if not name.startswith("-"))
    boundary = tuple(name[1:] for name in found if name.startswith("-"))
    return History(unpushed, boundary if unpushed else (repository.head,))


def described(scratch: Git, commits: tuple[str, ...]) -> tuple[UnpushedCommit, ...]:
    """Return commits with their subjects and dates."""
    if not commits:
        return ()
    command = ("log", "--no-walk=unsorted", "-z", "--format=%H%n%aI%n%s", "--stdin")
    rows = git.run(scratch, *command, stdin=["\n".join((*commits, "")).encode()])
    parts = [row.decode("utf-8", "backslashreplace").split("\n", 2) for row in rows.split(b"\0") if row]
    return tuple(UnpushedCommit(digest, subject, date) for digest, date, subject in parts)


def must_stay(scratch: Git, history: History, is_secret: Callable[[bytes], bool], limits: Limits) -> str:
    """Return why the unpushed commits must not travel, or nothing if they may."""
    count = len(history.unpushed)
    if count > limits.code_commits_max:
        return f"there are {count:,} unpushed commits, and code_commits_max is {limits.code_commits_max:,}"
    if _shallow_roots(scratch).intersection(history.unpushed):
        return "the clone is shallow, and where it begins no remote-tracking branch is"
    if secret := _secret_in(scratch, history.unpushed, is_secret):
        return f"an unpushed commit holds {secret}, whose name says that it is secret"
    return ""


def _shallow_roots(scratch: Git) -> set[str]:
    path = Path(scratch.variables["GIT_DIR"]) / "shallow"
    return {*path.read_text("ascii").split()} if path.exists() else set()


def _secret_in(scratch: Git, commits: tuple[str, ...], is_secret: Callable[[bytes], bool]) -> str:
    """Return a path that a commit adds or changes and that is secret by its name, or nothing."""
    command = ("diff-tree", "--stdin", "-r", "-m", "--root", "--no-commit-id", "--name-only", "--no-renames", "-z")
    stdin = "".join(f"{commit}\n" for commit in commits).encode()
    changed = git.run(scratch, *command, "--diff-filter=d", stdin=[stdin]).split(b"\0") if commits else []
    found = next(filter(is_secret, filter(None, changed)), b"")
    return found.decode("utf-8", "backslashreplace")
