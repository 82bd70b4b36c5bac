"""``edgerun split``: looks into an assignment, without any bundle."""

from __future__ import annotations

import click

from edgerun.cli.output import examples, json_line
from edgerun.split import Split


def parse_weights(ctx: click.Context, param: click.Parameter, text: str) -> dict[str, int | float]:
    """Return ``arm=weight,arm=weight`` as a dict; a whole number is an int, any other a float, as in JSON."""
    weights: dict[str, int | float] = {}
    for part in text.split(","):
        arm, separator, number = part.rpartition("=")
        if not separator:
            raise click.BadParameter(f"{part!r} is not of the form arm=weight", ctx, param)
        if arm in weights:
            raise click.BadParameter(f"arm {arm!r} is given twice", ctx, param)
        weights[arm] = _number(ctx, param, number)
    return weights


def _number(ctx: click.Context, param: click.Parameter, text: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise click.BadParameter(f"{text!r} is not a number", ctx, param)


@click.group()
def split() -> None:
    """Look into the assignment of keys to arms."""


@split.command(epilog=examples("edgerun split explain checkout-button user-7 --weights control=90,green=10"))
@click.argument("salt")
@click.argument("key")
@click.option(
    "--weights",
    required=True,
    metavar="ARM=WEIGHT,...",
    callback=parse_weights,
    help="Of all arms; they normalise themselves.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def explain(salt: str, key: str, weights: dict[str, int | float], as_json: bool) -> None:
    """Show every step from KEY to its arm, under SALT.

    The answer is that of a split which was never reweighted.
    """
    found = Split(salt, weights).explain(key)
    if not as_json:
        click.echo(str(found))
        return
    document = {
        "salt": salt,
        "key": key,
        "seed": f"{found.seed:#018x}",
        "hash": f"{found.hash:#018x}",
        "point": found.point,
        "range": {"start": found.range.start, "end": found.range.end},
        "arm": found.arm,
        "why": found.why,
    }
    click.echo(json_line(document))
