"""Who ran something: the name that git would write into a commit made there, else that of the system's account."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import git
from edgerun_bundles.provenance.values import readable

if TYPE_CHECKING:
    from pathlib import Path

_TEXT_MAX = 200


class Author(NamedTuple):
    """A person, as they call themselves."""

    name: str | None = None
    email: str | None = None

    @property
    def text(self) -> str:
        """Both, as git writes them."""
        return " ".join(filter(None, [self.name, f"<{self.email}>" if self.email else ""]))


def describe_author(folder: Path) -> Author | None:
    """Return who works in a folder; None if neither git nor the system knows.

    Only git's settings are read, none of its variables.
    """
    name, email = _setting(folder, "user.name"), _setting(folder, "user.email")
    if name or email:
        return Author(name, email)
    try:
        return Author(readable(getpass.getuser())[:_TEXT_MAX])
    except (OSError, KeyError, ImportError):  # an account without a name, as in some containers
        return None


def _setting(folder: Path, name: str) -> str | None:
    try:
        found = git.call(git.in_repository(folder), "config", "--get", name)
    except ProvenanceError:  # git is not installed
        return None
    return found.output.decode("utf-8", "backslashreplace").strip()[:_TEXT_MAX] or None
