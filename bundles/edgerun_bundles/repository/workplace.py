"""A repository as one person works with it: where it lies, which root is trusted, whose keys sign, what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from edgerun.update.channel import bundle_role
from edgerun_bundles.repository import catalogue, rotation, trust
from edgerun_bundles.repository.channels import release
from edgerun_bundles.repository.drafting import Draft
from edgerun_bundles.repository.keys import KeyFolder
from edgerun_bundles.repository.metadata import raw_of
from edgerun_bundles.repository.publishing import check_signers, publish
from edgerun_bundles.repository.pushing import Sent, add_version, check_blobs, send_blobs, utc_now
from edgerun_bundles.repository.reading import check_fresh, read_state
from edgerun_bundles.repository.storage import nothing, open_source, open_storage, unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root

    from edgerun_bundles.layout import Layout
    from edgerun_bundles.repository.keys import Ask
    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.storage import Progress, Source, Storage

_Some = TypeVar("_Some")


class Offer(NamedTuple):
    """A channel that gets a version as it is pushed."""

    channel: str
    """The channel."""

    share_ppm: int
    """The share of devices, in millionths."""

    groups: Sequence[str]
    """The groups of devices; none is all."""


class Pushed(NamedTuple):
    """What a push did."""

    name: str
    """Of the bundle."""

    version: str
    """Of the bundle."""

    digest: str
    """Of its manifest."""

    blobs: Sent
    """What was sent and what was there."""

    is_published: bool
    """Whether something was published; a bundle that was there already changes nothing."""


class NoKeys:
    """Nobody's keys."""

    def signers(self, _: Collection[str]) -> list[CryptoSigner]:
        """Return nobody's signers."""
        return []


class Workplace:
    """A repository, open for one person.

    Attributes:
        place: its URL or path.
        source: where its files lie.
        root: the root that is trusted.
        keys: whose keys sign.
    """

    def __init__(self, place: str, source: Source, root: bytes, keys: KeyFolder | NoKeys) -> None:
        self.place, self.source, self.root, self.keys = place, source, root, keys

    @classmethod
    def open(cls, given: str | None = None, keys: Path | None = None, ask: Ask | None = None) -> Workplace:
        """Open a repository that this workstation trusts.

        Args:
            given: its place; None is that of EDGERUN_REPOSITORY, or the default.
            keys: the folder of keys; None is the one that is known.
            ask: gives the passphrase of a private key's file; None where nothing is to be signed.

        Raises:
            InputError: no repository is chosen.
            RepositoryError: it is not trusted here.
        """
        known = trust.trusted(trust.chosen_place(given))
        folder = keys or known.keys
        held = NoKeys() if folder is None or ask is None else KeyFolder(folder, ask)
        return cls(known.place, open_source(known.place), known.root, held)

    @property
    def storage(self) -> Storage:
        """Where its files lie, for writing.

        Raises:
            RepositoryError: the place can only be read.
        """
        return open_storage(self.place)

    def read(self) -> State:
        """Read and verify what is there, and remember its versions: an older copy is refused from now on.

        Raises:
            RepositoryError: it is not what it should be.
        """
        state = read_state(self.source, self.root, trust.floors(self.place))
        self.remember(state)
        return state

    def remember(self, state: State) -> None:
        """Keep the versions of a state: an older copy is refused from now on."""
        self.root = raw_of(state.root)
        trust.remember(self.place, state.versions, self.root)

    def read_before(self, root: Metadata[Root]) -> State:
        """Read what is there as it is for the root before one that is to be stored; see `rotation.read_before`."""
        return rotation.read_before(self.source, self.root, root)

    def store_root(self, state: State, root: Metadata[Root]) -> None:
        """Make a complete root the repository's.

        Raises:
            PublishedMeanwhileError: somebody else was faster.
            RepositoryError: a key is missing for what must be signed again, or something cannot be stored.
        """
        after = rotation.store(self.storage, state, root, self.keys, utc_now())
        self.remember(after or state._replace(root=root))

    def change(self, edit: Callable[[Draft], _Some], last: Callable[[], None] = nothing) -> _Some:
        """Publish what a function changes of a draft; nothing is published where it changes nothing.

        Args:
            edit: changes the draft that it is given; what it returns is returned.
            last: a check right before the moment of publication.

        Raises:
            PublishedMeanwhileError: somebody else was faster; do it again.
            RepositoryError: a key is missing, or something cannot be stored.
        """
        draft = Draft(self.read())
        result = edit(draft)
        if draft.changed:
            self.publish(draft, last=last)
        return result

    def publish(self, draft: Draft, now: datetime | None = None, last: Callable[[], None] = nothing) -> State:
        """Publish a draft; as `change` else."""
        state = publish(self.storage, draft, self.keys, now or utc_now(), last)
        self.remember(state)
        return state

    def fetch(self, name: str, version: str, destination: Path, progress: Progress = unseen) -> Layout:
        """Get a bundle with its provenance into a layout.

        Raises:
            BundleError: what came is not what its digest promises, or the folder cannot be written.
            RepositoryError: it is not published, the repository has expired, or something cannot be had.
        """
        state = self.read()
        check_fresh(state, utc_now(), (bundle_role(name),))
        return catalogue.fetch(self.source, state, name, version, destination, progress)

    def push(self, layout: Layout, offers: Sequence[Offer] = (), progress: Progress = unseen) -> Pushed:
        """Publish a bundle, and give it to channels at the same moment.

        Args:
            layout: from `read_layout`, so that nothing broken is sent.
            offers: the channels that get it.
            progress: gives, for a number of bytes, a context manager of a function to call with bytes done.

        Raises:
            BundleError: a file became another while it was sent.
            PublishedMeanwhileError: somebody else was faster; do it again, blobs are not sent twice.
            RepositoryError: the version has other bytes already, a key is missing, or something cannot be stored.
        """
        manifest, storage = layout.manifest, self.storage
        draft = Draft(self.read())
        add_version(draft, manifest, layout.referrers, utc_now())
        check_signers(storage, draft, self.keys, utc_now())
        storage.check_writable()
        sent = send_blobs(storage, layout, progress)
        for offer in offers:
            release(
                storage, draft, offer.channel, manifest.name, manifest.version,
                share_ppm=offer.share_ppm, groups=offer.groups,
            )  # fmt: skip
        if draft.changed:
            self.publish(draft, last=check_blobs(storage, layout.blobs))
        return Pushed(manifest.name, manifest.version, manifest.digest, sent, bool(draft.changed))
