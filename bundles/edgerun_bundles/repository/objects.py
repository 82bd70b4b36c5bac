"""Files in an object store of the S3 kind: a repository's, or a collector's. The one module that knows its library.

Who one is, the region and the server come from the environment, as AWS's own tools have it: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL. That two writers cannot overwrite each other
rests on conditional puts, which some servers take and ignore; `check_writable` finds that out.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from edgerun.errors import InputError
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.registry.reference import Reference
from edgerun_bundles.repository.storage import METADATA, Found, Listed, nothing

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
    from obstore.store import S3Store
except ModuleNotFoundError as missing:
    lacking = str(missing.name).partition(".")[0]
    raise RepositoryError(f's3:// needs the module {lacking!r}; try: pip install "edgerun[bundles]"') from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from obstore.store import ClientConfig

PIECE_BYTES = 2**20
PART_BYTES = 8 * 2**20
"""What goes in one request; a larger blob goes in parts of this size."""
PARTS_AT_ONCE = 4
RETRIES_MAX = 5
RETRY_TIMEOUT = timedelta(seconds=60)
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
REASON_CHARACTERS_MAX = 300


class ObjectStorage:
    """See Storage.

    Args:
        url: ``s3://BUCKET/PREFIX``.
        retry_timeout: for how long a request is repeated that fails.
    """

    def __init__(self, url: str, retry_timeout: timedelta = RETRY_TIMEOUT) -> None:
        parts = urlsplit(url)
        if not parts.netloc or parts.query or parts.fragment:
            raise InputError(f"{url!r}: write s3://BUCKET/PREFIX")
        self.where = url
        server = service_address()
        options: Any = {} if server is None else {"endpoint": server}
        client: ClientConfig = {"allow_http": True} if is_this_machine(server) else {}
        retries: Any = {"max_retries": RETRIES_MAX, "retry_timeout": retry_timeout}
        with self._mapped("the settings"):
            self._store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                config=options,
                client_options=client,
                retry_config=retries,
            )

    def read(self, name: str, max_bytes: int) -> Found | None:
        """See Storage."""
        with self._mapped(name):
            try:
                found = obstore.get(self._store, name)
                if found.meta["size"] > max_bytes:
                    raise RepositoryError(f"{self.where}: {name} is larger than {max_bytes} bytes")
                return Found(bytes(found.bytes()), found.meta["e_tag"] or "")
            except FileNotFoundError:
                return None

    def pieces(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """See Storage."""
        with self._mapped(name):
            found = obstore.get(self._store, name, options={"range": {"offset": offset}} if offset else {})
            for piece in found.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)

    def size_of(self, name: str) -> int | None:
        """See Storage."""
        with self._mapped(name):
            try:
                return obstore.head(self._store, name)["size"]
            except FileNotFoundError:
                return None

    def create(self, name: str, content: bytes) -> bool:
        """See Storage."""
        return self._put(name, content, "create")

    def put_blob(self, name: str, pieces: Iterator[bytes], size: int) -> None:
        """See Storage."""
        with self._mapped(name):
            if size <= PART_BYTES:
                obstore.put(self._store, name, b"".join(pieces), use_multipart=False)
            else:
                obstore.put(self._store, name, pieces, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    def replace(self, name: str, content: bytes, token: str | None, last: Callable[[], None] = nothing) -> bool:
        """See Storage."""
        last()
        return self._put(name, content, "create" if token is None else {"e_tag": token})

    def names(self, folder: str) -> Iterator[Listed]:
        """See Storage."""
        with self._mapped(folder):
            for listed in obstore.list(self._store, prefix=folder):
                for found in listed:
                    yield Listed(found["path"], found["size"], found["last_modified"].timestamp())

    def remove(self, name: str) -> None:
        """See Storage."""
        with self._mapped(name), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, name)

    def locked(self) -> AbstractContextManager[None]:
        """See Storage. An object store has no locks."""
        return contextlib.nullcontext()

    def check_writable(self) -> None:
        """See Storage.

        Raises:
            RepositoryError: nothing can be written, or a condition that does not hold is ignored.
        """
        name = f"{METADATA}/.probe-{secrets.token_hex(8)}"
        try:
            is_kept = (
                self.create(name, b"1")
                and not self.create(name, b"2")
                and not self.replace(name, b"3", '"00000000000000000000000000000000"')
                and (found := self.read(name, PIECE_BYTES)) is not None
                and found.content == b"1"
                and self.replace(name, b"4", found.token)
                and not self.replace(name, b"5", found.token)
            )
        finally:
            with contextlib.suppress(RepositoryError):
                self.remove(name)
        if not is_kept:
            raise RepositoryError(
                f"{self.where}: the server does not keep to conditional puts (If-None-Match and If-Match), without "
                "which two people who publish at once could lose one's work; publish in a folder instead"
            )

    def _put(self, name: str, content: bytes, mode: Literal["create"] | dict[str, Any]) -> bool:
        with self._mapped(name):
            try:
                obstore.put(self._store, name, content, mode=mode, use_multipart=False)  # type: ignore[arg-type] # a dict of UpdateVersion
            except (AlreadyExistsError, PreconditionError):
                return False
            except FileNotFoundError:
                if mode == "create":  # it is the bucket that is not there
                    raise
                return False
            return True

    @contextlib.contextmanager
    def _mapped(self, name: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            reason = re.split(r"\n|: <\?xml", str(error))[0][:REASON_CHARACTERS_MAX]
            raise RepositoryError(f"{self.where}: {name}: {reason}") from error


def service_address() -> str | None:
    """Return where the service is, as the environment says; None for Amazon's own."""
    return next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), None)


def is_this_machine(server: str | None) -> bool:
    """Whether a service is on this machine, where nobody listens in."""
    return server is not None and Reference(urlsplit(server).netloc, "").is_loopback
