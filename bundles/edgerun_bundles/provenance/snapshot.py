"""What a capture of code gives, and what a restore gives back: plain records that know no git."""

from __future__ import annotations

from typing import NamedTuple


class Remote(NamedTuple):
    """Another repository that the code's one knows, by its name there."""

    name: str
    url: str
    """Without passwords and tokens; a relative path is made absolute."""


class UnpushedCommit(NamedTuple):
    """A commit that no remote-tracking branch has."""

    hash: str
    subject: str
    author_date: str
    """ISO 8601, with the author's own time zone."""


class LeftOut(NamedTuple):
    """A file of the folder that the captured tree does not hold as it is on disk."""

    name: str
    """Path in the tree; bytes that are no UTF-8 are written as ``\\xff``."""
    reason: str


class NestedSnapshot(NamedTuple):
    """A repository inside the captured one: a submodule, or an untracked one."""

    path: str
    """Where it lies in the tree, with slashes."""
    snapshot: CodeSnapshot


class CodeSnapshot(NamedTuple):
    """The exact code of a folder at one moment, and what is needed to give it back."""

    has_git: bool
    """Whether the folder is in a git repository. If not, the tree is that of the folder's files."""
    object_format: str
    """``sha1`` or ``sha256``: how every hash here is made."""
    remotes: tuple[Remote, ...]
    commit: str | None
    """What HEAD is, or None before the first commit and without git."""
    branch: str | None
    """What HEAD is on, or None where it is detached, and without git."""
    operation: str | None
    """What was under way: merge, rebase, cherry-pick, revert, bisect; conflicts are in the files as they were."""
    subfolder: str
    """Where in the tree the captured folder is, with slashes; the whole repository is captured, not only the folder."""
    unpushed: tuple[UnpushedCommit, ...]
    """The newest of them first."""
    unpushed_count: int
    is_dirty: bool
    """Whether index or files differ from HEAD in any byte, mode or name; a changed line ending is a difference."""
    tree: str
    """Git's hash of the captured tree."""
    left_out: tuple[LeftOut, ...]
    """Files not captured as they are: such a file is in the tree as the last pushed version has it, or not at all."""
    left_out_count: int
    ignored: tuple[str, ...]
    """What git ignores, and so is not captured; a folder ends with a slash."""
    ignored_count: int
    staged_apart: tuple[str, ...]
    """Files whose staged content is neither HEAD's nor what is on disk. Only what is on disk is captured."""
    staged_apart_count: int
    history_left_out: str
    """Why unpushed commits are not in the bundle, though their tree is; empty if they are."""
    prerequisites: tuple[str, ...]
    """Commits that a remote has, and that the bundle does not carry. Without any, the bundle suffices."""
    bundle: bytes | None
    """A git bundle whose one ref is the captured tree's commit; None where a remote has all of it."""
    nested: tuple[NestedSnapshot, ...]

    @property
    def is_exact(self) -> bool:
        """Whether the captured tree, with those of nested repositories, is the whole folder, ignored files aside."""
        return not self.left_out_count and all(nested.snapshot.is_exact for nested in self.nested)

    @property
    def bundle_bytes(self) -> int:
        """Bytes of the bundle and of those of nested repositories."""
        return len(self.bundle or b"") + sum(nested.snapshot.bundle_bytes for nested in self.nested)


class RestoredCode(NamedTuple):
    """A tree that was given back."""

    folder: str
    tree: str
    """The hash that was checked."""
    files: int
    """Files and symbolic links written, those of nested repositories included."""
    not_restored: tuple[str, ...]
    """One sentence for everything that is missing in the folder; empty where it is as it was."""
