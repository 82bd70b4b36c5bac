"""A repository behind any web server that serves files: for reading only."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from edgerun.errors import InputError
from edgerun_bundles.errors import RegistryError, RepositoryError
from edgerun_bundles.registry.reference import Reference
from edgerun_bundles.registry.transport import Transport
from edgerun_bundles.repository.storage import Found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun_bundles.registry.transport import Answer

MISSING = frozenset({403, 404, 410})
"""What a server says of a file that is not there; those of object stores say 403 to whoever may not list."""
UNKNOWN = 401


class WebSource:
    """See Source.

    Args:
        url: ``http://`` or ``https://``; nothing that comes from there is trusted for coming from there.
        token: what to show a server that asks for one; it goes nowhere else.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        if "@" in parts.netloc or not parts.netloc:
            raise InputError("a repository's URL names a host, and neither a user nor a password")
        self.where = url.rstrip("/")
        self._base = parts.path.rstrip("/")
        self._transport = Transport(Reference(parts.netloc, ""), token=token, is_plain=parts.scheme == "http")
        self._transport.origin = f"{parts.scheme}://{parts.netloc}"  # also TLS on this machine

    def read(self, name: str, max_bytes: int) -> Found | None:
        """See Source."""
        with self._mapped(name), self._get(name) as answer:
            if answer.status in MISSING:
                return None
            self._expect(answer, name, 200)
            return Found(answer.read(max_bytes), answer.headers.get("ETag", ""))

    def pieces(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """See Source."""
        with self._mapped(name), self._get(name, offset) as answer:
            self._expect(answer, name, 200 if answer.status == 200 else 206)
            skipped = offset if answer.status == 200 else 0  # a server that knows no ranges starts anew
            for piece in answer.pieces():
                rest = piece[skipped:]
                skipped -= len(piece) - len(rest)
                yield rest

    def size_of(self, name: str) -> int | None:
        """See Source."""
        with self._mapped(name), self._head(name) as answer:
            if answer.status in MISSING:
                return None
            self._expect(answer, name, 200)
            return int(answer.headers.get("Content-Length", "-1"))

    def _head(self, name: str) -> Answer:
        return self._transport.request("HEAD", self._path(name))

    def _get(self, name: str, offset: int = 0) -> Answer:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        return self._transport.download(self._path(name), headers)

    def _path(self, name: str) -> str:
        return f"{self._base}/{quote(name)}"

    def _expect(self, answer: Answer, name: str, *statuses: int) -> None:
        if answer.status == UNKNOWN:
            raise RepositoryError(f"{self.where} does not take the token; ask its admin for another one")
        if answer.status not in statuses:
            raise RepositoryError(f"{self.where}: {name}: HTTP {answer.status}")

    @contextlib.contextmanager
    def _mapped(self, name: str) -> Iterator[None]:
        try:
            yield
        except RegistryError as error:
            remedy = "; set EDGERUN_TOKEN, or 'token' in repositories.toml" if error.status == UNKNOWN else ""
            raise RepositoryError(f"{self.where}: {name}: {error}{remedy}") from error
