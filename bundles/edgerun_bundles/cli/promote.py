"""``edgerun bundle promote``: from one channel to the next, if every gate is passed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edgerun.artifact import Manifest
from edgerun.cli.output import examples, json_line, printable
from edgerun_bundles.cli.opened import of_model, opened, shown_provenance
from edgerun_bundles.cli.progress import say
from edgerun_bundles.cli.signing import JSON_OPTION, parse_share, signing, signing_options
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.gates import Gate, may_move
from edgerun_bundles.promoting import gates_of
from edgerun_bundles.provenance.comparison import AREAS

if TYPE_CHECKING:
    from edgerun.update.channel import Channel
    from edgerun_bundles.repository.drafting import Draft


class Step(NamedTuple):
    """From which channel to which one, for whom, in which repository, signed with whose keys."""

    source: str
    target: str
    share_ppm: int
    groups: tuple[str, ...]
    repository: str | None
    keys: Path | None
    passphrase_file: Path | None


Move = Callable[[Manifest, Step], str]
"""Takes the manifest of what passed; moves those very bytes, and says what it did."""
EXIT_CLOSED = 3
"""The exit code of promote where a gate is closed: neither success nor an error."""
TIMEOUT_S = 600
NAME_WIDTH = len("environment")  # of the longest gate: each is shown as soon as it was looked at


def move_in_repository(manifest: Manifest, step: Step) -> str:
    """Give a version of one channel to another one, too, if the repository has the bytes that passed.

    Raises:
        RepositoryError: it has other bytes, the first channel does not have the version, or nothing can be published.
    """
    from edgerun_bundles.repository import catalogue, channels  # noqa: PLC0415 - the TUF library is slow to load

    place = signing(step.repository, step.keys, step.passphrase_file)
    name, version = manifest.name, manifest.version

    def edit(draft: Draft) -> Channel:
        listed = catalogue.version_of(draft.state, name, version)
        if listed.digest != manifest.digest:
            raise RepositoryError(f"{place.place}: {name}@{version} is {listed.digest}; {manifest.digest} passed")
        return channels.promote(
            *(place.source, draft, name, version),
            source=step.source,
            target=step.target,
            share_ppm=step.share_ppm,
            groups=step.groups,
        )

    place.change(edit)
    return f"{name}@{version} is in {step.target} now"


def promote_command(move: Move) -> click.Command:
    """Return the command ``promote``, to be added to a group.

    Args:
        move: what moves a version between channels; it raises `EdgerunError`.
    """

    @click.command(
        "promote",
        short_help="Move BUNDLE to another channel if its gates are passed.",
        epilog=examples(
            "edgerun bundle promote cards@1.2.0 --from staging --to canary",
            'edgerun bundle promote cards@1.2.0 --from staging --to canary --test "pytest tests/acceptance"',
            "edgerun bundle promote cards-1.2.0.tar --from staging --to canary --dry-run",
        ),
    )
    @click.argument("bundle", type=click.Path(path_type=Path))
    @click.option("--from", "source", required=True, metavar="CHANNEL", help="Where it is.")
    @click.option("--to", "target", required=True, metavar="CHANNEL", help="Where it is to be.")
    @click.option("--test", metavar="COMMAND", help="A test of your own; the bundle's folder is in $EDGERUN_BUNDLE.")
    @click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(0, min_open=True),
        default=TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        help="What the command may take.",
    )
    @click.option("--model", help="Compare with the environment of this model's training.")
    @click.option("--only", multiple=True, type=click.Choice(AREAS), help="Compare this area of the environment alone.")
    @click.option("--share", default="100%", show_default=True, callback=parse_share, help="Of the channel's devices.")
    @click.option("--group", "groups", multiple=True, help="Only to devices of this group; may be repeated.")
    @click.option("--dry-run", is_flag=True, help="Look at the gates, and move nothing.")
    @signing_options
    @JSON_OPTION
    def promote(
        bundle: Path,
        source: str,
        target: str,
        test: str | None,
        timeout_s: float,
        model: str | None,
        only: tuple[str, ...],
        share: int,
        groups: tuple[str, ...],
        dry_run: bool,
        repository: str | None,
        keys: Path | None,
        passphrase_file: Path | None,
        as_json: bool,
    ) -> None:
        """Move BUNDLE from one channel to another, if it passes every gate.

        The gates: its golden examples reproduce here, this machine is one to one that of its provenance, and the
        command of --test ends with 0; what that writes goes to stderr. The exit code is 0, or 3 if a gate is closed.
        """
        if source == target:
            raise click.UsageError("--from and --to are the same channel")
        gates: list[Gate] = []
        with opened(bundle, repository) as found:
            attached = shown_provenance(found)
            environment = None if attached is None else of_model(found.name, attached.provenance, model).environment
            say("looking at the gates")
            for gate in gates_of(found.bundle, found.manifest, environment, only or AREAS, test, timeout_s):
                gates.append(gate)
                if not as_json:
                    click.echo(
                        printable(f"{gate.name:<{NAME_WIDTH}}  {'passed' if gate.passed else 'CLOSED'}  {gate.says}")
                    )
            manifest = found.manifest
        is_open = may_move(gates)
        step = Step(source, target, share, groups, repository, keys, passphrase_file)
        told = move(manifest, step) if is_open and not dry_run else ""
        if as_json:
            document = {"name": manifest.name, "version": manifest.version, "digest": manifest.digest}
            click.echo(json_line({**document, "from": source, "to": target, **_result(gates, bool(told))}))
        else:
            click.echo(told or _not_moved(found.name, is_open=is_open))
        if not is_open:
            sys.exit(EXIT_CLOSED)

    return promote


def _result(gates: list[Gate], is_moved: bool) -> dict[str, Any]:
    return {"gates": [gate._asdict() for gate in gates], "passed": may_move(gates), "moved": is_moved}


def _not_moved(name: str, *, is_open: bool) -> str:
    return f"{name} may move, and was left where it is" if is_open else f"{name} was left where it is"
