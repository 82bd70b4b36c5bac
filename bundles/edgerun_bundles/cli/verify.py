"""``edgerun bundle verify``: whether a bundle is whole, serves, and still knows where it comes from."""

from __future__ import annotations

from pathlib import Path

import click

from edgerun.cli.output import examples, json_line
from edgerun.rehearsal import measure
from edgerun.requirements import this_machine, unmet_requirements
from edgerun_bundles.cli.opened import opened
from edgerun_bundles.cli.profile_text import profile_document
from edgerun_bundles.cli.progress import say
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_bundles.reference import verify_profile


@click.command(
    short_help="Check every byte of BUNDLE, and that it serves.",
    epilog=examples("edgerun bundle verify cards-1.0.0.tar"),
)
@click.argument("bundle", type=click.Path(path_type=Path))
@REPOSITORY_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def verify(bundle: Path, repository: str | None, as_json: bool) -> None:
    """Check every byte of BUNDLE and of its provenance, load its models and reproduce its golden examples.

    The profile of its training data, if there is one, must be of its models, inputs and outputs.

    What this machine lacks of what a device must have is told, and is no error; nor is a bundle without provenance.
    Provenance that is about another bundle, cannot be read or lacks a file that it names is one.
    """
    say("verifying")
    with opened(bundle, repository) as found:
        provenances = found.provenances()
        taken = measure(found.bundle.folder)
        profile = verify_profile(found.bundle)
        unmet = unmet_requirements(found.bundle.requires, this_machine())
        golden, manifest = len(found.bundle.golden), found.manifest
    if as_json:
        document = {
            "name": manifest.name,
            "version": manifest.version,
            "digest": manifest.digest,
            "golden": golden,
            "profile": profile_document(profile),
            "provenance": [attached.referrer.digest for attached in provenances],
        }
        click.echo(json_line({**document, **taken._asdict(), "unmet": unmet}))
        return
    examples_text = f"{golden} golden example{'' if golden == 1 else 's'}"
    examples_text += "" if profile is None else f", a profile of {profile.rows:,} rows"
    for lack in unmet:
        click.echo(f"edgerun: warning: this machine could not serve the bundle: {lack}", err=True)
    kept = "whole provenance" if provenances else "no provenance"
    more = f" of {len(provenances)} builds" if len(provenances) > 1 else ""
    click.echo(
        f"{manifest.name} {manifest.version} is whole and serves: {len(manifest.layers)} files, {examples_text}, "
        f"{kept}{more}, {manifest.digest}"
    )
