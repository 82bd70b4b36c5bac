"""Gets commits from a remote into a scratch repository: their files alone, without their history where it can be had.

The user's own settings are in force here, and here only: they hold the proxy, the credentials and the addresses'
short forms. Whatever they say of hooks is overruled, and nobody is asked for a password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import git, remote_urls

if TYPE_CHECKING:
    from edgerun_bundles.provenance.git import Git

_OPTIONS = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance")


def fetch(scratch: Git, commits: tuple[str, ...], sources: list[str]) -> None:
    """Fetch commits from the first source that has all of them.

    Raises:
        ProvenanceError: none has; the message gives git's word on each.
    """
    if not commits:
        return
    user = git.with_user_settings(scratch)
    said = []
    for source in sources:
        outcome = git.call(user, "fetch", *_OPTIONS, "--depth=1", "--", source, *commits)
        if outcome.code:  # an old server gives only what a branch or a tag points at
            everything = ("+refs/heads/*:refs/fetched/heads/*", "+refs/tags/*:refs/fetched/tags/*")
            git.call(user, "fetch", *_OPTIONS, "--", source, *everything)
        if _has(scratch, commits):
            return
        said.append(f"{remote_urls.without_credentials(source)} ({_last_line(outcome.message)})")
    wanted = ", ".join(commits)
    if not said:
        raise ProvenanceError(f"the code stands on {wanted}, and no remote is known: name one, or a clone that has it")
    raise ProvenanceError(f"the code stands on {wanted}, which could not be had from {'; '.join(said)}: name a clone")


def _has(scratch: Git, commits: tuple[str, ...]) -> bool:
    return all(git.call(scratch, "cat-file", "-e", f"{commit}^{{commit}}").code == 0 for commit in commits)


def _last_line(message: str) -> str:
    return (message.splitlines() or ["git gave no reason"])[-1]
