"""Store: a device's bundles on its disk. Whatever the power fails at, what is current is a whole, verified bundle.

What may change, and how, is decided by `edgerun.store.state`; this module does the IO around it in the order in which
it is safe. Any number of processes and threads may use one store.
"""

from __future__ import annotations

import os
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from edgerun._shown import shown
from edgerun.artifact import MANIFEST_TYPE, Descriptor, check_digest, hex_of, parse_manifest
from edgerun.disk import RealDisk
from edgerun.errors import StoreError
from edgerun.limits import LIMITS
from edgerun.store import documents
from edgerun.store.activating import Rehearse, prove, rehearse_apart
from edgerun.store.faults import disk_errors
from edgerun.store.fetching import collect_garbage, fetch_missing, names_of
from edgerun.store.files import write_new, write_whole
from edgerun.store.holdings import Holdings, named
from edgerun.store.starting import start_candidate, start_current
from edgerun.store.state import activated, published, rolled_back, seen
from edgerun.store.verifying import Verification, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgerun.disk import Disk
    from edgerun.store.documents import Subscription
    from edgerun.store.events import Say
    from edgerun.store.garbage import Collected
    from edgerun.store.source import BlobSource
    from edgerun.store.start import Start
    from edgerun.store.state import Happening, State
    from edgerun.store.stored import StoredBundle

BUDGET_BYTES = 2**30


