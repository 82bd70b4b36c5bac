"""Building a bundle from its definition, and proving that it serves before anybody gets it.

The build goes through all that a device will do: load the models, check the graph against their signatures, reproduce
the golden examples in a process of its own, within the limits. The same inputs give the same bytes.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun import bundle
from edgerun.errors import BundleError, EdgerunError
from edgerun.graph import RandomSplit, parse_graph, salt_of
from edgerun.rehearsal import Rehearsal, rehearse
from edgerun.requirements import Requires, parse_requires, this_machine, unmet_requirements
from edgerun_bundles.experiment.plan import check_plan, parse_plan, require_sample
from edgerun_bundles.golden import example as golden_example
from edgerun_bundles.layout_write import manifest_of_folder
from edgerun_bundles.onnx_header import read_header
from edgerun_bundles.reference import build_profile, read_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from edgerun.artifact import Manifest
    from edgerun.bundle import Bundle
    from edgerun.graph import Graph
    from edgerun.log.training import TrainingProfile
    from edgerun_bundles.definition import Definition

OPSET_MAX = 23
"""The newest standard operator set that every onnxruntime reads on which edgerun runs."""


class Built(NamedTuple):
    """A bundle that was built and proven."""

    bundle: Bundle
    """As a device reads it."""

    manifest: Manifest
    """As others will know it."""

    rehearsal: Rehearsal
    """What it took on this machine."""

    profile: TrainingProfile | None
    """What its training data were like; None where its definition names none."""


@contextmanager
def unseen(_length: int, _label: str) -> Iterator[Callable[[int], None]]:
    """Give a function that shows no progress."""
    yield lambda _: None


def build(
    definition: Definition,
    folder: Path,
    parent: Bundle | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, str], AbstractContextManager[Callable[[int], None]]] = unseen,
) -> Built:
    """Build a bundle.

    Args:
        definition: what it is to be.
        folder: a new or empty folder for it.
        parent: the bundle that it follows: a split that both have is reweighted, so that as few keys move as can be.
        say: is told what comes next.
        progress: gives, for a number of steps and a label, a context manager of a function to call with steps done.

    Raises:
        BundleError: something of the definition is wrong, an example does not reproduce, the training data
            cannot be read or run, or a limit is passed.
        GraphError: the graph is wrong, or its models cannot stand in for each other.
        ModelError: a model cannot be loaded.
    """
    _check_versions(definition)
    _check_experiment(definition)
    say("loading the models and running the golden examples")
    nodes = definition.nodes if parent is None else _reweighted(definition, parent)
    reference, models = definition.reference, definition.models
    bundle.write(
        folder,
        name=definition.name,
        version=definition.version,
        models=models,
        nodes=nodes,
        route=definition.route,
        golden=_with_outputs(definition),
        requires=definition.requires,
        limits=definition.limits,
        experiment=definition.experiment,
        holdout=definition.holdout,
        profile=None if reference is None else build_profile(reference, models, _graph(definition), progress),
    )
    manifest = manifest_of_folder(folder)
    if definition.size_bytes is not None and manifest.content_bytes > definition.size_bytes:
        raise BundleError(f"the bundle has {manifest.content_bytes} bytes; its budget is {definition.size_bytes}")
    say("rehearsing what a device will do")
    found = bundle.read(folder)
    return Built(found, manifest, rehearse(found.folder, found.limits), read_profile(found))


def _check_versions(definition: Definition) -> None:
    """Check that what is proven here is proven for a version that the bundle admits, and the other way round."""
    requires = parse_requires(definition.requires, "the bundle")
    unmet = unmet_requirements(Requires(requires.edgerun, requires.onnxruntime), this_machine())
    if unmet:
        raise BundleError(f"the bundle cannot be proven here: {unmet[0]}")
    for model, path in definition.models.items():
        if not path.is_file():
            raise BundleError(f"model {model!r}: {path} is missing")
        opset = read_header(path).opsets.get("ai.onnx", 0)
        if opset > OPSET_MAX and "onnxruntime" not in definition.requires:
            here = this_machine().onnxruntime
            raise BundleError(
                f"model {model!r} needs operator set {opset}, which not every onnxruntime of a device reads; export it "
                f'for {OPSET_MAX} or below, or say under [requires]: onnxruntime = "{here}"'
            )


def _check_experiment(definition: Definition) -> None:
    """Check the plan, if there is one, against the graph that it speaks of."""
    if not definition.experiment:
        return
    plan = parse_plan(definition.experiment, "the bundle")
    graph = _graph(definition)
    check_plan(plan, graph, "the bundle")
    node = graph.nodes[plan.node]
    assert isinstance(node, RandomSplit)
    require_sample(plan, node.split.shares, "the bundle")


def _with_outputs(definition: Definition) -> list[Any]:
    """The golden examples; where one expects nothing yet, it gets what onnxruntime's own package answers."""
    if all(not isinstance(found, dict) or found.get("outputs") for found in definition.golden):
        return [*definition.golden]
    dtypes = _input_dtypes(definition)
    return [_complete(index, found, definition.models, dtypes) for index, found in enumerate(definition.golden)]


def _complete(index: int, found: Any, models: Mapping[str, Path], dtypes: Mapping[str, Any]) -> Any:
    if not isinstance(found, dict) or found.get("outputs") or not isinstance(found.get("inputs"), dict):
        return found  # bundle.write() says what is wrong with it
    inputs = found["inputs"]
    if not inputs.keys() <= dtypes.keys():
        return found
    try:
        arrays = {name: np.asarray(value, dtypes[name]) for name, value in inputs.items()}
        made = golden_example(models, arrays, tolerance=0)
    except (ValueError, TypeError, OverflowError, EdgerunError) as error:
        raise BundleError(f"golden example {index}: {error}") from error
    return {**found, "outputs": made["outputs"]}


def _graph(definition: Definition) -> Graph:
    return parse_graph(definition.name, definition.nodes, definition.route, definition.models, definition.holdout)


def _input_dtypes(definition: Definition) -> dict[str, Any]:
    sessions = bundle.open_sessions(definition.models, _graph(definition), threads=1)
    return {port.name: port.dtype for session in sessions.values() for port in session.signature.inputs}


def _reweighted(definition: Definition, parent: Bundle) -> dict[str, Any]:
    """The nodes, with every split that the parent has too reweighted from there."""
    nodes = dict(definition.nodes)
    for name, fields in nodes.items():
        former = parent.graph.nodes.get(name)
        if not isinstance(former, RandomSplit) or not isinstance(fields, dict) or "weights" not in fields:
            continue
        if former.split.salt == fields.get("salt", salt_of(definition.name, name)):
            split = former.split.reweight(fields["weights"]).to_dict()
            rest = {field: value for field, value in fields.items() if field not in {"weights", "salt"}}
            nodes[name] = {**rest, "split": split}
    return nodes
