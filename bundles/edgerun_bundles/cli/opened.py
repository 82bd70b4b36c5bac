"""What every command does that takes a BUNDLE: open it in any form, and find the provenance that lies beside it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import click

from edgerun.bundle import Bundle, read
from edgerun.cli.output import printable
from edgerun_bundles.attached import Attached, provenances
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.layout_write import manifest_of_folder
from edgerun_bundles.opening import open_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun.artifact import Manifest
    from edgerun_bundles.layout import Layout
    from edgerun_bundles.provenance.statement import Provenance


class Opened(NamedTuple):
    """A bundle whose every byte is verified, for as long as it is open."""

    bundle: Bundle
    manifest: Manifest
    layout: Layout | None
    """Where its provenance may be; None for a plain folder, which has none."""

    @property
    def name(self) -> str:
        """What a person knows it by."""
        return f"{self.manifest.name}@{self.manifest.version}"

    def provenances(self) -> list[Attached]:
        """Return all provenance that refers to it, the last build first.

        Raises:
            ProvenanceError: some of it is not whole.
        """
        return [] if self.layout is None else provenances(self.layout)

    def provenance(self) -> Attached:
        """Return the provenance of the last build.

        Raises:
            ProvenanceError: there is none, or some of it is not whole.
        """
        found = self.provenances()
        if not found:
            hint = "a plain folder never has" if self.layout is None else "it was built or fetched without"
            raise ProvenanceError(f"{self.name} has no provenance with it: {hint}")
        return found[0]


@contextmanager
def opened(source: Path, repository: str | None = None) -> Iterator[Opened]:
    """Give a bundle in any form; every byte of it is verified.

    Raises:
        BundleError: it is none, or something in it is not what it should be.
        InputError: it is NAME@VERSION, and no repository is chosen.
        RepositoryError: it is NAME@VERSION, and cannot be had.
    """
    with TemporaryDirectory() as scratch:
        whole = open_whole(source, Path(scratch), repository)
        yield Opened(read(whole.folder), manifest_of_folder(whole.folder), whole.layout)


def shown_provenance(found: Opened) -> Attached | None:
    """Return the last provenance to show with a bundle; one that is not whole is told of as a warning."""
    try:
        return next(iter(found.provenances()), None)
    except ProvenanceError as error:
        click.echo(f"edgerun: warning: {printable(' '.join(str(error).split()))}", err=True)
        return None


def of_model(name: str, provenance: Provenance, model: str | None) -> Provenance:
    """Return the provenance of one model, or of the bundle where none is named.

    Raises:
        ProvenanceError: it tells of no such model.
    """
    if model is None:
        return provenance
    if model not in provenance.models:
        names = ", ".join(provenance.models) or "none"
        raise ProvenanceError(f"{name} does not say how a model {model!r} came to be; it says so of: {names}")
    return provenance.models[model]
