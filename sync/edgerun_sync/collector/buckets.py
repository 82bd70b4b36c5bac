"""Objects in a bucket of an S3 service, through the client that repositories have.

Who one is, the region and the service come from the environment, as AWS's own tools have it: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL. That nothing is stored twice rests on puts that
a service must refuse where there is an object: some take the condition and ignore it, which `check` finds out.
"""

from __future__ import annotations

import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from edgerun.errors import InputError
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.repository.objects import ObjectStorage, is_this_machine, service_address
from edgerun_sync.errors import StorageError
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SCHEME = "s3://"
_REQUESTS_AT_ONCE = 16
"""Of objects that are replaced or removed together."""
_RETRY_TIMEOUT = timedelta(seconds=30)
"""A device waits for its answer meanwhile, and comes again."""


class Bucket:
    """Objects below ``s3://BUCKET/PREFIX``.

    Raises:
        StorageError: the address or the settings of the environment are wrong.
    """

    reads_at_once = LIMITS.reads_at_once
    """See Objects."""
    at_once = 128
    """Requests, which take tens of milliseconds each."""

    def __init__(self, url: str) -> None:
        if not url.startswith(_SCHEME):
            raise StorageError(f"{url!r}: write s3://BUCKET/PREFIX")
        self._url = url
        with _mapped():
            self._storage = ObjectStorage(url, _RETRY_TIMEOUT)

    def put_new(self, key: str, data: bytes) -> bool:
        """See Objects. Where a first answer was lost, what was made just now is said to have been there."""
        with _mapped():
            return self._storage.create(key, data)

    def replace(self, key: str, data: bytes) -> None:
        """See Objects."""
        with _mapped():
            self._storage.put_blob(key, iter([data]), len(data))

    def replace_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """See Objects."""
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE, thread_name_prefix="edgerun-put") as threads:
            for _ in threads.map(lambda one: self.replace(*one), objects):
                pass

    def get(self, key: str) -> bytes | None:
        """See Objects."""
        with _mapped():
            found = self._storage.read(key, sys.maxsize)
        return None if found is None else found.content

    def list(self, prefix: str) -> Iterator[str]:
        """See Objects."""
        with _mapped():
            yield from sorted(found.name for found in self._storage.names(prefix))

    def delete(self, key: str) -> None:
        """See Objects."""
        with _mapped():
            self._storage.remove(key)

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


def table_options() -> dict[str, str]:
    """Return how delta-rs reaches the same service: it reads the rest from the environment too."""
    server = service_address()
    options = {"aws_conditional_put": "etag"} | ({} if server is None else {"aws_endpoint": server})
    return options | ({"aws_allow_http": "true"} if is_this_machine(server) else {})


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (RepositoryError, InputError) as error:
        raise StorageError(str(error)) from error
