"""Every limit of the workstation package, in one frozen record; each is tested at the limit and one past it."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What edgerun_bundles takes at most. What a capture leaves out for a limit is named, never dropped in silence."""

    code_file_max_bytes: int = 10 * 2**20
    """Bytes of one file that a code snapshot carries. A larger one is listed as left out."""

    code_max_bytes: int = 50 * 2**20
    """Bytes of a code snapshot: of the files it carries before compression, and of its git bundles, nested ones too."""

    code_commits_max: int = 10_000
    """Unpushed commits that travel in a code snapshot. With more, the tree travels without its history."""

    names_max: int = 1000
    """Names in each list of a code snapshot: left out, ignored, unpushed. Behind each list stands the full count."""

    nested_max: int = 64
    """Repositories inside one repository whose snapshots are taken too: submodules and untracked ones."""

    nested_depth_max: int = 8
    """How deep repositories may lie inside one another and still be captured and given back."""

    listing_max_bytes: int = 2**28
    """Bytes of the list of one tree's files, 100 or so a file; a tree of trees can name more files than atoms exist."""

    restored_max_bytes: int = 16 * 2**30
    """Bytes of all files that one restore writes."""


LIMITS = Limits()
