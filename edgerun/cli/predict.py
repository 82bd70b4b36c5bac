"""``edgerun predict``: runs calls that stand in a file, and prints what came of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.calls import FORMATS, format_of, read_inputs, read_lines
from edgerun.cli.output import columns, duration_text, examples, json_line, json_value, printable, short_text
from edgerun.errors import EdgerunError
from edgerun.graph import KeySplit
from edgerun.runner import EdgeRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun.graph import Graph
    from edgerun.prediction import Prediction


def parse_meta(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return ``--meta name=value`` options as a dict."""
    meta: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise click.BadParameter(f"{text!r} is not of the form name=value", ctx, param)
        if name in meta:
            raise click.BadParameter(f"{name!r} is given twice", ctx, param)
        meta[name] = value
    return meta


@click.command(
    short_help="Run the calls of a file through BUNDLE.",
    epilog=examples(
        "edgerun predict digits/bundle --input image.npy --key image-7",
        "edgerun predict cards/bundle --input card.json --meta card_type=gold",
        "edgerun predict cards/bundle --input test.jsonl --json",
        "echo '[[0.5, 1.5]]' | edgerun predict toy/bundle --input -",
    ),
)
@click.argument("bundle", type=click.Path())
@click.option("--input", "file", type=click.Path(), required=True, metavar="FILE", help="The inputs; - is stdin.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Of FILE; else its name tells.")
@click.option("--key", help="The unit of a sticky split, such as a session's id.")
@click.option("--meta", multiple=True, metavar="NAME=VALUE", callback=parse_meta, help="A field to route by.")
@click.option("--cast", type=click.Choice(["safe"]), help="Let an array be cast where that loses nothing.")
@click.option("--deadline-s", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Give up after S seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON a call, with whole outputs.")
def predict(
    bundle: str,
    file: str,
    form: str | None,
    key: str | None,
    meta: dict[str, str],
    cast: str | None,
    deadline_s: float | None,
    as_json: bool,
) -> None:
    """Run the calls of FILE through BUNDLE, a bundle's folder.

    A .json FILE holds one call: an object of input name to nested list, or the list alone where the model has one
    input. So do .npz and .npy files; their arrays must have the model's dtypes. A .jsonl FILE holds a call a line, an
    object of "inputs", "key" and "meta".
    """
    form = form or format_of(file)
    if form == "jsonl" and (key is not None or meta):
        raise click.UsageError("--key and --meta are for one call; each line of a .jsonl FILE has its own")
    with EdgeRunner.open(bundle) as runner:
        run = partial(runner.predict, cast=cast, deadline_s=deadline_s)
        if form == "jsonl":
            _predict_lines(run, file, as_json)
            return
        _tell_unread_meta(runner.bundle.graph, meta)
        prediction = run(read_inputs(file, form), key=key, meta=meta or None)
        click.echo(json_line(_document(prediction)) if as_json else _page(runner.bundle.name, prediction))


def _predict_lines(run: Callable[..., Prediction], file: str, as_json: bool) -> None:
    for place, call in read_lines(file):
        try:
            prediction = run(call.inputs, key=call.key, meta=call.meta)
        except EdgerunError as error:
            raise type(error)(f"{place}: {error}") from error
        click.echo(json_line(_document(prediction)) if as_json else _line(prediction))


def _tell_unread_meta(graph: Graph, meta: dict[str, str]) -> None:
    """Warn of a field that no node reads: most likely its name is misspelt."""
    fields = {*graph.split_keys, *(node.field for node in graph.nodes.values() if isinstance(node, KeySplit))}
    for name in meta:
        if name not in fields:
            read = ", ".join(sorted(fields)) or "none"
            click.echo(
                f"edgerun: warning: no node of the graph reads the meta field {name!r}; it reads: {read}", err=True
            )


def _document(prediction: Prediction) -> dict[str, Any]:
    return {
        "outputs": {name: json_value(value) for name, value in prediction.items()},
        "model": prediction.model,
        "arm": prediction.arm,
        "assignment": prediction.assignment,
        "path": list(prediction.path),
        "version": prediction.version,
        "fallback": prediction.fallback,
        "latency_s": prediction.latency_s,
        "id": prediction.id,
    }


def _page(bundle: str, prediction: Prediction) -> str:
    rows = [(name, short_text(value)) for name, value in prediction.items()]
    facts = {
        "model": _model(prediction),
        "arm": _arm(prediction),
        "path": " > ".join(prediction.path),
        "bundle": f"{bundle} {prediction.version}",
        "latency": duration_text(prediction.latency_s),
        "id": prediction.id,
    }
    return f"{columns(rows)}\n\n{columns([*facts.items()])}"


def _line(prediction: Prediction) -> str:
    outputs = "  ".join(f"{name}={short_text(value)}" for name, value in prediction.items())
    return printable(f"{outputs}  model={_model(prediction)}  arm={_arm(prediction)}")


def _model(prediction: Prediction) -> str:
    """The model that answered, and why where it stands in for another."""
    if prediction.fallback is None:
        return str(prediction.model)
    return f"{prediction.model} (instead of {prediction.path[-1]}: {prediction.fallback})"


def _arm(prediction: Prediction) -> str:
    """The arm that was assigned, or why none was."""
    return prediction.arm or f"none ({prediction.assignment or 'no random split on the way'})"
