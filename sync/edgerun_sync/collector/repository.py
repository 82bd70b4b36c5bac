"""The repository of bundles that a collector serves, as requests see it: bundles/REPOSITORY.md over sync/PROTOCOL.md.

It knows nothing of HTTP but its status codes. Reading is for everybody who has a token, since every reader verifies;
what publishers send is verified before anybody reads it, and each publication is in the audit log.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.repository import admission
from edgerun_bundles.repository.pushing import utc_now
from edgerun_bundles.repository.storage import TIMESTAMP_FILE, blob_name
from edgerun_sync.collector.credentials import Role
from edgerun_sync.collector.uploads import Uploads
from edgerun_sync.errors import RefusedError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun_bundles.repository.admission import Publication
    from edgerun_bundles.repository.storage import Found, Storage
    from edgerun_sync.collector.audit import Audit
    from edgerun_sync.collector.credentials import Credential
    from edgerun_sync.collector.uploads import Span

PATH = "v1/repository"
"""Where it is, below the service's URL: what an enrolment answers."""
TIMESTAMP = "timestamp.json"
NAMES_TOLD = 32
"""Targets that an audit entry names; of more, it has the number."""

_HEX = re.compile(r"[0-9a-f]{64}")


class Content(NamedTuple):
    """A file of metadata."""

    raw: bytes
    """Its bytes."""

    etag: str
    """What tells them from others."""


class Repository:
    """The repository of a collector's data.

    Args:
        storage: where its files lie.
        parts: where parts of blobs are kept until these are whole.
        audit: where publications are written down.
    """

    def __init__(self, storage: Storage, parts: Storage, audit: Audit) -> None:
        self.storage = storage
        self.uploads = Uploads(parts, storage)
        self._audit = audit
        self._checked = _Checked(storage)

    # Reading.

    def metadata(self, file: str) -> Content:
        """Return a file of metadata.

        Raises:
            RefusedError: 404: there is none of that name.
            RepositoryError: the store fails.
        """
        parsed = admission.parse_file(file)
        name = TIMESTAMP_FILE if file == TIMESTAMP else parsed.name if parsed is not None else None
        found = self.storage.read(name, DEVICE_LIMITS.metadata_max_bytes) if name is not None else None
        if found is None:
            why = "no repository is published here" if file == TIMESTAMP else f"there is no {file[:100]!r}"
            raise RefusedError(404, "unknown", why)
        return Content(found.content, _etag(found.content))

    def blob_size(self, hexadecimal: str) -> int:
        """Return how many bytes a blob has.

        Raises:
            RefusedError: 404: there is none.
            RepositoryError: the store fails.
        """
        size = self.storage.size_of(blob_name(_checked_hex(hexadecimal)))
        if size is None:
            raise RefusedError(404, "unknown", "there is no such blob")
        return size

    def blob(self, hexadecimal: str, offset: int) -> Iterator[bytes]:
        """Give the bytes of a blob from an offset on.

        Raises:
            RefusedError: 404: that is no blob's name.
            RepositoryError: by the iterator: the store fails.
        """
        return self.storage.pieces(blob_name(_checked_hex(hexadecimal)), offset)

    def offer(self) -> dict[str, Any] | None:
        """Return where devices find the repository, and the root that they trust first; None where there is none.

        Raises:
            RepositoryError: the store fails.
        """
        root = admission.newest_root_bytes(self.storage)
        return None if root is None else {"url": PATH, "root": json.loads(root)}

    # Publishing.

    def held(self, credential: Credential, hexadecimal: str) -> int:
        """Return how much of a blob somebody has sent.

        Raises:
            RepositoryError: the store fails.
        """
        return self.uploads.held(credential.name, _checked_hex(hexadecimal))

    def put_blob(self, credential: Credential, hexadecimal: str, span: Span, body: bytes) -> int | None:
        """Take a blob, or a part of one; returns how many bytes are there, or None where it is whole and in its place.

        Raises:
            RefusedError: the sender may not publish, the blob is too large, or these are not its bytes.
            RepositoryError: the store fails.
        """
        need_publisher(credential)
        return self.uploads.take(credential.name, _checked_hex(hexadecimal), span, body)

    def put_metadata(self, credential: Credential, file: str, raw: bytes) -> None:
        """Make a file of metadata.

        Raises:
            RefusedError: the sender may not publish, the name is taken, or it is not what it should be.
            RepositoryError: the store fails.
            CollectorError: likewise.
        """
        need_publisher(credential)
        parsed = admission.parse_file(file)
        if parsed is None:
            raise RefusedError(404, "unknown", f"{file[:100]!r} is no file of metadata")
        taken = RefusedError(412, "taken", f"{file} is there already, and is never replaced")
        if self.storage.size_of(parsed.name) is not None:
            raise taken
        try:
            admission.check_file(self._checked, parsed, raw)
        except RepositoryError as error:
            raise RefusedError(422, "invalid", str(error)) from error
        if not self.storage.create(parsed.name, raw):
            raise taken
        if parsed.role == "root":
            self._audit.append(credential.name, "repository.root", file, {"sha256": _sha256(raw)})

    def publish(self, credential: Credential, raw: bytes, etag: str | None) -> str:
        """Replace the timestamp, which is the moment of publication; returns its new tag.

        Args:
            credential: who publishes.
            raw: the timestamp.
            etag: of the one that is to be replaced; None where there is none yet.

        Raises:
            RefusedError: the sender may not publish, somebody else has published meanwhile, or what would be published
                does not verify.
            RepositoryError: the store fails.
            CollectorError: likewise.
        """
        need_publisher(credential)
        meanwhile = RefusedError(412, "published-meanwhile", "somebody else has published meanwhile; do it again")
        found = self.storage.read(TIMESTAMP_FILE, DEVICE_LIMITS.timestamp_max_bytes)
        if (_etag(found.content) if found is not None else None) != etag:
            raise meanwhile
        try:
            publication = admission.check_publication(self._checked, raw, utc_now())
        except RepositoryError as error:
            raise RefusedError(422, "invalid", str(error)) from error
        if not self.storage.replace(TIMESTAMP_FILE, raw, found.token if found is not None else None):
            raise meanwhile
        version = publication.versions["timestamp"]
        self._audit.append(credential.name, "repository.publish", f"timestamp {version}", _told(publication))
        return _etag(raw)


