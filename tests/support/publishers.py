"""People who publish: keys in memory, a repository that they found, bundles in a moment, and storages that die."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from edgerun import bundle
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.repository import founding, trust
from edgerun_bundles.repository.metadata import TOP_ROLES, RoleKeys, raw_of
from edgerun_bundles.repository.pushing import utc_now
from edgerun_bundles.repository.storage import open_storage
from edgerun_bundles.repository.workplace import Workplace
from support import models

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from edgerun_bundles.layout import Layout
    from edgerun_bundles.repository.storage import Source, Storage


class Hand:
    """Keys that somebody holds, in memory."""

    def __init__(self, *signers: CryptoSigner) -> None:
        self.held = {signer.public_key.keyid: signer for signer in signers}

    def signers(self, keyids: Collection[str]) -> list[CryptoSigner]:
        return [signer for keyid, signer in self.held.items() if keyid in keyids]

    def __add__(self, other: Hand) -> Hand:
        return Hand(*self.held.values(), *other.held.values())

    @property
    def keys(self) -> tuple[Any, ...]:
        return tuple(signer.public_key for signer in self.held.values())

    @property
    def key(self) -> Any:
        (key,) = self.keys
        return key


def hand(count: int = 1) -> Hand:
    """Somebody with new keys."""
    return Hand(*(CryptoSigner.generate_ed25519() for _ in range(count)))


class Team(NamedTuple):
    """The founders: who holds which key."""

    root: Hand
    targets: Hand
    online: Hand

    @property
    def all(self) -> Hand:
        return self.root + self.targets + self.online


def team() -> Team:
    return Team(hand(), hand(), hand())


def founded(place: Path | str, people: Team, *, threshold: int = 1, now=None) -> Workplace:
    """Make a repository, trust it, and open it with everybody's keys."""
    where = trust.place_of(str(place))
    roles = dict.fromkeys(TOP_ROLES, RoleKeys(people.online.keys))
    roles |= {"root": RoleKeys(people.root.keys, threshold), "targets": RoleKeys(people.targets.keys)}
    now = now or utc_now()
    root = founding.first_root(roles, people.all, now)
    storage = open_storage(where)
    founding.found(storage, root, people.all, now)
    trust.trust(where, raw_of(root), None)
    return Workplace(where, storage, raw_of(root), people.all)


def laid(folder: Path, version: str = "1.0.0", factor: float = 2.0, name: str = "toy", **fields: Any) -> Layout:
    """The layout of a small bundle; each version is another."""
    place = folder / f"{name}-{version}-{factor}"
    place.mkdir(parents=True)
    (place / "m.onnx").write_bytes(models.steady(factor))
    golden = [{"inputs": {"x": [[1.0, 0.5]]}}]
    given = {"models": {"m": place / "m.onnx"}, "route": "m", "nodes": {}, "golden": golden, **fields}
    bundle.write(place / "bundle", name=name, version=version, **given)
    return write_layout(place / "bundle", place / "layout")


class Client:
    """A plain client of python-tuf, with its metadata in a folder of its own; it knows nothing of edgerun.

    Args:
        folder: for its metadata.
        root: that it is given.
        fetch: returns a file of the repository by its name, None where it is missing.
    """

    def __init__(self, folder: Path, root: bytes, fetch: Callable[[str], bytes | None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.root, self.fetch = folder, root, fetch

    def look(self) -> Updater:
        """Take what is newest, or raise."""
        updater = Updater(
            str(self.folder), "metadata/", str(self.folder), "", fetcher=_Fetcher(self.fetch), bootstrap=self.root
        )
        updater.refresh()
        return updater

    def blob(self, path: str) -> bytes:
        """Return the bytes that a target names, verified by python-tuf."""
        info = self.look().get_targetinfo(path)
        assert info is not None, path
        content = self.fetch(f"blobs/sha256/{info.hashes['sha256']}")
        info.verify_length_and_hashes(content)
        assert hashlib.sha256(content).hexdigest() == info.hashes["sha256"]
        return content

    def has(self, path: str) -> bool:
        return self.look().get_targetinfo(path) is not None


class _Fetcher(FetcherInterface):
    def __init__(self, fetch: Callable[[str], bytes | None]) -> None:
        self._fetch_file = fetch

    def _fetch(self, url: str) -> Iterator[bytes]:
        content = self._fetch_file(url)
        if content is None:
            raise DownloadHTTPError("missing", 404)
        yield content


def files_of(source: Source) -> Callable[[str], bytes | None]:
    """Fetch from a storage."""

    def fetch(name: str) -> bytes | None:
        found = source.read(name, 2**30)
        return None if found is None else found.content

    return fetch


def files_in(folder: Path) -> Callable[[str], bytes | None]:
    """Fetch from a folder, with nothing of edgerun's."""

    def fetch(name: str) -> bytes | None:
        path = folder / name
        return path.read_bytes() if path.is_file() else None

    return fetch


class PowerCutError(Exception):
    """A storage's machine is gone; nothing of ours catches it."""


class Dying:
    """A storage that dies before, or right after, one of its writes.

    Args:
        storage: the real one.
        writes: how many writes pass; None is all.
        is_after: whether the write that kills is done first.
    """

    def __init__(self, storage: Storage, writes: int | None = None, *, is_after: bool = False) -> None:
        self._storage, self._left, self._is_after = storage, writes, is_after
        self.done: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        return self._counted(name, found) if name in {"create", "put_blob", "replace", "remove"} else found

    def _counted(self, operation: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def write(name: str, *arguments: Any) -> Any:
            is_last = self._left is not None and len(self.done) >= self._left
            if is_last and not self._is_after:
                raise PowerCutError(operation)
            result = function(name, *arguments)
            self.done.append(f"{operation} {name}")
            if is_last:
                raise PowerCutError(operation)
            return result

        return write
