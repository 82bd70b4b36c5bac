"""What an OCI registry can do (distribution-spec 1.1): blobs, manifests, and what refers to a manifest.

Uploads go on where they broke off, downloads too. Nothing that comes back is believed before its digest is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import quote

from edgerun.artifact import (
    MANIFEST_TYPE,
    Descriptor,
    Digester,
    Layer,
    canonical_json,
    digest_of,
    hex_of,
    parse_json,
)
from edgerun.errors import BundleError
from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun_bundles.errors import RegistryError
from edgerun_bundles.index import INDEX_TYPE, listed_object, parse_index
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.registry.transport import RETRIED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgerun_bundles.referrers import Referrer
    from edgerun_bundles.registry.transport import Answer, Transport

Advance = Callable[[int], None]

_OCTETS = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_GONE = frozenset({404, 416})
"""An upload that the registry has forgotten, or knows at another offset."""


class _Upload(NamedTuple):
    """An upload under way: where to, and how many bytes have arrived."""

    url: str
    offset: int


class Registry:
    """One repository of one registry."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self._base = f"/v2/{name}"
        self._where = f"{transport.origin}/{name}"

    def has_blob(self, digest: str, size: int) -> bool:
        """Whether a blob is there already.

        Raises:
            RegistryError: the registry refuses, or has the blob at another size.
        """
        with self._transport.request("HEAD", f"{self._base}/blobs/{digest}") as answer:
            if answer.status in {307, 308, 302, 301}:  # where its blobs lie elsewhere, it says so only for those it has
                return True
            if answer.status == 404:
                return False
            self._expect(answer, {200}, f"the blob {digest}")
            if answer.headers.get("Content-Length", str(size)) != str(size):
                raise RegistryError(f"{self._where} has {digest} with another size than {size} bytes", answer.status)
            return True

    def upload(self, path: Path, digest: str, size: int, advance: Advance) -> None:
        """Send a blob in pieces, and go on where it broke off.

        Raises:
            RegistryError: the registry refuses, or could not be reached for long.
            OSError: the file cannot be read.
        """
        upload, failures, furthest = None, 0, 0
        with path.open("rb", buffering=0) as file:
            while True:
                try:
                    upload = upload or self._begin()
                    while upload.offset < size:
                        upload = self._send_piece(upload, file, size, advance)
                        if upload.offset > furthest:  # a registry that forgets again and again gets nowhere
                            failures, furthest = 0, upload.offset
                    self._finish(upload, digest)
                except RegistryError as error:
                    failures += 1
                    if upload is None or not _is_passing(error) or failures == LIMITS.attempts_max:
                        raise
                    self._transport.wait(failures - 1)
                    if self.has_blob(digest, size):
                        return
                    upload = self._resume(upload)
                else:
                    return

    def _begin(self) -> _Upload:
        with self._transport.request("POST", f"{self._base}/blobs/uploads/") as answer:
            self._expect(answer, {202}, "an upload")
            return _Upload(self._location(answer), 0)

    def _send_piece(self, upload: _Upload, file: BinaryIO, size: int, advance: Advance) -> _Upload:
        file.seek(upload.offset)
        piece = file.read(min(LIMITS.upload_chunk_bytes, size - upload.offset))
        if not piece:
            raise BundleError(f"a blob became shorter than {size} bytes while it was sent")
        end = upload.offset + len(piece)
        headers = {**_OCTETS, "Content-Range": f"{upload.offset}-{end - 1}"}
        with self._transport.send("PATCH", upload.url, headers=headers, data=piece) as answer:
            self._expect(answer, {202}, "a piece of an upload")
            advance(len(piece))
            return _Upload(self._location(answer), end)

    def _finish(self, upload: _Upload, digest: str) -> None:
        url = f"{upload.url}{'&' if '?' in upload.url else '?'}digest={quote(digest)}"
        with self._transport.send("PUT", url, headers=_OCTETS) as answer:
            self._expect(answer, {201, 204}, f"the blob {digest}")

    def _resume(self, upload: _Upload | None) -> _Upload | None:
        """Ask how much has arrived; None where the upload must begin anew."""
        if upload is None:
            return None
        with self._transport.request("GET", upload.url) as answer:
            arrived = _RANGE.fullmatch(answer.headers.get("Range", ""))
            if answer.status != 204 or arrived is None or "Location" not in answer.headers:
                return None
            offset = int(arrived[1]) + 1
            # docker's registry says 0-0 for an upload of no byte as well as of one; the former can be told again
            return _Upload(self._location(answer), offset) if offset > 1 else None

    def download(self, expected: Layer | Descriptor, target: Path, advance: Advance) -> None:
        """Get a blob into a new file, verified; never more bytes than it has.

        Raises:
            BundleError: its bytes are not those that its digest promises.
            RegistryError: the registry does not have it, or the connection breaks off again and again.
            OSError: the file cannot be written.
        """
        digester, failures = Digester(), 0
        with target.open("xb") as file:
            while digester.size < expected.size or not failures:
                before = digester.size
                try:
                    self._download_rest(expected, file, digester, advance)
                    break
                except RegistryError as error:
                    failures = failures + 1 if digester.size == before else 1
                    if error.status is not None or failures == LIMITS.attempts_max:
                        raise
                    self._transport.wait(failures - 1)
        digester.check(expected, f"{self._where}: the blob {expected.digest}")

    def _download_rest(
        self, expected: Layer | Descriptor, file: BinaryIO, digester: Digester, advance: Advance
    ) -> None:
        headers = {"Range": f"bytes={digester.size}-"} if digester.size else {}
        with self._transport.download(f"{self._base}/blobs/{expected.digest}", headers) as answer:
            self._expect(answer, {200, 206}, f"the blob {expected.digest}")
            skipped = digester.size if answer.status == 200 else 0  # a registry that knows no ranges starts anew
            for piece in answer.pieces():
                rest = piece[skipped:]
                skipped -= len(piece) - len(rest)
                if digester.size + len(rest) > expected.size:
                    raise BundleError(f"{self._where}: {expected.digest} has more than {expected.size} bytes")
                digester.update(rest)
                file.write(rest)
                advance(len(rest))
        if digester.size < expected.size:
            raise RegistryError(f"{self._where}: {expected.digest} broke off after {digester.size} bytes")

    def manifest(self, reference: str, media_type: str = MANIFEST_TYPE) -> bytes | None:
        """Return the bytes of a manifest by its tag or digest; None if there is none.

        Raises:
            BundleError: a digest was given and the bytes are others.
            RegistryError: the registry refuses, or has something else there.
        """
        url = f"{self._base}/manifests/{reference}"
        with self._transport.download(url, {"Accept": media_type}) as answer:
            if answer.status == 404:
                return None
            self._expect(answer, {200}, f"the manifest {reference}")
            found = answer.headers.get("Content-Type", "").partition(";")[0].strip()
            if found != media_type:
                raise RegistryError(
                    f"{self._where}: {reference} is of type {found!r}, not {media_type!r}", answer.status
                )
            limit = DEVICE_LIMITS.manifest_max_bytes if media_type == MANIFEST_TYPE else LIMITS.index_max_bytes
            raw = answer.read(limit)
        if reference.startswith("sha256:") and digest_of(raw) != reference:
            raise BundleError(f"{self._where}: the manifest {reference} has the digest {digest_of(raw)}")
        return raw

    def put_manifest(self, reference: str, raw: bytes, media_type: str = MANIFEST_TYPE) -> Mapping[str, str]:
        """Store a manifest under a tag or its digest, and return the headers of the answer.

        Raises:
            RegistryError: the registry refuses, for example because a blob is missing.
        """
        url = f"{self._base}/manifests/{reference}"
        with self._transport.request("PUT", url, headers={"Content-Type": media_type}, data=raw) as answer:
            self._expect(answer, {201}, f"the manifest {reference}")
            return answer.headers

    def referrers(self, digest: str) -> list[Descriptor]:
        """Return what refers to a manifest, as the registry lists it or, where it knows no such list, the fallback tag.

        Raises:
            BundleError: the list is malformed.
            RegistryError: the registry refuses.
        """
        url = f"{self._base}/referrers/{digest}"
        with self._transport.download(url, {"Accept": INDEX_TYPE}) as answer:
            is_index = answer.headers.get("Content-Type", "").partition(";")[0].strip() == INDEX_TYPE
            if answer.status == 200 and is_index:
                return parse_index(answer.read(LIMITS.index_max_bytes), f"{self._where}: the referrers")
        raw = self.manifest(_fallback_tag(digest), INDEX_TYPE)
        return [] if raw is None else parse_index(raw, f"{self._where}: {_fallback_tag(digest)}")

    def put_referrer(self, referrer: Referrer, raw: bytes) -> None:
        """Store a manifest that refers to another, and list it where the registry does not do so itself.

        Raises:
            BundleError: the list that is there is malformed.
            RegistryError: the registry refuses.
        """
        headers = self.put_manifest(referrer.digest, raw)
        if headers.get("OCI-Subject") == referrer.subject:
            return
        tag = _fallback_tag(referrer.subject)
        known = self.manifest(tag, INDEX_TYPE)
        listed = [] if known is None else _listed(known, f"{self._where}: {tag}")
        if any(entry.get("digest") == referrer.digest for entry in listed):
            return
        document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*listed, listed_object(referrer)]}
        self.put_manifest(tag, canonical_json(document), INDEX_TYPE)

    def _location(self, answer: Answer) -> str:
        if not answer.location:
            raise RegistryError(f"{self._where} does not say where to send a blob", answer.status)
        return answer.location

    def _expect(self, answer: Answer, statuses: set[int], what: str) -> None:
        """Check the status of an answer, and tell what the registry says of an error."""
        if answer.status in statuses:
            return
        try:
            said = parse_json(answer.read(LIMITS.registry_answer_max_bytes), "", LIMITS.registry_answer_max_bytes)
            errors = said["errors"]
            reason = ", ".join(str(error.get("message") or error.get("code"))[:200] for error in errors[:3])
        except (BundleError, RegistryError, LookupError, TypeError, AttributeError):
            reason = ""
        hint = {401: "log in first", 403: "you may not do that", 404: "it is not there"}.get(answer.status, "")
        told = "; ".join(filter(None, (f"HTTP {answer.status}", reason, hint)))
        raise RegistryError(f"{self._where} refuses {what}: {told}", answer.status)


def _listed(raw: bytes, where: str) -> list[dict[str, Any]]:
    """The entries of an index as they are, with the fields that others have put there."""
    parse_index(raw, where)
    document: dict[str, Any] = parse_json(raw, where, LIMITS.index_max_bytes)
    return [*document["manifests"]]


def _fallback_tag(digest: str) -> str:
    return f"sha256-{hex_of(digest)}"


def _is_passing(error: RegistryError) -> bool:
    return error.status is None or error.status in RETRIED or error.status in _GONE
