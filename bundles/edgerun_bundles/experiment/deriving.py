"""A version laid out from a published one: its new description, and the manifests. Models are named and never touched.

The layout holds only what is new. Whoever sends it finds the other blobs where they are published already.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.artifact import (
    DESCRIPTION,
    Descriptor,
    Layer,
    check_description,
    config_of,
    digest_of,
    hex_of,
    manifest_of,
    media_type_of,
    parse_manifest,
)
from edgerun.errors import EdgerunError
from edgerun_bundles.layout import BLOBS, Layout
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance import run_folder
from edgerun_bundles.provenance.author import describe_author
from edgerun_bundles.provenance.redaction import arguments
from edgerun_bundles.provenance.statement import (
    Provenance,
    Run,
    Subject,
    build_statement,
    is_of_another_kind,
    parse_statement,
)
from edgerun_bundles.referrers import EMPTY, PROVENANCE_TYPE, parse_referrer, referrer_of, subject_of
from edgerun_bundles.repository import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_bundles.experiment.published import Published
    from edgerun_bundles.repository.storage import Source


class Origin(NamedTuple):
    """How a published version came to be, as far as that is known."""

    provenance: Provenance
    """Of the last build."""

    named: tuple[Descriptor, ...]
    """The blobs that it names: code and notebooks, which the repository has."""

    problem: str = ""
    """Why nothing is known; empty where something is, or where nothing was published."""


def origin_of(source: Source, parent: Published, scratch: Path) -> Origin:
    """Return how a published version came to be; what cannot be read is a problem that is told, and stops nothing.

    Args:
        source: where the repository lies.
        parent: the version.
        scratch: a folder for what is fetched.
    """
    found: list[Origin] = []
    problem = ""
    for listed in parent.listed.provenance:
        try:
            referrer = parse_referrer(catalogue.read_blob(source, listed))
            first = referrer.layers[0]
            place = scratch / f"statement-{hex_of(first.digest)}"
            if first.size > LIMITS.statement_max_bytes:
                problem = f"the provenance of {parent.name} is too large"
                continue
            if not place.exists():
                catalogue.fetch_blob(source, first, place, _unheard)
            content = place.read_bytes()
            if not is_of_another_kind(content):
                found.append(Origin(parse_statement(content).predicate, referrer.layers[1:]))
        except (EdgerunError, OSError) as error:
            problem = f"the provenance of {parent.name} is not kept: {error}"
    if not found:
        return Origin(Provenance(), (), problem)
    return max(found, key=lambda origin: _ended(origin.provenance))


def derived(
    parent: Published, origin: Origin, document: Mapping[str, Any], said: Mapping[str, Any], scratch: Path
) -> Layout:
    """Lay out a version that differs from a published one in its description alone.

    Args:
        parent: the published version.
        origin: how that one came to be; this one names it as its parent.
        document: the new ``bundle.json``.
        said: what was done and why; it becomes the parameter ``experiment`` of the provenance.
        scratch: a folder for what is new; several versions may share it.

    Raises:
        BundleError: the description does not fit the files, or is too large.
        ProvenanceError: what is said cannot be written.
    """
    (scratch / BLOBS).mkdir(parents=True, exist_ok=True)
    raw = json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"
    layers = [layer for layer in parent.manifest.layers if layer.path != DESCRIPTION]
    layers.append(Layer(DESCRIPTION, media_type_of(DESCRIPTION), digest_of(raw), len(raw)))
    name, version = str(document["name"]), str(document["version"])
    content = manifest_of(name, version, layers)
    manifest = parse_manifest(content)
    check_description(manifest, raw)
    statement = build_statement({f"{name}@{version}": hex_of(manifest.digest)}, _provenance(parent, origin, said))
    descriptors = [Descriptor(PROVENANCE_TYPE, digest_of(statement), len(statement)), *origin.named]
    referrer = referrer_of(subject_of(manifest), descriptors)
    for blob in (raw, content, config_of(name, version, layers), statement, referrer, EMPTY):
        (scratch / BLOBS / hex_of(digest_of(blob))).write_bytes(blob)
    return Layout(scratch, manifest, (parse_referrer(referrer),))


def _provenance(parent: Published, origin: Origin, said: Mapping[str, Any]) -> Provenance:
    now = datetime.now(UTC)
    parameters = {**origin.provenance.parameters, "experiment": dict(said)}
    time = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    run = Run(
        id=run_folder.run_id(parameters, now),
        started=time,
        status="finished",
        author=describe_author(Path.cwd()),
        ended=time,
        argv=arguments(sys.orig_argv, LIMITS.text_max_bytes),
        exit_status=0,
        problems=(origin.problem,) if origin.problem else (),
    )
    parents = (Subject(parent.name, {"sha256": hex_of(parent.manifest.digest)}),)
    return origin.provenance._replace(run=run, parameters=parameters, parents=parents)


def _ended(provenance: Provenance) -> str:
    run = provenance.run
    return "" if run is None else run.ended or run.started


def _unheard(_: int) -> None:
    """Nobody watches a few kilobytes."""
