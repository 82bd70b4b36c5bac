"""The provenance that lies beside a bundle: made into the files of an artifact, and read back with suspicion."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun.artifact import Layer, hex_of, verify_blob
from edgerun.errors import BundleError
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance.canonical import digest
from edgerun_bundles.provenance.statement import (
    Provenance,
    Statement,
    build_statement,
    is_of_another_kind,
    named_blobs,
    parse_statement,
)
from edgerun_bundles.referrers import PROVENANCE_TYPE, Attachment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgerun.artifact import Manifest
    from edgerun_bundles.layout import Layout
    from edgerun_bundles.referrers import Referrer

CODE_TYPE = "application/x-git-bundle"
NOTEBOOK_TYPE = "application/x-ipynb+json"


class Attached(NamedTuple):
    """One provenance of a bundle, which is about that bundle and can be read."""

    statement: Statement
    content: bytes
    """The statement as it was signed or written, byte for byte."""
    referrer: Referrer
    layout: Layout

    @property
    def provenance(self) -> Provenance:
        """How the bundle came to be."""
        return self.statement.predicate

    def blob(self, sha256: str) -> bytes:
        """Return what the predicate names by a digest.

        Raises:
            ProvenanceError: it is not there, or has other bytes.
        """
        name = f"sha256:{sha256}"
        try:
            if name not in self.referrer.blobs:
                raise ProvenanceError(f"the provenance names {name}, and does not have it")
            verify_blob(self.layout.blob(name), Layer(name, "", name, self.referrer.blobs[name]))
            return self.layout.blob(name).read_bytes()
        except (BundleError, OSError) as error:
            raise ProvenanceError(f"the provenance names {name}, which cannot be read: {error}") from error


def attachments(
    manifest: Manifest, provenance: Provenance, blobs: Mapping[str, bytes], scratch: Path
) -> list[Attachment]:
    """Write provenance into a folder, as the files that `write_layout` attaches to a bundle.

    Raises:
        ProvenanceError: it cannot be written, or a blob that it names was not kept.
    """
    name = f"{manifest.name}@{manifest.version}"
    content = build_statement({name: hex_of(manifest.digest)}, provenance)
    named = named_blobs(provenance)
    for sha256 in named.keys() - blobs.keys():
        raise ProvenanceError(f"the provenance names {sha256}, which was not kept")
    notebooks = {notebook.sha256 for model in (provenance, *provenance.models.values()) for notebook in model.notebooks}
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / digest(content)).write_bytes(content)
        for sha256 in named:
            (scratch / sha256).write_bytes(blobs[sha256])
    except OSError as error:
        raise ProvenanceError(f"{scratch}: provenance cannot be written: {error}") from error
    kinds = {sha256: NOTEBOOK_TYPE if sha256 in notebooks else CODE_TYPE for sha256 in sorted(named)}
    files = [Attachment(kind, scratch / sha256) for sha256, kind in kinds.items()]
    return [Attachment(PROVENANCE_TYPE, scratch / digest(content)), *files]


def provenances(layout: Layout) -> list[Attached]:
    """Return every provenance that refers to a bundle, the last build first; statements of other kinds are passed over.

    Raises:
        ProvenanceError: one of them cannot be read, is about something else, or lacks what it names.
    """
    found = [attached for referrer in layout.referrers if (attached := _attached(layout, referrer)) is not None]
    return sorted(found, key=lambda attached: (_end(attached), attached.referrer.digest), reverse=True)


def _end(attached: Attached) -> str:
    run = attached.provenance.run
    return "" if run is None else run.ended or run.started


def _attached(layout: Layout, referrer: Referrer) -> Attached | None:
    first = referrer.layers[0]
    if first.size > LIMITS.statement_max_bytes:
        raise ProvenanceError(f"the statement is larger than {LIMITS.statement_max_bytes} bytes (statement_max_bytes)")
    try:
        verify_blob(layout.blob(first.digest), Layer(first.digest, "", first.digest, first.size))
        content = layout.blob(first.digest).read_bytes()
    except (BundleError, OSError) as error:
        raise ProvenanceError(f"the provenance {referrer.digest} cannot be read: {error}") from error
    if is_of_another_kind(content):
        return None
    statement = parse_statement(content)
    if all(f"sha256:{subject.digest['sha256']}" != layout.manifest.digest for subject in statement.subject):
        raise ProvenanceError(f"the provenance {referrer.digest} is about something else: {statement.subject[0].name}")
    for sha256, size in named_blobs(statement.predicate).items():
        if referrer.blobs.get(f"sha256:{sha256}") != size:
            raise ProvenanceError(f"the provenance {referrer.digest} names {sha256}, and does not have it")
    return Attached(statement, content, referrer, layout)
