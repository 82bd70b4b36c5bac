"""``edgerun bundle init`` and ``build``: from models to a bundle."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from edgerun.artifact import hex_of
from edgerun.bundle import read
from edgerun.cli.output import columns, duration_text, examples, json_line, printable
from edgerun.errors import BundleError
from edgerun_bundles.archive import write_archive
from edgerun_bundles.attached import attachments
from edgerun_bundles.building import build as build_bundle
from edgerun_bundles.cli.profile_text import profile_document, profile_text
from edgerun_bundles.cli.progress import progress_bar, say
from edgerun_bundles.cli.provenance_options import declared_by, provenance_options
from edgerun_bundles.cli.provenance_text import build_rows
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_bundles.definition import DEFINITION_FILE, read_definition
from edgerun_bundles.layout_write import manifest_of_folder, write_layout
from edgerun_bundles.opening import open_bundle
from edgerun_bundles.provenance.collecting import collect_build, collect_models, ended
from edgerun_bundles.provenance.declared import merged, read_declared
from edgerun_bundles.provenance.statement import Subject
from edgerun_bundles.scaffold import scaffold

if TYPE_CHECKING:
    from edgerun.artifact import Manifest
    from edgerun_bundles.building import Built
    from edgerun_bundles.definition import Definition
    from edgerun_bundles.layout import Layout
    from edgerun_bundles.provenance.collecting import Collected
    from edgerun_bundles.provenance.declared import Declared

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
@provenance_options
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def build(
    folder: Path,
    output: Path,
    parent: Path | None,
    repository: str | None,
    no_provenance: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Build a bundle from the bundle.toml in FOLDER, and prove that it serves.

    The models are loaded, the graph is checked against them, the golden examples are run in a process of their own
    within the limits. The same inputs give the same digest.

    How it came to be is kept beside it, where no device fetches it: the code of FOLDER with every change, this
    environment, who builds and when, and the tracked run that wrote each model. Nothing in FOLDER is touched.
    """
    if output.resolve() == folder.resolve():
        raise click.UsageError("--output is FOLDER itself; give another place")
    _refuse_bundle_folder(output)
    definition = read_definition(folder)
    declared = merged(
        read_declared(definition.provenance, folder, f"{folder / DEFINITION_FILE}: provenance"),
        declared_by(tuple(definition.models), **said),
    )
    for model in declared.models.keys() - definition.models.keys():
        raise BundleError(f"{folder / DEFINITION_FILE}: there is no model {model!r} to tell the provenance of")
    with TemporaryDirectory() as folder_of_scratch:
        scratch = Path(folder_of_scratch)
        collected = None if no_provenance else _collect(folder, declared)
        former = None if parent is None else open_bundle(parent, scratch / "parent", repository)
        built = build_bundle(
            definition, scratch / "bundle", None if former is None else read(former), say, progress_bar
        )
        if collected is not None:
            collected = collect_models(collected, folder, _model_digests(definition, built), declared)
            collected = ended(collected, () if former is None else (_subject(manifest_of_folder(former)),))
        say("writing")
        layout = _write(built, collected, scratch, output)
    document = _document(built, output, layout, collected)
    click.echo(json_line(document) if as_json else _page(built, output, collected))


def _collect(folder: Path, declared: Declared) -> Collected:
    say("capturing the code and the environment")
    size = sum(path.stat().st_size for source in declared.data.values() if (path := Path(source.path)).is_file())
    with progress_bar(size, "hashing data") if size else nullcontext(lambda _: None) as advance:
        collected = collect_build(folder, declared, advance)
    assert collected.provenance.run is not None
    for problem in collected.provenance.run.problems:
        click.echo(f"edgerun: warning: {printable(problem)}", err=True)
    return collected


def _model_digests(definition: Definition, built: Built) -> dict[str, tuple[Path, str]]:
    layers = {layer.path: layer.digest for layer in built.manifest.layers}
    return {
        name: (definition.models[name], hex_of(layers[path.relative_to(built.bundle.folder).as_posix()]))
        for name, path in built.bundle.models.items()
    }


def _subject(manifest: Manifest) -> Subject:
    return Subject(f"{manifest.name}@{manifest.version}", {"sha256": hex_of(manifest.digest)})


def _write(built: Built, collected: Collected | None, scratch: Path, output: Path) -> Layout:
    kept = (
        []
        if collected is None
        else attachments(built.manifest, collected.provenance, collected.blobs, scratch / "provenance")
    )
    if output.suffix != ARCHIVE_SUFFIX:
        return write_layout(scratch / "bundle", output, kept)
    layout = write_layout(scratch / "bundle", scratch / "layout", kept)
    write_archive(layout, output)
    return layout


def _refuse_bundle_folder(output: Path) -> None:
    if output.is_file() and output.suffix != ARCHIVE_SUFFIX:
        raise BundleError(f"{output} is a file whose name does not end in {ARCHIVE_SUFFIX}; choose another name")


def _document(built: Built, output: Path, layout: Layout, collected: Collected | None) -> dict[str, Any]:
    return {
        "output": str(output),
        "name": built.manifest.name,
        "version": built.manifest.version,
        "digest": built.manifest.digest,
        "bytes": built.manifest.content_bytes,
        "models": len(built.bundle.models),
        "golden": len(built.bundle.golden),
        "profile": profile_document(built.profile),
        "latency_s": built.rehearsal.latency_s,
        "memory_bytes": built.rehearsal.memory_bytes,
        "provenance": [referrer.digest for referrer in layout.referrers],
        "runs": {} if collected is None else _runs(collected),
        "unknown": {} if collected is None else dict(collected.unknown),
    }


def _runs(collected: Collected) -> dict[str, str]:
    """The run that trained each model of which that is known."""
    return {name: model.run.id for name, model in collected.provenance.models.items() if model.run is not None}


def _page(built: Built, output: Path, collected: Collected | None) -> str:
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
        ("profile", profile_text(built.profile)),
        ("slowest", duration_text(taken.latency_s) if golden else "unknown"),
        ("memory", f"{taken.memory_bytes:,} bytes at the peak of the process"),
        *([("provenance", "none, as was asked")] if collected is None else build_rows(collected)),
        ("written", str(output)),
    ]
    return columns(rows)
