"""``edgerun bundle show``, ``verify`` and ``diff``: what a bundle is, whether it is whole, what another one changes."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from edgerun.bundle import Bundle, read
from edgerun.cli.output import columns, examples, json_line, printable, share_text
from edgerun.cli.show import graph_lines
from edgerun.graph import node_to_dict
from edgerun.rehearsal import measure
from edgerun.requirements import this_machine, unmet_requirements
from edgerun_bundles.cli.progress import say
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_bundles.comparing import compare
from edgerun_bundles.layout_write import manifest_of_folder
from edgerun_bundles.onnx_header import read_header
from edgerun_bundles.opening import open_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun.artifact import Manifest

HEX_SHOWN = 19  # of a digest, with what it starts with
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")


@contextmanager
def opened(source: Path, repository: str | None = None) -> Iterator[tuple[Bundle, Manifest]]:
    """Give a bundle in any form, with its manifest; every byte of it is verified."""
    with TemporaryDirectory() as scratch:
        folder = open_bundle(source, Path(scratch), repository)
        yield read(folder), manifest_of_folder(folder)


@click.command(
    short_help="Describe BUNDLE: digest, files, models, graph, requirements.",
    epilog=examples("edgerun bundle show cards-1.0.0.tar", "edgerun bundle show cards@1.0.0 --json"),
)
@click.argument("bundle", type=click.Path(path_type=Path))
@REPOSITORY_OPTION
@_JSON
def show(bundle: Path, repository: str | None, as_json: bool) -> None:
    """Describe BUNDLE. Its bytes are verified; its models are not loaded."""
    with opened(bundle, repository) as (found, manifest):
        click.echo(json_line(_document(found, manifest)) if as_json else _page(found, manifest))


def _document(found: Bundle, manifest: Manifest) -> dict[str, Any]:
    return {
        "name": found.name,
        "version": found.version,
        "digest": manifest.digest,
        "bytes": manifest.content_bytes,
        "files": {layer.path: {"digest": layer.digest, "bytes": layer.size} for layer in manifest.layers},
        "models": {name: read_header(path)._asdict() for name, path in found.models.items()},
        "route": found.graph.route,
        "nodes": {name: node_to_dict(node) for name, node in found.graph.nodes.items()},
        "golden": len(found.golden),
        "requires": _said(found.requires),
        "limits": _said(found.limits),
    }


def _said(record: Any) -> dict[str, Any]:
    return {name: value for name, value in record._asdict().items() if value not in {None, ()}}


def _page(found: Bundle, manifest: Manifest) -> str:
    headers = {name: read_header(path) for name, path in found.models.items()}
    rows = [
        *(("file", layer.path, f"{layer.size:,} bytes, {layer.digest[:HEX_SHOWN]}") for layer in manifest.layers),
        *(("model", name, f"operator sets {_opsets(header.opsets)}") for name, header in headers.items()),
        ("golden", str(len(found.golden)), "examples"),
        *(("requires", name, _text(value)) for name, value in _said(found.requires).items()),
        *(("limits", name, _text(value)) for name, value in _said(found.limits).items()),
    ]
    head = columns([("bundle", f"{found.name} {found.version}"), ("digest", manifest.digest)])
    return "\n".join([head, columns(rows), "", "route", *graph_lines(found.graph)])


def _opsets(opsets: dict[str, int]) -> str:
    return ", ".join(f"{domain} {version}" for domain, version in opsets.items()) or "none"


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


@click.command(
    short_help="Check every byte of BUNDLE, and that it serves.",
    epilog=examples("edgerun bundle verify cards-1.0.0.tar"),
)
@click.argument("bundle", type=click.Path(path_type=Path))
@REPOSITORY_OPTION
@_JSON
def verify(bundle: Path, repository: str | None, as_json: bool) -> None:
    """Check every byte of BUNDLE, load its models and reproduce its golden examples.

    What this machine lacks of what a device must have is told, and is no error.
    """
    say("verifying")
    with opened(bundle, repository) as (found, manifest):
        taken = measure(found.folder)
        unmet = unmet_requirements(found.requires, this_machine())
        golden = len(found.golden)
    if as_json:
        document = {"name": found.name, "version": found.version, "digest": manifest.digest, "golden": golden}
        click.echo(json_line({**document, **taken._asdict(), "unmet": unmet}))
        return
    examples_text = f"{golden} golden example{'' if golden == 1 else 's'}"
    for lack in unmet:
        click.echo(f"edgerun: warning: this machine could not serve the bundle: {lack}", err=True)
    click.echo(
        f"{found.name} {found.version} is whole and serves: {len(manifest.layers)} files, {examples_text}, "
        f"{manifest.digest}"
    )


@click.command(
    short_help="Say what AFTER changes, down to the share of keys that move.",
    epilog=examples(
        "edgerun bundle diff cards-1.0.0.tar cards-1.1.0.tar", "edgerun bundle diff cards@1.0.0 new/ --json"
    ),
)
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@REPOSITORY_OPTION
@_JSON
def diff(before: Path, after: Path, repository: str | None, as_json: bool) -> None:
    """Say what AFTER changes against BEFORE: models, graph, weights, requirements and sizes.

    The share of keys that move is exact: the ranges of both splits are laid over each other.
    """
    with opened(before, repository) as old, opened(after, repository) as new:
        document = compare(old, new)
    click.echo(json_line(document) if as_json else _diff_page(document))


def _diff_page(document: dict[str, Any]) -> str:
    """Return a comparison for people."""
    old, new = document["before"], document["after"]
    if document["same"]:
        return f"the same: {old['digest']}"
    lines = [
        f"bundle    {old['name']} {old['version']} -> {new['name']} {new['version']}",
        f"digest    {old['digest'][:HEX_SHOWN]} -> {new['digest'][:HEX_SHOWN]}",
        f"size      {old['bytes']:,} -> {new['bytes']:,} bytes; {document['transfer_bytes']:,} bytes to transfer",
        *_table_lines("model", document["models"]),
        *_changed("route", *document["route"]),
        *_node_lines(document["nodes"]),
        *_changed("golden", *document["golden"]),
        *_table_lines("requires", document["requires"]),
        *_table_lines("limits", document["limits"]),
    ]
    return "\n".join(map(printable, lines))


def _changed(what: str, before: Any, after: Any) -> Iterator[str]:
    if before != after:
        yield f"{what:<9} {before} -> {after}"


def _table_lines(what: str, table: dict[str, Any]) -> Iterator[str]:
    for name, value in table["added"].items():
        yield f"{what:<9} + {name}: {_short(value)}"
    for name, value in table["removed"].items():
        yield f"{what:<9} - {name}: {_short(value)}"
    for name, (before, after) in table["changed"].items():
        yield f"{what:<9} ~ {name}: {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    if isinstance(value, dict) and "digest" in value:
        return f"{value['digest'][:HEX_SHOWN]} ({value['bytes']:,} bytes)"
    return str(value)


def _node_lines(nodes: dict[str, Any]) -> Iterator[str]:
    yield from (f"node      + {name}: {node['kind']}" for name, node in nodes["added"].items())
    yield from (f"node      - {name}: {node['kind']}" for name, node in nodes["removed"].items())
    for name, change in nodes["changed"].items():
        for field, (before, after) in change["fields"].items():
            yield f"node      ~ {name}.{field}: {before} -> {after}"
        if "moved" not in change:
            continue
        old, new = change["shares"]
        for arm in {**old, **new}:
            yield f"            {arm}: {share_text(old.get(arm, 0))} -> {share_text(new.get(arm, 0))} of the enrolled"
        more = "" if change["moved"] <= change["least"] + 1e-9 else f"; {share_text(change['least'])} would be enough"
        yield f"            {share_text(change['moved'])} of its keys move{more}"
