"""``edgerun bundle log``: the versions of a bundle, with who built them, when, from what and with what result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edgerun.artifact import DESCRIPTION, check_name
from edgerun.cli.output import columns, examples, json_line, printable, short_text
from edgerun.errors import BundleError
from edgerun_bundles.cli.opened import opened, shown_provenance
from edgerun_bundles.cli.provenance_text import code_text
from edgerun_bundles.cli.signing import REPOSITORY_OPTION, reading
from edgerun_bundles.layout import is_layout
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.provenance.statement import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgerun.artifact import Manifest

ARCHIVES = "*.tar"
_HEX_SHOWN = 19


class Version(NamedTuple):
    """One version of a bundle, and where it comes from as far as that is known."""

    where: str
    manifest: Manifest
    provenance: Provenance | None
    published: str = ""
    """When it was published; empty where that is not known."""

    @property
    def built(self) -> str:
        """When it was built; empty where that is not known."""
        run = None if self.provenance is None else self.provenance.run
        return "" if run is None else run.ended or run.started

    @property
    def by(self) -> str:
        """Who built it; empty where that is not known."""
        run = None if self.provenance is None else self.provenance.run
        return "" if run is None or run.author is None else run.author.text


@click.command(
    "log",
    short_help="List the versions of bundles: who, when, parameters, metrics.",
    epilog=examples(
        "edgerun bundle log cards",
        "edgerun bundle log builds/",
        "edgerun bundle log cards-1.0.0.tar cards-1.1.0.tar --json",
    ),
)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", help="List the bundles of this name alone.")
@REPOSITORY_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each version.")
def log(sources: tuple[Path, ...], name: str | None, repository: str | None, as_json: bool) -> None:
    """List the versions of bundles, the first that was built first.

    Each with who built it and when, from which code, with which parameters and metrics, its own and its models'.

    A SOURCE is a bundle's name in a repository, a bundle, or a folder of bundles' .tar files; what else is in there is
    told and passed over.
    """
    found = [version for source in sources for version in _versions(source, repository)]
    chosen = sorted(
        (version for version in found if name in {None, version.manifest.name}),
        key=lambda version: (version.built or version.published, version.manifest.name, version.manifest.version),
    )
    if as_json:
        for version in chosen:
            click.echo(json_line(_document(version)))
        return
    click.echo("\n\n".join("\n".join(_lines(version)) for version in chosen) if chosen else "no versions")


def _versions(source: Path, repository: str | None) -> Iterator[Version]:
    if not source.exists() and _is_name(str(source)):
        yield from _published(str(source), repository)
        return
    if not source.is_dir() or (source / DESCRIPTION).is_file() or is_layout(source):
        yield _version(source, repository)
        return
    archives = sorted(source.glob(ARCHIVES))
    if not archives and _is_name(str(source)):  # the folder in which the bundle is defined may have its name
        yield from _published(str(source), repository)
    for archive in archives:
        try:
            yield _version(archive, None)
        except BundleError as error:
            click.echo(f"edgerun: warning: {printable(' '.join(str(error).split()))}", err=True)


def _is_name(text: str) -> bool:
    try:
        return check_name(text) == text
    except BundleError:
        return False


def _published(name: str, repository: str | None) -> Iterator[Version]:
    from edgerun_bundles.repository.origins import origins  # noqa: PLC0415 - the TUF library is slow to load

    place = reading(repository)
    for origin in origins(place.source, place.read(), name):
        if origin.problem:
            click.echo(f"edgerun: warning: {printable(' '.join(origin.problem.split()))}", err=True)
        yield Version(place.place, origin.manifest, origin.provenance, origin.version.published)


def _version(source: Path, repository: str | None) -> Version:
    with opened(source, repository) as found:
        attached = shown_provenance(found)
        return Version(str(source), found.manifest, None if attached is None else attached.provenance)


def _document(version: Version) -> dict[str, Any]:
    manifest, provenance = version.manifest, version.provenance or Provenance()
    author = None if provenance.run is None else provenance.run.author
    return {
        "where": version.where,
        "name": manifest.name,
        "version": manifest.version,
        "digest": manifest.digest,
        "bytes": manifest.content_bytes,
        "built": version.built or None,
        "published": version.published or None,
        "by": None if author is None else to_document(author),
        "code": _code(provenance),
        "parents": to_document(provenance.parents),
        **_numbers(provenance),
        "models": {
            name: {"run": None if model.run is None else model.run.id, "code": _code(model), **_numbers(model)}
            for name, model in provenance.models.items()
        },
    }


def _code(provenance: Provenance) -> dict[str, Any] | None:
    names = ("commit", "branch", "tree", "is_dirty")
    return None if not provenance.code else {name: provenance.code.get(name) for name in names}


def _numbers(provenance: Provenance) -> dict[str, Any]:
    metrics: dict[str, Any] = to_document(provenance.metrics)
    return {"parameters": provenance.parameters, "metrics": metrics["values"]}


def _lines(version: Version) -> Iterator[str]:
    manifest, provenance = version.manifest, version.provenance
    published = f", published {printable(version.published)}" if version.published else ""
    yield f"{manifest.name} {manifest.version}  {manifest.digest[:_HEX_SHOWN]}  {printable(version.where)}{published}"
    if provenance is None:
        yield "  no provenance"
        return
    rows = [("built", " by ".join(filter(None, [version.built, version.by]))), ("code", code_text(provenance.code))]
    rows += [("parent", parent.name) for parent in provenance.parents]
    rows += _pairs("", provenance)
    for name, model in provenance.models.items():
        rows += _pairs(name, model)
    yield from (f"  {line}" for line in columns(rows).splitlines())


def _pairs(name: str, provenance: Provenance) -> list[tuple[str, str]]:
    numbers = _numbers(provenance)
    told = [(what, _text(numbers[what])) for what in ("parameters", "metrics") if numbers[what]]
    return [(f"{name} {what}".strip(), text) for what, text in told]


def _text(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={short_text(value)}" for name, value in sorted(values.items()))
