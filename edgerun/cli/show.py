"""``edgerun show``: what a bundle holds, how it routes, and what goes in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgerun._core.runtime import dtype_name
from edgerun.cli.output import columns, examples, json_line, printable, share_text
from edgerun.enrolment import holdout_document
from edgerun.graph import KeySplit, RandomSplit, ShadowDeploy, node_to_dict
from edgerun.runner import EdgeRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun._core.runtime import Port
    from edgerun.bundle import Bundle
    from edgerun.graph import Graph, Node
    from edgerun.signature import Signature

_INDENT = "  "


@click.command(
    short_help="Describe BUNDLE and its routing graph.",
    epilog=examples("edgerun show digits/bundle", "edgerun show digits/bundle --json"),
)
@click.argument("bundle", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def show(bundle: str, as_json: bool) -> None:
    """Describe BUNDLE, a bundle's folder: models, inputs and outputs, the routing graph with the shares of its arms.

    Every model is loaded, so a bundle that can be shown can be served.
    """
    with EdgeRunner.open(bundle) as runner:
        page = _document if as_json else _page
        click.echo(page(runner.bundle, runner.signature))


def _document(bundle: Bundle, signature: Signature) -> str:
    nodes = bundle.graph.nodes
    document = {
        "name": bundle.name,
        "version": bundle.version,
        "models": {name: {"bytes": path.stat().st_size} for name, path in bundle.models.items()},
        "inputs": [_port(port) for port in signature.inputs],
        "outputs": [_port(port) for port in signature.outputs],
        "route": bundle.graph.route,
        "nodes": {name: node_to_dict(node) for name, node in nodes.items()},
        "holdout": None if bundle.graph.holdout is None else holdout_document(bundle.graph.holdout),
        "shares": {name: dict(node.split.shares) for name, node in nodes.items() if isinstance(node, RandomSplit)},
        "golden": len(bundle.golden),
    }
    return json_line(document)


def _port(port: Port) -> dict[str, Any]:
    return {
        "name": port.name,
        "kind": port.kind,
        "dtype": None if port.dtype is None else dtype_name(port.dtype),
        "dims": None if port.dims is None else [*port.dims],
    }


def _page(bundle: Bundle, signature: Signature) -> str:
    ports = {"input": signature.inputs, "output": signature.outputs}
    rows = [
        ("bundle", bundle.name, bundle.version),
        *(("model", name, f"{path.stat().st_size:,} bytes") for name, path in bundle.models.items()),
        *((role, port.name, _type(port)) for role, found in ports.items() for port in found),
        ("golden", str(len(bundle.golden)), "examples"),
    ]
    return "\n".join([columns(rows), "", "route", *graph_lines(bundle.graph)])


def _type(port: Port) -> str:
    return str(port).removeprefix(f"{port.name}: ")


def graph_lines(graph: Graph) -> Iterator[str]:
    """Yield a line a name, each under the node that leads to it; what was shown before is not unfolded again."""
    shown: set[str] = set()

    def lines(name: str, label: str, depth: int) -> Iterator[str]:
        node = graph.nodes.get(name)
        known = name in shown
        shown.add(name)
        what = "" if node is None else "  (above)" if known else f"  {_summary(node)}"
        yield printable(f"{_INDENT * depth}{label}{name}{what}")
        if node is not None and not known:
            edges = [*_edges(node)]
            width = max(len(edge) for edge, _ in edges)
            for edge, target in edges:
                yield from lines(target, f"{edge:{width}}  ", depth + 1)

    yield from lines(graph.route, "", 1)
    if graph.holdout is not None:
        name, share, field = graph.holdout
        yield printable(f"{_INDENT}held out as {name}: {share_text(float(share))} by {field}")


def _summary(node: Node) -> str:
    match node:
        case RandomSplit():
            unit = "for each request" if node.split_key is None else f"by {node.split_key}"
            traffic = f", {share_text(node.traffic)} enrolled" if node.traffic < 1 else ""
            forced = f", {len(node.force)} keys forced" if node.force else ""
            return f"random split {unit}, control: {node.control}{_slice(node)}{traffic}{forced}"
        case KeySplit():
            return f"key split on {node.field}"
        case ShadowDeploy():
            return "shadow deploy" + (f", {share_text(node.sample)} sampled" if node.sample < 1 else "")


def _slice(node: RandomSplit) -> str:
    """The slice of a layer that a random split takes its keys from."""
    if node.layer is None:
        return ""
    return f", {node.layer.name} from {share_text(float(node.layer.start))} to {share_text(float(node.layer.end))}"


def _edges(node: Node) -> Iterator[tuple[str, str]]:
    """What leads from a node to the names under it."""
    match node:
        case RandomSplit():
            yield from ((share_text(share), arm) for arm, share in node.split.shares.items())
        case KeySplit():
            yield from ((repr(value), target) for value, target in node.cases.items())
            yield "else", node.default
        case ShadowDeploy():
            yield "serves", node.champion
            yield from (("watches", model) for model in node.shadows)
