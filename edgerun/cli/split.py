"""``edgerun split``: looks into an assignment, without any bundle."""

from __future__ import annotations

import click

from edgerun.cli.output import examples, json_line
from edgerun.enrolment import Gate, holdout_gate, layer_gate, parse_holdout, parse_layer, traffic_gate
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


@click.group(epilog=examples("edgerun split explain checkout-button user-7 --weights control=90,green=10"))
def split() -> None:
    """Look into the assignment of keys to arms."""


def _share(text: str) -> float | str:
    """A share as a bundle has it; what is none of them is refused by whoever reads it."""
    try:
        return text if "/" in text else float(text)
    except ValueError:
        return text


def _gates(
    salt: str, holdout: tuple[str, str] | None, layer: tuple[str, str, str] | None, traffic: float
) -> tuple[Gate, ...]:
    found = []
    if holdout is not None:
        name, share = holdout
        found.append(holdout_gate(parse_holdout({"name": name, "share": _share(share), "split_key": "key"})))
    if layer is not None:
        name, start, end = layer
        found.append(layer_gate(parse_layer({"name": name, "from": _share(start), "to": _share(end)})))
    if traffic < 1:
        found.append(traffic_gate(salt, traffic))
    return tuple(found)


@split.command(
    epilog=examples(
        "edgerun split explain checkout-button user-7 --weights control=90,green=10",
        "edgerun split explain shop/ab user-7 --weights a=1,b=1 --layer ads 0 1/3",
    )
)
@click.argument("salt")
@click.argument("key")
@click.option(
    "--weights",
    required=True,
    metavar="ARM=WEIGHT,...",
    callback=parse_weights,
    help="Of all arms; they normalise themselves.",
)
@click.option("--holdout", type=(str, str), metavar="NAME SHARE", help="The holdout of the bundle.")
@click.option("--layer", type=(str, str, str), metavar="NAME FROM TO", help="The slice of a layer that is enrolled.")
@click.option("--traffic", type=click.FloatRange(0, 1), default=1.0, help="The share of keys that is enrolled.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def explain(
    salt: str,
    key: str,
    weights: dict[str, int | float],
    holdout: tuple[str, str] | None,
    layer: tuple[str, str, str] | None,
    traffic: float,
    as_json: bool,
) -> None:
    """Show every step from KEY to its arm, under SALT: first what it must pass to be enrolled, in that order.

    The answer is that of a split which was never reweighted.
    """
    found = Split(salt, weights).explain(key)
    steps = [(gate, gate.as_split().explain(key).point) for gate in _gates(salt, holdout, layer, traffic)]
    stopped = [gate.otherwise for gate, point in steps if not gate.passes(point)]
    assignment = stopped[0] if stopped else "assigned"
    if not as_json:
        for gate, point in steps:
            click.echo(_step_text(gate, point))
        if stopped:
            click.echo(f"so the control serves, and the assignment is {assignment!r}; if it were enrolled:\n")
        click.echo(str(found))
        return
    document = {
        "salt": salt,
        "key": key,
        "seed": f"{found.seed:#018x}",
        "hash": f"{found.hash:#018x}",
        "point": found.point,
        "range": {"start": found.range.start, "end": found.range.end},
        "arm": None if stopped else found.arm,
        "why": found.why,
        "assignment": assignment,
        "gates": [
            {"salt": gate.salt, "point": point, "start": gate.start, "end": gate.end, "passes": gate.passes(point)}
            for gate, point in steps
        ],
    }
    click.echo(json_line(document))


def _step_text(gate: Gate, point: int) -> str:
    purpose = gate.salt.rpartition("/")[2]
    said = "lies in" if gate.passes(point) else f"is {gate.otherwise!r}: it lies outside of"
    return f"{purpose:<8} the point {point} under {gate.salt!r} {said} [{gate.start}, {gate.end})"
