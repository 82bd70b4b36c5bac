"""``edgerun bundle diff``: what another bundle changes, from keys that move to the code that trained it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import examples, json_line, printable, share_text
from edgerun_bundles.cli.clones import clones_option
from edgerun_bundles.cli.diff_provenance import code_diffs, code_patch, provenance_document, provenance_page
from edgerun_bundles.cli.opened import opened, shown_provenance
from edgerun_bundles.cli.show import HEX_SHOWN
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_bundles.comparing import compare

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command(
    short_help="Say what AFTER changes: keys that move, code, parameters, metrics.",
    epilog=examples(
        "edgerun bundle diff cards-1.0.0.tar cards-1.1.0.tar",
        "edgerun bundle diff cards@1.0.0 new/ --json",
        "edgerun bundle diff old.tar new.tar --patch --model champion | git apply",
    ),
)
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--patch", "as_patch", is_flag=True, help="Print the code's patch alone, as git diff does.")
@click.option("--model", help="With --patch: the code that trained this model; else that of the bundles.")
@clones_option
@REPOSITORY_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def diff(
    before: Path,
    after: Path,
    as_patch: bool,
    model: str | None,
    clones: tuple[Path, ...],
    repository: str | None,
    as_json: bool,
) -> None:
    """Say what AFTER changes against BEFORE: models, graph, weights, requirements, sizes, and where both come from.

    The share of keys that move is exact: the ranges of both splits are laid over each other. The code is that which
    was captured with both; what it stands on is looked for in the clone that one is in, then at its remotes.
    """
    with opened(before, repository) as old, opened(after, repository) as new:
        pair = (shown_provenance(old), shown_provenance(new))
        if as_patch:
            _write(code_patch(*pair, model, clones))
            return
        document = compare((old.bundle, old.manifest), (new.bundle, new.manifest))
        code = code_diffs(*pair, clones)
    if as_json:
        click.echo(json_line({**document, "provenance": provenance_document(*pair, code)}))
        return
    click.echo("\n".join([_diff_page(document), *provenance_page(*pair, code)]))


def _write(content: bytes) -> None:
    """Write a patch as it is to a program, and without what could steer it to a terminal."""
    if not sys.stdout.isatty():
        click.echo(content, nl=False)
        return
    for line in content.decode("utf-8", "backslashreplace").splitlines():
        click.echo("\t".join(map(printable, line.split("\t"))))


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
        *_table_lines("holdout", document["holdout"]),
        *_changed("golden", *document["golden"]),
        *_changed("profile", *("none" if one is None else _short(one) for one in document["profile"])),
        *_table_lines("requires", document["requires"]),
        *_table_lines("limits", document["limits"]),
        *_table_lines("plan", document["experiment"]),
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
