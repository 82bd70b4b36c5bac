"""Where a repository lies, as bytes by their paths: a folder, a web server, a stick. None of it is believed.

A source says what it has and who it is, for errors; whether the bytes are right is for those who know their digests
or their signatures.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from edgerun._shown import shown
from edgerun.artifact import hex_of
from edgerun.errors import UpdateError

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES = 2**16
"""Read at a time."""


class Source(Protocol):
    """Where the files of a repository come from."""

    where: str
    """The repository, for messages."""

    def open(self, path: str, offset: int = 0) -> Iterator[bytes] | None:
        """Give the bytes of a file from an offset on, in pieces; None where it is not there.

        Raises:
            UpdateError: now or while they are read: it cannot be reached, or is too slow.
        """

    def close(self) -> None:
        """Let go of connections and files."""


class Folder:
    """A repository in a folder of this machine."""

    def __init__(self, path: str) -> None:
        self.where = path
        if not os.path.isdir(path):
            raise UpdateError(f"{path} is no folder; is the repository's disk mounted?")

    def open(self, path: str, offset: int = 0) -> Iterator[bytes] | None:
        """Give the bytes of a file from an offset on, in pieces; None where it is not there.

        Raises:
            UpdateError: it cannot be read, or is no regular file.
        """
        found = os.path.join(self.where, *path.split("/"))
        try:
            # a pipe on somebody's stick must not be waited for
            descriptor = os.open(found, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _wrong(found, error) from error
        return self._read(descriptor, found, offset)

    def _read(self, descriptor: int, found: str, offset: int) -> Iterator[bytes]:
        try:
            with open(descriptor, "rb", buffering=0) as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise UpdateError(f"{found} is no regular file; make the repository again")
                file.seek(offset)
                while piece := file.read(PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise _wrong(found, error) from error

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _wrong(path: str, error: OSError | ValueError) -> UpdateError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return UpdateError(f"{path} cannot be read: {why}")


def open_source(repository: str, ca_file: str | None = None, *, token: str | None = None) -> Source:
    """Open a repository by its URL or path.

    Args:
        repository: ``http://`` or ``https://`` and the folder there, ``file://`` and a path, or a path.
        ca_file: certificates of those who may vouch for the server, in PEM; by default those that the system trusts.
        token: what tells a server who asks; no other place gets it.

    Raises:
        UpdateError: it is nowhere, or lies where a device cannot look.
    """
    scheme = check_repository(repository)
    if scheme in {"http", "https"}:
        from edgerun.update.web import Web  # noqa: PLC0415 - it loads much that a folder does not need

        return Web(repository, ca_file, token=token)
    path = unquote(urlsplit(repository).path) if scheme == "file" else repository
    if os.path.isfile(path):
        from edgerun.update.stick import Stick  # noqa: PLC0415 - few devices are fed by one

        return Stick(path)
    return Folder(path)


def check_repository(repository: str) -> str:
    """Return the scheme of a repository's URL; ``""`` for a path.

    Raises:
        UpdateError: it is no URL or path of a repository that a device can follow.
    """
    if not repository or not repository.isprintable():
        raise UpdateError(f"{shown(repository)} is no URL or path of a repository")
    scheme = repository.partition("://")[0] if "://" in repository else ""
    if not re.fullmatch(r"|https?|file", scheme):
        raise UpdateError(f"{shown(repository)}: a device follows http://, https://, file:// or a path")
    if not scheme:
        return scheme
    try:
        parts = urlsplit(repository)
        is_right = parts.port != 0 and not (parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError as error:
        raise UpdateError(f"{shown(repository)} is no URL: {error}") from error
    if not is_right or bool(parts.netloc) is (scheme == "file"):
        raise UpdateError(f"{shown(repository)} must have a path, and no user, query or fragment")
    return scheme


def metadata_path(name: str) -> str:
    """Return the path of a metadata file."""
    return f"metadata/{name}"


def blob_path(digest: str) -> str:
    """Return the path of a blob."""
    return f"blobs/sha256/{hex_of(digest)}"
