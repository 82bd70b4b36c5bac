"""Where a repository lies: what is asked of a folder, an object store or a web server, and which of them a place is.

Nobody trusts what comes out of a storage. What it must promise is only about writing: a name is created once, whole and
durably, and `timestamp.json` is replaced by one writer at a time.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from edgerun.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Advance = Callable[[int], None]
    Progress = Callable[[int], AbstractContextManager[Advance]]

METADATA = "metadata"
BLOBS = "blobs/sha256"
TIMESTAMP_FILE = f"{METADATA}/timestamp.json"
LOCK_FILE = f"{METADATA}/.lock"

WEB_SCHEMES = ("http", "https")


class Found(NamedTuple):
    """A file that was read whole."""

    content: bytes
    """Its bytes."""

    token: str
    """What tells this content from another one that may replace it."""


class Listed(NamedTuple):
    """A file of a storage."""

    name: str
    """Its path within the repository."""

    size: int
    """Bytes."""

    changed_s: float
    """When it was written, in seconds since 1970."""


def nothing() -> None:
    """Do nothing."""


class Source(Protocol):
    """The files of a repository, for reading. Names are paths of ASCII with slashes; failures are RepositoryErrors."""

    where: str
    """The place, for messages."""

    def read(self, name: str, max_bytes: int) -> Found | None:
        """Return a file whole; None where there is none."""

    def pieces(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """Yield a file's bytes from an offset."""

    def size_of(self, name: str) -> int | None:
        """Return a file's size; None where there is none."""


class Storage(Source, Protocol):
    """The files of a repository, for writing, too."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file durably; False where the name is taken, by whatever."""

    def put_blob(self, name: str, pieces: Iterator[bytes], size: int) -> None:
        """Write a file durably and whole, or not at all where the pieces raise; one that is there is replaced."""

    def replace(self, name: str, content: bytes, token: str | None, last: Callable[[], None] = nothing) -> bool:
        """Replace a file durably if it still has its token, or if it is still missing where that is None.

        ``last`` is called when nobody else replaces anything any more, where there are locks; what it raises ends it.
        """

    def names(self, folder: str) -> Iterator[Listed]:
        """Yield the files of a folder."""

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is no error."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep other writers from replacing anything, where the storage can do that."""

    def check_writable(self) -> None:
        """Find out whether the storage keeps its promises about writing."""


def open_source(place: str) -> Source:
    """Return a repository's place, for reading.

    Args:
        place: a path, or a URL of ``file``, ``s3``, ``http`` or ``https``.

    Raises:
        InputError: it is none of these.
        RepositoryError: it cannot be set up.
    """
    if urlsplit(place).scheme in WEB_SCHEMES and "://" in place:
        from edgerun_bundles.repository.trust import token_of  # noqa: PLC0415 - it imports this module
        from edgerun_bundles.repository.web import WebSource  # noqa: PLC0415 - the HTTP library is slow to load

        return WebSource(place, token_of(place))
    return open_storage(place)


def open_storage(place: str) -> Storage:
    """Return a repository's place, for writing.

    Args:
        place: a path, or a URL of ``file``, ``s3``, ``http`` or ``https``.

    Raises:
        InputError: it is none of these.
        RepositoryError: it cannot be set up.
    """
    scheme = urlsplit(place).scheme if "://" in place else "file"
    if scheme in WEB_SCHEMES:
        from edgerun_bundles.repository.service import ServiceStorage  # noqa: PLC0415 - the HTTP library is slow to load
        from edgerun_bundles.repository.trust import token_of  # noqa: PLC0415 - it imports this module

        return ServiceStorage(place, token_of(place))
    if scheme == "s3":
        from edgerun_bundles.repository.objects import ObjectStorage  # noqa: PLC0415 - the library is slow to load

        return ObjectStorage(place)
    if scheme != "file":
        raise InputError(f"{place!r}: a repository is a path, or a URL of file, s3, http or https")
    from edgerun_bundles.repository.folder import FolderStorage  # noqa: PLC0415 - it imports this module

    return FolderStorage(folder_of(place))


def folder_of(place: str) -> Path:
    """Return the folder that a path or a URL of ``file`` names.

    Raises:
        InputError: the URL names another machine, or a relative path.
    """
    if "://" not in place:
        return Path(place)
    parts = urlsplit(place)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise InputError(f"{place!r}: write file:/// and an absolute path")
    return Path(unquote(parts.path))


def blob_name(hexadecimal: str) -> str:
    """Return where a blob lies, by the digits of its digest."""
    return f"{BLOBS}/{hexadecimal}"


def metadata_name(role: str, version: int) -> str:
    """Return where a version of a role's metadata lies."""
    return f"{METADATA}/{version}.{role}.json"


@contextlib.contextmanager
def unseen(_: int) -> Iterator[Callable[[int], None]]:
    """Give a function that shows no progress."""
    yield lambda _: None