class Store:
    """A device's store, which is there already; `Store.create` makes one.

    Args:
        path: the folder.
        budget_bytes: what blobs may take together; beyond, those that no bundle needs go, oldest first.
        disk: of the operating system, or a stand-in.
        say: told every step; by default each is a row of the log in the folder.

    Raises:
        StoreError: there is no store.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        budget_bytes: int = BUDGET_BYTES,
        disk: Disk | None = None,
        say: Say | None = None,
    ) -> None:
        self.path = os.path.abspath(path)
        self._budget_bytes = budget_bytes
        self._holdings = Holdings(disk or RealDisk(), self.path, say)
        self._serving: Start | None = None
        if not self._holdings.state.exists():
            raise StoreError(
                f"{self.path} holds no store, or one that lost its state; it is to be created, or joined again"
            )

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str | None = None,
        budget_bytes: int = BUDGET_BYTES,
        disk: Disk | None = None,
        say: Say | None = None,
    ) -> Self:
        """Make a store, or finish one whose making was interrupted; one that is there stays as it is.

        Args:
            path: the folder, made if it is missing.
            device: who the device is, 1 to 64 letters, digits, dots, hyphens and underscores; random by default.
            budget_bytes: as for Store.
            disk: as for Store.
            say: as for Store.

        Raises:
            StoreError: the disk failed, the store belongs to another device, or it has lost its state.
        """
        folder, disk = os.path.abspath(path), disk or RealDisk()
        name = documents.check_device(os.urandom(16).hex() if device is None else device)
        made = Holdings(disk, folder, say)
        with disk_errors(f"{folder} cannot hold a store"):
            disk.make_folder(folder)
            has_blobs = "blobs" in disk.folders(folder)  # looked for first: whoever makes a store makes its state first
            if has_blobs and not made.state.exists():
                raise StoreError(f"{folder} holds blobs and has lost its state; remove it and join the device again")
            made.state.create()
            made.blobs.create()
            write_new(disk, f"{folder}/serving", b"")
            write_new(disk, f"{folder}/device.json", documents.device_document(name))
        store = cls(folder, budget_bytes=budget_bytes, disk=disk, say=say)
        if device not in {None, store.device}:
            raise StoreError(f"{folder} is the store of {store.device!r}; it cannot become that of {shown(device)}")
        return store

    # Who the device is, and what it follows.

    @property
    def device(self) -> str:
        """Who the device is.

        Raises:
            StoreError: device.json is missing or damaged.
        """
        return documents.parse_device(self._document("device.json"), f"{self.path}/device.json")

    def subscribe(self, subscription: Subscription, root: bytes | None = None) -> None:
        """Follow a channel of a repository.

        Args:
            subscription: what to follow.
            root: the TUF root that the device trusts first; None where it has one already.

        Raises:
            StoreError: a field is wrong, the device has another root or none, or the disk failed.
        """
        content = documents.subscription_document(documents.check_subscription(subscription))
        if root is not None and len(root) > LIMITS.store_document_max_bytes:
            raise StoreError(f"a root of {len(root)} bytes; at most {LIMITS.store_document_max_bytes}")
        holdings = self._holdings
        with holdings.telling(), holdings.state.held(), disk_errors(f"{self.path} cannot be subscribed"):
            if root is not None:
                write_new(holdings.disk, f"{self.path}/root.json", root)
            if self.root() is None or root not in {None, self.root()}:
                raise StoreError(f"{self.path}: a device is given one root, once; to trust another, join it again")
            write_whole(holdings.disk, f"{self.path}/subscription.json", content)
            holdings.say("subscribed", **{**subscription._asdict(), "groups": list(subscription.groups)})

    def subscription(self) -> Subscription | None:
        """Return what the device follows; None where it follows nothing.

        Raises:
            StoreError: subscription.json is damaged.
        """
        raw = self._optional_document("subscription.json")
        return None if raw is None else documents.parse_subscription(raw, f"{self.path}/subscription.json")

    def root(self) -> bytes | None:
        """Return the TUF root that the device was given first; None where it was given none.

        Raises:
            StoreError: it cannot be read.
        """
        return self._optional_document("root.json")

    # What is there.

    def state(self) -> State:
        """Return all that the store remembers.

        Raises:
            StoreError: the state is missing, damaged or cannot be read.
        """
        return self._holdings.state.read()

    def current(self) -> StoredBundle | None:
        """Return the bundle that has proven healthy; None where there is none yet.

        Raises:
            StoreError: the store is damaged or cannot be read.
        """
        return self._bundle(self.state().current)

    def previous(self) -> StoredBundle | None:
        """Return the bundle that a rollback would go back to; None where there is none.

        Raises:
            StoreError: as for current().
        """
        return self._bundle(self.state().previous)

    def candidate(self) -> StoredBundle | None:
        """Return the bundle that is to prove healthy; None where there is none.

        Raises:
            StoreError: as for current().
        """
        candidate = self.state().candidate
        return self._bundle(candidate and candidate.digest)

    def _bundle(self, digest: str | None) -> StoredBundle | None:
        return None if digest is None else self._holdings.bundle(digest)

    def history(self) -> tuple[Happening, ...]:
        """Return what happened to bundles, oldest first.

        Raises:
            StoreError: as for state().
        """
        return self.state().history

    # From fetched to current.

    def fetch(
        self,
        source: BlobSource,
        digest: str,
        size: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> StoredBundle:
        """Fetch what is missing of a bundle, or the rest of it.

        Args:
            source: where from; nothing that it gives is believed.
            digest: of the bundle's manifest.
            size: of the manifest, in bytes.
            progress: told how many bytes of how many that were missing are there.

        Raises:
            StoreError: there is no room, the bytes are not those that were promised, or the disk failed.
            BundleError: what the digest names is no bundle.
            UpdateError: the source failed. What came is kept: fetch again.
        """
        wanted = Descriptor(MANIFEST_TYPE, check_digest(digest, "the digest of a bundle"), size)
        if size > LIMITS.manifest_max_bytes:
            raise StoreError(f"the manifest {digest} has {size} bytes; at most {LIMITS.manifest_max_bytes}")
        holdings, budget_bytes = self._holdings, self._budget_bytes
        with holdings.telling():
            with disk_errors(f"{self.path} cannot hold blobs"):
                holdings.blobs.create()
            fetch_missing(holdings, source, [wanted], {hex_of(digest)}, budget_bytes, _unheard)
            with disk_errors(f"{digest} cannot be read back"):
                parse_manifest(holdings.blobs.read(digest, size))
            found = holdings.bundle(digest)
            layers = {layer.digest: layer for layer in found.manifest.layers}.values()
            fetched = fetch_missing(holdings, source, layers, names_of(found), budget_bytes, progress or _unheard)
            size = sum(blob.size for blob in fetched)
            holdings.say("bundle_fetched", **named(found), blobs=len(fetched), bytes=size)
        return found

    def activate(self, digest: str, *, rehearse: Rehearse = rehearse_apart) -> None:
        """Make a bundle the candidate, after proving that it is whole and serves here.

        Args:
            digest: of its manifest.
            rehearse: loads and runs the bundle at a path, within limits, in a process of its own. What it finds wrong
                makes the bundle bad.

        Raises:
            StoreError: the bundle is bad, is not there or not whole, the machine lacks what it needs, it does not
                serve here, or the disk failed.
        """
        with self._holdings.telling(), self._holdings.blobs.kept():
            state = self.state()
            if activated(state, digest, 0).candidate not in {None, state.candidate}:
                prove(self._holdings, digest, rehearse)
            self._holdings.apply(lambda state: activated(state, digest, int(time.time())))

    def start(self) -> Start | None:
        """Return what this process is to serve now; None where there is nothing yet.

        Where there is a candidate it is that, and one of its starts is used up, unless another process serves it; with
        none left it is rejected. Where the start cannot be written down, it is the current bundle.

        Raises:
            StoreError: the store is damaged or cannot be read.
        """
        with self._holdings.telling():
            state = self.state()
            candidate = state.candidate and state.candidate.digest
            if self._serving is not None and self._serving.bundle.digest != candidate:
                self._serving.close()
            begun = None
            if candidate is not None:
                try:
                    begun = self._serving = start_candidate(self._holdings)
                except StoreError as error:
                    if state.current is None:
                        raise
                    self._holdings.say("start_failed", digest=candidate, error=str(error))
            return begun or start_current(self._holdings)

    def rollback(self, reason: str) -> None:
        """Make the previous bundle current again, and remember the current one as bad.

        Args:
            reason: why, in a few words.

        Raises:
            StoreError: there is no previous bundle, or the disk failed.
        """
        self._holdings.apply(lambda state: rolled_back(state, reason, int(time.time())), reason=reason)

    # Metadata.

    def metadata_folder(self) -> str | None:
        """Return the folder of the metadata that is trusted; None where there is none, or it is damaged.

        Raises:
            StoreError: it cannot be read.
        """
        with disk_errors(f"the metadata of {self.path} cannot be read"):
            return self._holdings.metadata.trusted(self.state())

    def publish_metadata(
        self,
        folder: str | os.PathLike[str],
        versions: Mapping[str, int],
        root_sha256: str,
        seen_s: int,
        given_up: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Trust newer metadata from now on.

        Args:
            folder: where it lies, ROLE.json; it is copied.
            versions: TUF role to version.
            root_sha256: of root.json, 64 hexadecimal digits.
            seen_s: when it was found fresh, in seconds since 1970.
            given_up: TUF role to the floor that holds no more, for a newer root took away every key that had set it.

        Raises:
            StoreError: a version is below its floor, the folder holds something else, or the disk failed.
        """
        source, holdings = os.path.abspath(folder), self._holdings
        with holdings.telling(), holdings.state.held() as held, disk_errors(f"{source} cannot be published"):
            number = held.state.metadata + 1
            state = published(held.state, number, root_sha256, versions, seen_s, given_up)
            holdings.metadata.write(number, holdings.metadata.read(source, root_sha256))
            holdings.write(held, state)
            holdings.metadata.remove_all_but(number)
            holdings.say("metadata_published", versions=dict(versions), seen_s=seen_s)

    def saw_fresh(self, seen_s: int) -> None:
        """Remember that the trusted metadata was found fresh.

        Args:
            seen_s: when, in seconds since 1970.

        Raises:
            StoreError: the disk failed.
        """
        self._holdings.apply(lambda state: seen(state, seen_s))

    # Upkeep.

    def tell(self, event: str, **details: Any) -> None:
        """Write down something that happened, beside the store's own events; a log that fails stops nothing.

        Args:
            event: its name, such as ``update_failed``.
            details: what belongs to it.
        """
        with self._holdings.telling():
            self._holdings.say(event, **details)

    def verify(self) -> Verification:
        """Read and hash every byte of the bundles that are kept, and of the metadata.

        Raises:
            StoreError: the state is damaged or cannot be read.
        """
        return verify(self._holdings)

    def collect_garbage(self) -> Collected:
        """Remove what no bundle that is kept needs, oldest first, until the store is within its budget.

        While somebody fetches or activates, nothing is removed.

        Raises:
            StoreError: the disk failed, or a manifest is damaged, so that nobody knows what is needed.
        """
        with self._holdings.telling():
            return collect_garbage(self._holdings, (), self._budget_bytes)

    def _document(self, name: str) -> bytes:
        with disk_errors(f"{self.path}/{name} cannot be read"):
            raw = self._holdings.disk.read(f"{self.path}/{name}", LIMITS.store_document_max_bytes + 1)
        if len(raw) > LIMITS.store_document_max_bytes:
            raise StoreError(f"{self.path}/{name} is larger than {LIMITS.store_document_max_bytes} bytes")
        return raw

    def _optional_document(self, name: str) -> bytes | None:
        try:
            return self._document(name)
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise


def _unheard(done: int, total: int) -> None:
    """Nobody asked how far it is."""
