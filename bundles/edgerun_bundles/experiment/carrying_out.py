"""Publishing a step of an experiment: its versions and the channel's document, at one moment.

Of two people who take a step at the same moment, one is told to do it again.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.experiment.deriving import derived, origin_of
from edgerun_bundles.experiment.published import Published
from edgerun_bundles.repository.channels import write_document
from edgerun_bundles.repository.drafting import Draft
from edgerun_bundles.repository.publishing import check_signers
from edgerun_bundles.repository.pushing import add_version, check_blobs, send_blobs, utc_now
from edgerun_bundles.repository.storage import unseen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_bundles.experiment.steering import Step
    from edgerun_bundles.layout import Layout
    from edgerun_bundles.repository.storage import Progress, Source, Storage
    from edgerun_bundles.repository.workplace import Workplace


class Sent(NamedTuple):
    """What a step sent."""

    digests: Mapping[str, str]
    """The digest of each new version."""

    sent_bytes: int
    """Bytes of blobs that were sent."""

    known_bytes: int
    """Bytes of blobs that the repository had."""


def carry_out(place: Workplace, step: Step, progress: Progress = unseen) -> Sent:
    """Publish what a step makes, and give it to the channel at the same moment.

    Args:
        place: the repository.
        step: decided on its state.
        progress: gives, for a number of bytes, a context manager of a function to call with bytes done.

    Raises:
        PublishedMeanwhileError: somebody else has published since; do it again.
        RepositoryError: a key is missing, a model is not in the repository any more, or something cannot be stored.
        BundleError: a version would pass a limit.
        ProvenanceError: what is said cannot be written.
    """
    storage, draft = place.storage, Draft(step.state)
    with TemporaryDirectory() as scratch:
        layouts = _layouts(place.source, step, Path(scratch))
        for layout in layouts:
            add_version(draft, layout.manifest, layout.referrers, utc_now())
        write_document(draft, step.channel)
        check_signers(storage, draft, place.keys, utc_now())
        storage.check_writable()
        sent = [_send(storage, layout, progress) for layout in layouts]
        blobs = {digest: size for layout in layouts for digest, size in layout.blobs.items()}
        place.publish(draft, last=check_blobs(storage, blobs))
    digests = {layout.manifest.version: layout.manifest.digest for layout in layouts}
    size = sum(sent)
    return Sent(digests, size, sum(blobs.values()) - size)


def _layouts(source: Source, step: Step, scratch: Path) -> list[Layout]:
    """Lay out what is new; a way back names the version that it leads from as its parent."""
    layouts: list[Layout] = []
    if not step.made:
        return layouts
    origin, parent = origin_of(source, step.parent, scratch), step.parent
    for document in step.made:
        said = dict(step.said)
        if document["version"] != step.version:
            weights = document["nodes"][step.change.node]["split"]["weights"]
            said |= {"action": "prepare to stop", "weights": {arm: str(weight) for arm, weight in weights.items()}}
        layouts.append(derived(parent, origin, document, said, scratch))
        made = layouts[-1].manifest
        listed = parent.listed._replace(version=made.version, digest=made.digest)
        parent = Published(listed, made, document)
    return layouts


def _send(storage: Storage, layout: Layout, progress: Progress) -> int:
    """Send what is new of a layout; everything else must be there."""
    there = {digest: size for digest, size in layout.blobs.items() if not layout.blob(digest).is_file()}
    check_blobs(storage, there)()
    return sum(send_blobs(storage, layout, progress).sent.values())
