"""The user's repository: where it is, what HEAD is, which remotes it has. Only read, by commands that need no index."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import git, remote_urls
from edgerun_bundles.provenance.snapshot import Remote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_bundles.provenance.git import Git

_NO_REPOSITORY = "not a git repository (or any"  # a repository that is broken gives another message

_OPERATIONS = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}
"""By the file of the git folder that tells of it; a rebase that stops at a pick has both."""


class Repository(NamedTuple):
    """What is known of a repository before its files are looked at; without git there is only the working tree."""

    work_tree: Path
    subfolder: str
    object_format: str
    git_dir: Path | None
    common_dir: Path | None
    """Where the objects are; another folder than `git_dir` in a worktree that was added."""
    settings: Mapping[str, str]
    """Those that say what is on disk and what is ignored."""
    head: str | None
    branch: str | None
    remotes: tuple[Remote, ...]
    remote_tips: tuple[str, ...]
    """What the remote-tracking branches point at, if there are remotes to ask for it."""
    operation: str | None


def find(folder: Path, *, ceiling: Path | None = None) -> Repository:
    """Return the repository that a folder is in, or the folder itself as one without git.

    It is looked for in the folder and in those above it, up to the ceiling, which is not looked at.

    Raises:
        ProvenanceError: there is a repository, but it is broken, bare, somebody else's, or needs a newer git.
    """
    here = git.in_repository(folder, ceiling=ceiling)
    outcome = git.call(here, "rev-parse", "--is-inside-work-tree", "--show-object-format")
    if outcome.code and _NO_REPOSITORY in outcome.message and not (folder / ".git").exists():
        return without_git(folder)
    if outcome.code:
        raise ProvenanceError(f"{folder}: its git repository cannot be read: {outcome.message}")
    is_inside, object_format = outcome.output.decode().split()
    if is_inside != "true":
        raise ProvenanceError(f"{folder}: a bare repository, or a .git folder; name a folder with the files themselves")
    work_tree = Path(_line(here, "rev-parse", "--show-toplevel"))
    git_dir = Path(_line(here, "rev-parse", "--absolute-git-dir"))
    remotes = _remotes(here, work_tree)
    tips = git.run(here, "for-each-ref", "--format=%(objectname)", "refs/remotes").decode().split() if remotes else ()
    return Repository(
        work_tree=work_tree,
        subfolder=_line(here, "rev-parse", "--show-prefix").rstrip("/"),
        object_format=object_format,
        git_dir=git_dir,
        common_dir=(folder / _line(here, "rev-parse", "--git-common-dir")).resolve(),
        settings=_settings(here),
        head=_head(here),
        branch=_branch(here),
        remotes=remotes,
        remote_tips=tuple(dict.fromkeys(tips)),
        operation=next((name for file, name in _OPERATIONS.items() if (git_dir / file).exists()), None),
    )


def without_git(folder: Path) -> Repository:
    """Return a folder as a repository that has nothing but its working tree."""
    return Repository(folder.resolve(), "", "sha1", None, None, {}, None, None, (), (), None)


def _line(here: Git, *arguments: str) -> str:
    return os.fsdecode(git.run(here, *arguments).removesuffix(b"\n"))


def _answer(here: Git, *arguments: str) -> str | None:
    outcome = git.call(here, *arguments)
    return None if outcome.code else outcome.output.decode("utf-8", "backslashreplace").removesuffix("\n")


def _head(here: Git) -> str | None:
    """Return what HEAD is, whether the commit is there or not, or None before the first one.

    Raises:
        ProvenanceError: the branch is there but damaged, as after a power cut; git has no word for that.
    """
    head = _answer(here, "rev-parse", "--quiet", "--verify", "HEAD")
    if head is None and _branch(here) is None:  # it is detached from nothing
        raise ProvenanceError(f"{here.folder}: what HEAD names is damaged; see: git fsck")
    return head


def _branch(here: Git) -> str | None:
    reference = _answer(here, "symbolic-ref", "--quiet", "HEAD")
    return None if reference is None else reference.removeprefix("refs/heads/")


def _settings(here: Git) -> dict[str, str]:
    """Return the settings that decide what a file on disk is in a tree: modes, letter case, and what is ignored."""
    read = git.call(here, "config", "--null", "--get-regexp", r"^core\.(filemode|ignorecase|precomposeunicode)$")
    pairs = [item.partition("\n") for item in read.output.decode("utf-8", "replace").split("\0") if item]
    found = {name: value or "true" for name, _, value in pairs}
    excludes = _answer(here, "config", "--type=path", "--get", "core.excludesFile")
    usual = os.path.expanduser(os.environ.get("XDG_CONFIG_HOME") or "~/.config")  # noqa: PTH111 - there may be no home
    return {**found, "core.excludesFile": excludes if excludes is not None else f"{usual}/git/ignore"}


def _remotes(here: Git, work_tree: Path) -> tuple[Remote, ...]:
    """Return the remotes with the addresses that git would fetch from: url.*.insteadOf is applied."""
    lines = git.run(here, "remote", "--verbose").decode("utf-8", "surrogateescape").splitlines()
    pairs = [line.partition("\t") for line in lines if " (fetch)" in line]
    urls = [(name, address.rpartition(" (fetch)")[0]) for name, _, address in pairs]
    known = [
        Remote(name, _text(remote_urls.absolute(remote_urls.without_credentials(url), work_tree))) for name, url in urls
    ]
    return tuple(sorted(known, key=lambda remote: (remote.name != "origin", remote.name)))


def _text(text: str) -> str:
    return os.fsencode(text).decode("utf-8", "backslashreplace")
