"""A repository that a fleet's collector serves: sync/PROTOCOL.md, section 6, as publishers speak it.

The service keeps the promises of a storage: it verifies a blob before anybody sees it, creates a name once, and
replaces `timestamp.json` on a condition. A blob goes in parts, and one that broke off goes on where the service has it.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from edgerun_bundles.errors import PublishedMeanwhileError, RepositoryError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.repository.storage import BLOBS, TIMESTAMP_FILE, nothing
from edgerun_bundles.repository.web import WebSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from edgerun_bundles.registry.transport import Answer
    from edgerun_bundles.repository.storage import Listed

HELD = "Upload-Offset"
"""The header that says how much of a blob the service has."""
_STORED = (200, 201, 202, 204)
_TAKEN = 412
_OTHER_PART = 409


class ServiceStorage(WebSource):
    """See Storage.

    Args:
        url: the repository's, such as ``https://fleet.example/v1/repository``.
        token: of the role publish or admin.
    """

    def create(self, name: str, content: bytes) -> bool:
        """See Storage."""
        return self._put(name, content, {"If-None-Match": "*"})

    def replace(self, name: str, content: bytes, token: str | None, last: Callable[[], None] = nothing) -> bool:
        """See Storage. The service replaces nothing but the timestamp."""
        if name != TIMESTAMP_FILE:
            return False
        last()
        return self._put(name, content, {"If-None-Match": "*"} if token is None else {"If-Match": token})

    def put_blob(self, name: str, pieces: Iterator[bytes], size: int) -> None:
        """See Storage. Parts that the service has are read, so that they are verified, and not sent."""
        held = self._held(name)
        at, part = 0, bytearray()
        for piece in pieces:
            skipped = min(len(piece), max(0, held - at))
            at += len(piece)
            part += memoryview(piece)[skipped:]
            while len(part) > LIMITS.upload_chunk_bytes:  # the last one goes only after all pieces were verified
                self._put_part(name, bytes(part[: LIMITS.upload_chunk_bytes]), at - len(part), size)
                del part[: LIMITS.upload_chunk_bytes]
        if part or not size:
            self._put_part(name, bytes(part), at - len(part), size)
        else:  # all of it is there, and the service died before it had put it together
            self._put_part(name, b"", size, size)

    def names(self, folder: str) -> Iterator[Listed]:
        """Refuse, for the service lists nothing.

        Raises:
            RepositoryError: always.
        """
        raise RepositoryError(f"{self.where}: nobody may list {folder}; do this beside the collector, in its data")

    def remove(self, name: str) -> None:
        """Refuse, for the service removes nothing.

        Raises:
            RepositoryError: always.
        """
        raise RepositoryError(f"{self.where}: nobody may remove {name}; do this beside the collector, in its data")

    def locked(self) -> AbstractContextManager[None]:
        """See Storage. The service has no locks to give."""
        return contextlib.nullcontext()

    def check_writable(self) -> None:
        """See Storage.

        Raises:
            RepositoryError: what is there only serves files, or the token may only read.
        """
        with self._mapped(TIMESTAMP_FILE), self._head(TIMESTAMP_FILE) as answer:
            self._expect(answer, TIMESTAMP_FILE, 200, *range(402, 412))
            if "PUT" not in answer.headers.get("Allow", ""):
                raise RepositoryError(
                    f"{self.where} can only be read, or only with this token; publish where its files lie, or with a "
                    "token of the role publish: set EDGERUN_TOKEN, or 'token' in repositories.toml"
                )

    def _held(self, name: str) -> int:
        with self._mapped(name), self._head(name) as answer:
            held = answer.headers.get(HELD, "0")
            return int(held) if held.isascii() and held.isdecimal() and len(held) < 20 else 0

    def _put_part(self, name: str, part: bytes, offset: int, size: int) -> None:
        span = f"{offset}-{offset + len(part) - 1}" if part else "*"
        headers = {} if len(part) == size else {"Content-Range": f"bytes {span}/{size}"}
        with self._mapped(name), self._transport.request("PUT", self._path(name), headers=headers, data=part) as answer:
            if answer.status == _OTHER_PART:
                raise PublishedMeanwhileError(f"{self.where}: somebody else sends {name} too; push again")
            self._check(answer, name)

    def _put(self, name: str, content: bytes, condition: Mapping[str, str]) -> bool:
        if name.startswith(f"{BLOBS}/"):
            self.put_blob(name, iter([content]), len(content))
            return True
        with (
            self._mapped(name),
            self._transport.request("PUT", self._path(name), headers=condition, data=content) as answer,
        ):
            if answer.status == _TAKEN:
                return False
            self._check(answer, name)
            return True

    def _check(self, answer: Answer, name: str) -> None:
        """Check that something was stored; else say what the service says."""
        if answer.status in _STORED:
            return
        said = b""
        if answer.status != 401:
            said = answer.read(LIMITS.registry_answer_max_bytes)
        with contextlib.suppress(ValueError, AttributeError, TypeError):
            message = json.loads(said).get("message")
            raise RepositoryError(f"{self.where}: {name}: HTTP {answer.status}: {str(message)[:500]}")
        self._expect(answer, name, *_STORED)
