"""Objects in a bucket of an S3 service. The one module that knows the client library.

Who one is, the region and the service come from the environment, as AWS's own tools have it: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL. That nothing is stored twice rests on puts that
a service must refuse where there is an object: some take the condition and ignore it, which `check` finds out.
"""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from edgerun_sync.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_REQUESTS_AT_ONCE = 16
"""Of objects that are replaced or removed together."""
_RETRIES_MAX = 5
_RETRY_TIMEOUT = timedelta(seconds=30)
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_REASON_CHARACTERS_MAX = 300


class Bucket:
    """Objects below ``s3://BUCKET/PREFIX``.

    Raises:
        StorageError: the address or the settings of the environment are wrong.
    """

    at_once = 128
    """Requests, which take tens of milliseconds each."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise StorageError(f"{url!r}: write s3://BUCKET/PREFIX")
        self._url = url
        server = _server()
        config: Any = {} if server is None else {"endpoint": server}
        retries: Any = {"max_retries": _RETRIES_MAX, "retry_timeout": _RETRY_TIMEOUT}
        with self._mapped("the settings"):
            self._store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                config=config,
                client_options={"allow_http": True} if _is_plain(server) else {},
                retry_config=retries,
            )

    def put_new(self, key: str, data: bytes) -> bool:
        """See Objects. Where a first answer was lost, what was made just now is said to have been there."""
        with self._mapped(key):
            try:
                obstore.put(self._store, key, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def replace(self, key: str, data: bytes) -> None:
        """See Objects."""
        with self._mapped(key):
            obstore.put(self._store, key, data, use_multipart=False)

    def replace_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """See Objects."""
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE, thread_name_prefix="edgerun-put") as threads:
            for _ in threads.map(lambda one: self.replace(*one), objects):
                pass

    def get(self, key: str) -> bytes | None:
        """See Objects."""
        with self._mapped(key):
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError:
                return None

    def list(self, prefix: str) -> Iterator[str]:
        """See Objects."""
        with self._mapped(prefix):
            yield from sorted(found["path"] for page in obstore.list(self._store, prefix=prefix) for found in page)

    def delete(self, key: str) -> None:
        """See Objects."""
        with self._mapped(key), suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    def delete_all(self, keys: Sequence[str]) -> None:
        """See Objects."""
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE, thread_name_prefix="edgerun-delete") as threads:
            for _ in threads.map(self.delete, keys):
                pass

    def check(self) -> None:
        """Make sure that the service keeps to conditional puts.

        Raises:
            StorageError: it does not, or nothing can be written.
        """
        key = f"checks/{secrets.token_hex(8)}"
        try:
            is_kept = self.put_new(key, b"1") and not self.put_new(key, b"2") and self.get(key) == b"1"
        finally:
            with suppress(StorageError):
                self.delete(key)
        if not is_kept:
            raise StorageError(
                f"{self._url}: the service stores objects over others although it was told not to (If-None-Match), so "
                "rows could be lost or be there twice; use another service, or a folder"
            )

    @contextmanager
    def _mapped(self, key: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            reason = str(error).partition("\n")[0][:_REASON_CHARACTERS_MAX]
            raise StorageError(f"{self._url}: {key}: {reason}") from error


def table_options() -> dict[str, str]:
    """Return how delta-rs reaches the same service: it reads the rest from the environment too."""
    server = _server()
    options = {"aws_conditional_put": "etag"} | ({} if server is None else {"aws_endpoint": server})
    return options | ({"aws_allow_http": "true"} if _is_plain(server) else {})


def _server() -> str | None:
    return next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None)


def _is_plain(server: str | None) -> bool:
    """Whether a service is on this machine, where no one listens in."""
    return server is not None and urlsplit(server).hostname in _LOOPBACK
