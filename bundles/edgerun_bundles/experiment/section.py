"""The commented section ``[experiment]`` that a plan starts from: it reads as it stands, and explains each field."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

from edgerun.errors import BundleError
from edgerun.graph import RandomSplit, parse_graph
from edgerun_bundles.definition import DEFINITION_FILE, read_definition
from edgerun_bundles.experiment.plan import check_plan, parse_plan
from edgerun_bundles.placing import file_placed

if TYPE_CHECKING:
    from pathlib import Path

_SECTION = """
# The node takes the keys of one slice of a layer alone with a line in its own table, such as
#   layer = {{ name = "ranking", from = 0, to = 0.5 }}
# so that experiments whose slices do not overlap share no key; and a share of all keys stays out of every experiment
# with the bundle's
#   [holdout]
#   name = "2026-h2"
#   share = 0.05
#   split_key = {split_key}
# docs/graph.md has both.

# The plan of the experiment, written down before it runs: docs/experiments.md has every field. It is part of the signed
# bundle, so whoever changes it makes another version.
[experiment]
name = {name}
node = {node}                    # the random_split whose arms are compared
unit = {unit}             # what it draws by: split_key, device or request
control = {control}
null = {null}
alternative = {alternative}
primary = "accuracy"                # one metric decides; the others may only stop it
success = []                        # further metrics of success, each at a part of alpha
minimum_effect = 0.01               # the smallest effect on the primary metric that matters, in its unit
alpha = 0.05                        # chance of a false claim of success
power = 0.8                         # chance that the minimum effect is shown
analysis = "sequential"             # may be read on any day; "fixed" needs fewer units and is read once
minimum_days = 14                   # whole weeks
maximum_days = 42
# What `edgerun experiment plan` computes; a bundle is not built without it.
# units = {{ {units} }}

[experiment.metrics.accuracy]
kind = "accuracy"
deviation = 0.1                     # standard deviation between units in the past; the sample rests on it

[experiment.metrics.latency]
kind = "latency_quantile"
share = 0.95
baseline = 0.005                    # seconds
deviation = 0.004

[experiment.metrics.fallbacks]
kind = "fallback_rate"
deviation = 0.01

# How much worse a guardrail may get: in its unit, or as a share of the control's value.
[experiment.guardrails]
latency = {{ relative_margin = 0.1 }}
fallbacks = {{ margin = 0.002 }}

# What the fleet brings: units that are there on the first day, new ones a day, and how alike those of a device are.
[experiment.traffic]
at_once = 0
per_day = 1000
icc = 0.0
units_per_device = 1
"""


def add_section(folder: Path, name: str, node: str | None = None) -> str:
    """Add a commented ``[experiment]`` to the definition of a bundle, and return the node that it is about.

    Args:
        folder: of the definition.
        name: of the experiment.
        node: the random split; the only one where it is None.

    Raises:
        BundleError: the definition is wrong or has an experiment already, or the node is none of its random splits.
        GraphError: its graph is wrong.
    """
    definition, source = read_definition(folder), folder / DEFINITION_FILE
    if definition.experiment:
        raise BundleError(f"{source} has an [experiment] already; edit it there")
    graph = parse_graph(definition.name, definition.nodes, definition.route, definition.models, definition.holdout)
    splits = {at: found for at, found in graph.nodes.items() if isinstance(found, RandomSplit)}
    chosen = node or (next(iter(splits)) if len(splits) == 1 else None)
    if not splits:
        raise BundleError(
            f"{source} has no random_split, whose arms an experiment compares; add one to [nodes], and name it in "
            "`route` or in another node"
        )
    if chosen not in splits:
        said = f"{chosen!r} is no random_split" if chosen else f"there are {len(splits)} random splits"
        raise BundleError(f"{source}: {said}; name one with --node: {', '.join(splits)}")
    text = section(name, chosen, splits[chosen])
    former = source.read_text("utf-8")
    with file_placed(source) as draft:
        draft.write_text(former.rstrip("\n") + "\n" + text, "utf-8")
        check_plan(parse_plan(tomllib.loads(text)["experiment"], str(source)), graph, str(source))
    return chosen


def _key(arm: str) -> str:
    """An arm as a key of TOML: bare where it may be."""
    return arm if arm.replace("-", "").replace("_", "").isalnum() else json.dumps(arm)


def section(name: str, node: str, split: RandomSplit) -> str:
    """Return the section for a random split, as TOML with comments."""
    treatments = " and ".join(arm for arm in split.split.arms if arm != split.control)
    return _SECTION.format(
        name=json.dumps(name),
        node=json.dumps(node),
        unit=json.dumps("request" if split.split_key is None else "split_key"),
        control=json.dumps(split.control),
        null=json.dumps(f"{treatments} answers no more calls rightly than {split.control}"),
        alternative=json.dumps(f"{treatments} answers more calls rightly than {split.control}"),
        split_key=json.dumps(split.split_key or "customer_id"),
        units=", ".join(f"{_key(arm)} = 10_000" for arm in split.split.arms),
    )
