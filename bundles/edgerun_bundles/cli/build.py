"""``edgerun bundle init`` and ``build``: from models to a bundle."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from edgerun.bundle import read
from edgerun.cli.output import columns, duration_text, examples, json_line
from edgerun.errors import BundleError
from edgerun_bundles.archive import write_archive
from edgerun_bundles.building import build as build_bundle
from edgerun_bundles.cli.progress import say
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_bundles.definition import DEFINITION_FILE, read_definition
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.opening import open_bundle
from edgerun_bundles.scaffold import scaffold

if TYPE_CHECKING:
    from edgerun_bundles.building import Built

ARCHIVE_SUFFIX = ".tar"


def parse_models(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, Path]:
    """Return ``--model name=path`` options as a dict."""
    models: dict[str, Path] = {}
    for text in given:
        name, separator, path = text.partition("=")
        if not name or not separator or not path:
            raise click.BadParameter(f"{text!r} is not of the form name=path", ctx, param)
        if name in models:
            raise click.BadParameter(f"{name!r} is given twice", ctx, param)
        models[name] = Path(path)
    return models


@click.command(
    short_help="Write a bundle.toml that builds as it stands.",
    epilog=examples(
        "edgerun bundle init cards --name cards --model champion=model.onnx",
        "edgerun bundle init cards --name cards --model champion=old.onnx --model challenger=new.onnx",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Of the bundle: lower-case letters, digits, dots, hyphens, underscores.")
@click.option("--version", default="0.1.0", show_default=True, help="Of the first bundle.")
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="NAME=PATH",
    callback=parse_models,
    help="An ONNX file; the first is the champion, the others are watched beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def init(folder: Path, name: str, version: str, models: dict[str, Path], as_json: bool) -> None:
    """Write a commented bundle.toml into FOLDER, with a golden example if the models take made-up inputs.

    It is built once, to prove that it builds.
    """
    say("loading the models")
    has_golden = scaffold(folder, name, version, models)
    written = folder / DEFINITION_FILE
    if as_json:
        click.echo(json_line({"definition": str(written), "golden": has_golden}))
        return
    if not has_golden:
        click.echo("edgerun: warning: the models answer nothing to made-up inputs; add golden examples", err=True)
    click.echo(
        f"{written} is written; edit it, then: edgerun bundle build {folder} -o {name}-{version}{ARCHIVE_SUFFIX}"
    )


@click.command(
    short_help="Build a bundle and prove that it serves.",
    epilog=examples(
        "edgerun bundle build cards -o cards-1.0.0.tar",
        "edgerun bundle build cards -o cards-1.1.0.tar --parent cards@1.0.0",
        "edgerun bundle build cards -o layout/ --json",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="A file whose name ends in .tar, or a folder for an OCI image layout.",
)
@click.option(
    "--parent",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="The bundle that it follows: its splits are reweighted, so that as few keys move as can be.",
)
@REPOSITORY_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def build(folder: Path, output: Path, parent: Path | None, repository: str | None, as_json: bool) -> None:
    """Build a bundle from the bundle.toml in FOLDER, and prove that it serves.

    The models are loaded, the graph is checked against them, the golden examples are run in a process of their own
    within the limits. The same inputs give the same digest.
    """
    if output.resolve() == folder.resolve():
        raise click.UsageError("--output is FOLDER itself; give another place")
    definition = read_definition(folder)
    with TemporaryDirectory() as folder_of_scratch:
        scratch = Path(folder_of_scratch)
        former = None if parent is None else read(open_bundle(parent, scratch / "parent", repository))
        built = build_bundle(definition, scratch / "bundle", former, say)
        say("writing")
        if output.suffix == ARCHIVE_SUFFIX:
            write_archive(write_layout(scratch / "bundle", scratch / "layout"), output)
        else:
            _refuse_bundle_folder(output)
            write_layout(scratch / "bundle", output)
        click.echo(json_line(_document(built, output)) if as_json else _page(built, output))


def _refuse_bundle_folder(output: Path) -> None:
    if output.is_file():
        raise BundleError(f"{output} is a file whose name does not end in {ARCHIVE_SUFFIX}; choose another name")


def _document(built: Built, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "name": built.manifest.name,
        "version": built.manifest.version,
        "digest": built.manifest.digest,
        "bytes": built.manifest.content_bytes,
        "models": len(built.bundle.models),
        "golden": len(built.bundle.golden),
        "latency_s": built.rehearsal.latency_s,
        "memory_bytes": built.rehearsal.memory_bytes,
    }


def _page(built: Built, output: Path) -> str:
    golden, taken = len(built.bundle.golden), built.rehearsal
    rows = [
        ("bundle", f"{built.manifest.name} {built.manifest.version}"),
        ("digest", built.manifest.digest),
        ("size", f"{built.manifest.content_bytes:,} bytes"),
        (
            "golden",
            f"{golden} example{'' if golden == 1 else 's'} reproduced"
            if golden
            else "none: a device cannot tell whether it answers right",
        ),
        ("slowest", duration_text(taken.latency_s) if golden else "unknown"),
        ("memory", f"{taken.memory_bytes:,} bytes at the peak of the process"),
        ("written", str(output)),
    ]
    return columns(rows)