def need_publisher(credential: Credential) -> None:
    """Refuse whoever may not publish.

    Raises:
        RefusedError: 403.
    """
    if not credential.may(Role.PUBLISH):
        raise RefusedError(403, "forbidden", f"this takes a token of the role publish; this one has {credential.role}")


def _checked_hex(text: str) -> str:
    if not _HEX.fullmatch(text):
        raise RefusedError(404, "unknown", "a blob's name is 64 hexadecimal digits, in lower case")
    return text


def _told(publication: Publication) -> dict[str, Any]:
    """What the audit log says of a publication: the roles whose metadata changed, and the targets."""
    told: dict[str, Any] = {"roles": dict(publication.versions)}
    for what, names in (("targets", publication.targets), ("withdrawn", publication.withdrawn)):
        if names:
            told[what] = [*names[:NAMES_TOLD]]
        if len(names) > NAMES_TOLD:
            told[f"{what}_more"] = len(names) - NAMES_TOLD
    return told


def _etag(raw: bytes) -> str:
    return f'"{_sha256(raw)}"'


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


class _Checked:
    """The storage, for verifying: a failure of its own is told apart from metadata that is wrong."""

    def __init__(self, storage: Storage) -> None:
        self.where = "the repository"
        self._storage = storage

    def read(self, name: str, max_bytes: int) -> Found | None:
        """See Source."""
        try:
            return self._storage.read(name, max_bytes)
        except RepositoryError as error:
            raise StorageError(str(error)) from error

    def pieces(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """See Source."""
        return self._storage.pieces(name, offset)

    def size_of(self, name: str) -> int | None:
        """See Source."""
        try:
            return self._storage.size_of(name)
        except RepositoryError as error:
            raise StorageError(str(error)) from error
