"""Where the versions of a bundle come from: their provenance alone, verified, without one byte of a model."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from edgerun.errors import BundleError
from edgerun_bundles.attached import provenances
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.layout import BLOBS, Layout
from edgerun_bundles.referrers import parse_referrer
from edgerun_bundles.repository import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun.artifact import Manifest
    from edgerun_bundles.provenance.statement import Provenance
    from edgerun_bundles.repository.catalogue import Version
    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.storage import Source


class Origin(NamedTuple):
    """One version, and where it comes from."""

    version: Version
    manifest: Manifest
    provenance: Provenance | None
    """That of the last build; None where there is none, or it is not whole."""
    problem: str
    """Why it is not whole, or nothing."""


def origins(source: Source, state: State, name: str) -> Iterator[Origin]:
    """Yield every version of a bundle, the first that was published first.

    Args:
        source: where the repository lies.
        state: of the repository, verified.
        name: of the bundle.

    Raises:
        RepositoryError: there is no such bundle, or something cannot be had.
    """
    for version in catalogue.versions(state, name):
        target = catalogue.target_of(state, name, version.version)
        manifest = catalogue.manifest_of(source, target, name, version.version)
        try:
            yield Origin(version, manifest, _provenance(source, version, manifest), "")
        except (BundleError, ProvenanceError) as error:
            yield Origin(version, manifest, None, str(error))


def _provenance(source: Source, version: Version, manifest: Manifest) -> Provenance | None:
    """Fetch the statements that refer to a version; what they name by digest is not needed to read them."""
    with TemporaryDirectory() as scratch:
        layout = Layout(Path(scratch), manifest, ())
        (layout.folder / BLOBS).mkdir(parents=True)
        referrers = [parse_referrer(catalogue.read_blob(source, listed)) for listed in version.provenance]
        for statement in {referrer.layers[0].digest: referrer.layers[0] for referrer in referrers}.values():
            catalogue.fetch_blob(source, statement, layout.blob(statement.digest), lambda _: None)
        found = provenances(layout._replace(referrers=tuple(referrers)))
        return found[0].provenance if found else None
