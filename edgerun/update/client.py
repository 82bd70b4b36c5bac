"""One look at the repository that a device follows, and what came of it. bundles/REPOSITORY.md says who gets what.

Metadata is verified in a scratch folder and trusted by one write of the store's state; only then is a bundle fetched.
Whatever goes wrong on the way leaves the store as it was, and what is active goes on serving.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

from edgerun.artifact import Descriptor, digest_of
from edgerun.errors import EdgerunError, StoreError, UpdateError
from edgerun.limits import LIMITS
from edgerun.requirements import this_machine
from edgerun.store.activating import Rehearse, rehearse_apart
from edgerun.update.channel import (
    Channel,
    Release,
    bundle_role,
    bundle_target,
    channel_role,
    channel_target,
    choose,
    parse_channel,
    refusals,
)
from edgerun.update.clock import reference_time_s
from edgerun.update.repository import RepositoryBlobs, fetch_document
from edgerun.update.source import open_source
from edgerun.update.trust import Known, Trust, is_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgerun.requirements import Machine
    from edgerun.store import Store, Subscription
    from edgerun.store.state import State
    from edgerun.update.source import Source

DOCUMENT = "channel.json"
"""Where the channel document lies among trusted metadata, so that a device that looks again need not fetch it."""

SEEN_EVERY_S = 6 * 3600
"""How often the store is told that metadata is still fresh, where nothing else has changed: each time costs a write."""


ERROR_MAX_LENGTH = 1000
"""Characters of an error that the log keeps."""


class Update(NamedTuple):
    """What came of one look at the repository."""

    what: str
    """``activated`` (a bundle was fetched and is the candidate now), ``current`` (the one that the channel names is
    active already) or ``none`` (the channel has nothing for this device, which keeps what it has)."""

    why: str
    """The same as a sentence."""

    version: str | None = None
    """The version that the channel names for this device."""

    digest: str | None = None
    """Its digest."""

    received_bytes: int = 0
    """Bytes of bundles that were fetched."""


class _Choice(NamedTuple):
    """What the channel names for this device."""

    release: Release
    manifest: Descriptor


def update(
    store: Store,
    *,
    source: Source | None = None,
    ca_file: str | None = None,
    token: str | None = None,
    machine: Machine | None = None,
    now_s: float | None = None,
    rehearse: Rehearse = rehearse_apart,
    progress: Callable[[int, int], None] | None = None,
) -> Update:
    """Look once at the repository that a store follows, and activate the bundle that is for this device.

    Args:
        store: the device's store, which was joined to a repository.
        source: where the repository lies; by default where the subscription says.
        ca_file: certificates in PEM that may vouch for its server.
        token: what tells that server who asks.
        machine: what this machine has; by default found out.
        now_s: what the clock says, in seconds since 1970.
        rehearse: how a bundle is proven before it is activated; by default in a process of its own.
        progress: told how many bytes are there and how many are needed, again and again.

    Raises:
        UpdateError: the repository cannot be reached, or is not to be trusted.
        StoreError: the store follows none, the disk is full or failed, or the bundle is not fit to be served here.
        BundleError: what was published is no bundle.
    """
    subscription = store.subscription()
    if subscription is None:
        raise StoreError(f"{store.path} follows no repository; run: edgerun device join")
    try:
        opened = open_source(subscription.repository, ca_file, token=token) if source is None else source
        with contextlib.ExitStack() as stack:
            if source is None:
                stack.callback(opened.close)
            scratch = stack.enter_context(_scratch_folder())
            look = _Look(store, subscription, opened, scratch, time.time() if now_s is None else now_s)
            choice = look.choose(machine or this_machine())
            return choice if isinstance(choice, Update) else look.take(choice, rehearse, progress)
    except EdgerunError as error:
        store.tell("update_failed", repository=subscription.repository, error=str(error)[:ERROR_MAX_LENGTH])
        raise


@contextlib.contextmanager
def _scratch_folder() -> Iterator[str]:
    """A folder for metadata that nobody trusts yet."""
    try:
        with tempfile.TemporaryDirectory(prefix="edgerun-update-", ignore_cleanup_errors=True) as folder:
            yield folder
    except OSError as error:
        raise UpdateError(f"there is no room for a scratch folder: {error.strerror or error}; make some") from error


class _Look:
    """One look at a repository."""

    def __init__(self, store: Store, subscription: Subscription, source: Source, scratch: str, now_s: float) -> None:
        self._store, self._follows, self._source = store, subscription, source
        self._state: State = store.state()
        self._time_s = reference_time_s(now_s, self._state.seen_s)
        self._work, self._ready = os.path.join(scratch, "tuf"), os.path.join(scratch, "trusted")
        os.mkdir(self._work)
        os.mkdir(self._ready)
        self._before = _files(store.metadata_folder())
        self._trust = Trust(source, self._work, self._known(), self._time_s)

    def choose(self, machine: Machine) -> _Choice | Update:
        """Find what the channel names for this device, and trust the metadata that says so."""
        self._trust.refresh()
        document = self._document()
        channel = parse_channel(document)
        if (channel.channel, channel.bundle) != (self._follows.channel, self._follows.bundle):
            raise UpdateError(
                f"{self._source.where}: the document of {self._follows.channel}/{self._follows.bundle} is that of "
                f"{channel.channel}/{channel.bundle}; have the channel's owners set it again"
            )
        choice = self._choice(channel, machine)
        self._publish(document)
        return Update("none", self._why_none(channel, machine)) if choice is None else choice

    def take(self, choice: _Choice, rehearse: Rehearse, progress: Callable[[int, int], None] | None) -> Update:
        """Fetch and activate a bundle, unless it is active already."""
        version, digest = choice.release.version, choice.manifest.digest
        name = f"{self._follows.bundle}@{version}"
        candidate = self._state.candidate
        if digest == (candidate.digest if candidate is not None else self._state.current):
            return Update("current", f"{name} is active already", version, digest)
        blobs = RepositoryBlobs(self._source)
        found = self._store.fetch(blobs, digest, choice.manifest.size, progress)
        if (found.name, found.version) != (self._follows.bundle, version):
            raise UpdateError(
                f"{self._source.where}: {name} is really {found.name}@{found.version}; have it published again"
            )
        self._store.activate(digest, rehearse=rehearse)
        return Update("activated", f"{name} was fetched and activated", version, digest, blobs.received_bytes)

    def _known(self) -> Known:
        files, floors = dict(self._before), self._state.floors
        files.pop(DOCUMENT, None)
        root = files.pop("root.json", b"")
        is_whole = hashlib.sha256(root).hexdigest() == self._state.root and all(map(is_metadata, files.values()))
        if not is_whole:
            return Known(self._store.root() or b"", floors=floors)
        return Known(root, {name.removesuffix(".json"): raw for name, raw in files.items()}, floors)

    def _document(self) -> bytes:
        follows = self._follows
        path = channel_target(follows.channel, follows.bundle)
        wanted = self._trust.target(channel_role(follows.channel), path)
        if wanted is None:
            raise UpdateError(f"{self._source.where} has no {path}; have the channel set, or join with another one")
        if wanted.size > LIMITS.channel_max_bytes:
            raise UpdateError(f"{self._source.where}: {path} is larger than {LIMITS.channel_max_bytes} bytes")
        known = self._before.get(DOCUMENT, b"")
        return known if digest_of(known) == wanted.digest else fetch_document(self._source, wanted)

    def _manifest(self, version: str) -> Descriptor | None:
        bundle = self._follows.bundle
        return self._trust.target(bundle_role(bundle), bundle_target(bundle, version))

    def _choice(self, channel: Channel, machine: Machine) -> _Choice | None:
        def is_bad(version: str) -> bool:
            manifest = self._manifest(version)
            return manifest is not None and self._state.why_bad(manifest.digest) is not None

        release = choose(channel, self._store.device, self._follows.groups, machine, is_bad)
        if release is None:
            return None
        manifest = self._manifest(release.version)
        if manifest is None:
            raise UpdateError(
                f"{self._source.where}: the channel {channel.channel} names {channel.bundle}@{release.version}, which "
                "no publisher has published; have the channel set again"
            )
        return _Choice(release, manifest)

    def _why_none(self, channel: Channel, machine: Machine) -> str:
        for release in channel.releases:
            told = refusals(channel, release, self._store.device, self._follows.groups, machine)
            return f"{channel.bundle}@{release.version}: {'; '.join(told) or 'it was found bad here before'}"
        return f"the channel {channel.channel} has no release of {channel.bundle}"

    def _publish(self, document: bytes) -> None:
        """Trust what was found good, where it says anything new."""
        files = {f"{role}.json": _read(os.path.join(self._work, f"{role}.json")) for role in self._trust.versions}
        files[DOCUMENT] = document
        if files == self._before:
            if self._time_s - self._state.seen_s >= SEEN_EVERY_S:
                self._store.saw_fresh(self._time_s)
            return
        for name, raw in files.items():
            with open(os.path.join(self._ready, name), "wb") as file:
                file.write(raw)
        root_sha256 = hashlib.sha256(files["root.json"]).hexdigest()
        trust = self._trust
        self._store.publish_metadata(self._ready, trust.versions, root_sha256, self._time_s, trust.given_up)


def _files(folder: str | None) -> dict[str, bytes]:
    """The files of a folder of trusted metadata; none where it cannot be read, so that it counts as damaged."""
    if folder is None:
        return {}
    with contextlib.suppress(OSError):
        return {name: _read(os.path.join(folder, name)) for name in os.listdir(folder)}
    return {}


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(LIMITS.metadata_max_bytes + 1)
