"""``edgerun bundle show``: what a bundle is and where it comes from, for people, as JSON, or as an ML-BOM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, examples, json_line
from edgerun.cli.show import graph_lines
from edgerun.enrolment import holdout_document
from edgerun.graph import node_to_dict
from edgerun_bundles.cli.opened import opened, shown_provenance
from edgerun_bundles.cli.profile_text import profile_document, profile_text
from edgerun_bundles.cli.provenance_text import provenance_lines
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_bundles.onnx_header import read_header
from edgerun_bundles.provenance.cyclonedx import cyclonedx
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.reference import read_profile

if TYPE_CHECKING:
    from edgerun_bundles.attached import Attached
    from edgerun_bundles.cli.opened import Opened

HEX_SHOWN = 19  # of a digest, with what it starts with
FORMATS = ("text", "json", "cyclonedx")


@click.command(
    short_help="Describe BUNDLE: digest, files, models, graph, provenance.",
    epilog=examples(
        "edgerun bundle show cards-1.0.0.tar",
        "edgerun bundle show cards@1.0.0 --json",
        "edgerun bundle show cards-1.0.0.tar --format cyclonedx > cards.cdx.json",
    ),
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="cyclonedx is a CycloneDX ML-BOM of the provenance.",
)
@REPOSITORY_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON; the same as --format json.")
def show(bundle: Path, form: str, repository: str | None, as_json: bool) -> None:
    """Describe BUNDLE and where it comes from. Its bytes are verified; its models are not loaded."""
    with opened(bundle, repository) as found:
        if as_json or form == "json":
            click.echo(json_line(_document(found, shown_provenance(found))))
        elif form == "cyclonedx":
            click.echo(json_line(cyclonedx(found.provenance().statement)))
        else:
            click.echo(_page(found, shown_provenance(found)))


def _document(found: Opened, attached: Attached | None) -> dict[str, Any]:
    bundle, manifest = found.bundle, found.manifest
    return {
        "name": bundle.name,
        "version": bundle.version,
        "digest": manifest.digest,
        "bytes": manifest.content_bytes,
        "files": {layer.path: {"digest": layer.digest, "bytes": layer.size} for layer in manifest.layers},
        "models": {name: read_header(path)._asdict() for name, path in bundle.models.items()},
        "route": bundle.graph.route,
        "nodes": {name: node_to_dict(node) for name, node in bundle.graph.nodes.items()},
        "holdout": None if bundle.graph.holdout is None else holdout_document(bundle.graph.holdout),
        "golden": len(bundle.golden),
        "profile": profile_document(read_profile(bundle)),
        "requires": _said(bundle.requires),
        "limits": _said(bundle.limits),
        "provenance": None if attached is None else to_document(attached.provenance),
    }


def _said(record: Any) -> dict[str, Any]:
    return {name: value for name, value in record._asdict().items() if value not in {None, ()}}


def _page(found: Opened, attached: Attached | None) -> str:
    bundle, manifest = found.bundle, found.manifest
    headers = {name: read_header(path) for name, path in bundle.models.items()}
    rows = [
        *(("file", layer.path, f"{layer.size:,} bytes, {layer.digest[:HEX_SHOWN]}") for layer in manifest.layers),
        *(("model", name, f"operator sets {_opsets(header.opsets)}") for name, header in headers.items()),
        ("golden", str(len(bundle.golden)), "examples"),
        ("profile", "", profile_text(read_profile(bundle))),
        *(("requires", name, _text(value)) for name, value in _said(bundle.requires).items()),
        *(("limits", name, _text(value)) for name, value in _said(bundle.limits).items()),
    ]
    head = columns([("bundle", f"{bundle.name} {bundle.version}"), ("digest", manifest.digest)])
    origin = ["none"] if attached is None else provenance_lines(attached.provenance)
    return "\n".join([head, columns(rows), "", "route", *graph_lines(bundle.graph), "", "provenance", *origin])


def _opsets(opsets: dict[str, int]) -> str:
    return ", ".join(f"{domain} {version}" for domain, version in opsets.items()) or "none"


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
