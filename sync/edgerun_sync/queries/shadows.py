"""What models in the shadow said of the calls that others answered, and which of the two was right by the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import ibis
import numpy as np

from edgerun_sync.experiments.confusion import paired_names
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.paired import PAIRED_WITH_BOTH
from edgerun_sync.queries.labelled import last_labels
from edgerun_sync.queries.sampled import one_in
from edgerun_sync.queries.tables import CALLS, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.queries.engines import Engine


class Shadows(NamedTuple):
    """Pairs of answers to one call, of models in the shadow and of those that answered."""

    moments: dict[str, Moments]
    """By model and node, 'challenger at watch': of `paired.PAIRED_WITH_BOTH` over devices, and where classes are known
    of `confusion.paired_names`."""

    one_in: int
    """Of how many calls one was drawn."""


def shadow_moments(
    engine: Engine, bundle: str, versions: Sequence[str], events: Any, labels: Any, classes: Sequence[str] = ()
) -> Shadows:
    """Return how often only one of two models was right, of each model in the shadow that has labelled pairs.

    A pair is a call that was answered with a class, to which the watched model also said one, and that has a label.
    Devices are its clusters: what a device sees on one day is like what it sees on the next.

    Args:
        engine: that has the tables.
        bundle: name of the bundle.
        versions: of the bundle.
        events: the table of events, or some of its rows.
        labels: the table of labels, or some of its rows.
        classes: of the label, for the measures of each; none where they are too many.

    Raises:
        QueryError: the engine failed.
    """
    own = events.filter((events.bundle == bundle) & events.version.isin(versions) & events.label.notnull())
    did_fail = ibis.coalesce(own.failed, ibis.literal(value=False))
    watched = own.filter((own.kind == "shadow") & ~did_fail & own.node.notnull() & own.model.notnull())
    rows = ask(engine, watched.agg(n=watched.count())).to_pylist()[0]["n"]
    if not rows:
        return Shadows({}, 1)
    factor = one_in(rows)
    names = (*PAIRED_WITH_BOTH, *paired_names(classes))
    devices = ask(engine, _by_device(own, watched, labels, factor, classes))  # of sampled calls: no more than those
    columns = {name: devices[name].to_numpy() for name in names}
    pairs = zip(devices["model"].to_pylist(), devices["node"].to_pylist(), strict=True)
    shadow = np.array([f"{model} at {node}" for model, node in pairs], object)
    return Shadows(
        {
            name: moments_of({column: values[shadow == name] for column, values in columns.items()})
            for name in sorted({*shadow.tolist()})
        },
        factor,
    )


def _by_device(own: Any, watched: Any, labels: Any, factor: int, classes: Sequence[str]) -> Any:
    """Ask for the pairs of each device."""
    served = own.filter(own.kind.isin(CALLS))
    if factor > 1:
        watched = watched.filter((watched.sequence & (factor - 1)) == 0)
        served = served.filter((served.sequence & (factor - 1)) == 0)
        labels = labels.semi_join(watched, labels.id == watched.id)
    pairs = watched.select("model", "node", call="id", shadow="label").join(
        served.select(of_call="id", device="device", served="label"), [("call", "of_call")]
    )
    truths = last_labels(labels).select(of_label="id", truth="truth")
    pairs = pairs.join(truths.filter(truths.truth.notnull()), [("call", "of_label")])
    control, treatment = pairs.served == pairs.truth, pairs.shadow == pairs.truth
    only = (control & ~treatment, treatment & ~control, pairs.truth.notnull(), control & treatment)
    margins = [
        condition
        for said, right in ((pairs.served, control), (pairs.shadow, treatment))
        for conditions in (
            [right & (pairs.truth == name) for name in classes],
            [pairs.truth == name for name in classes],
            [said == name for name in classes],
        )
        for condition in conditions
    ]
    names = (*PAIRED_WITH_BOTH, *paired_names(classes))
    counts = {name: pairs.count(where=condition) for name, condition in zip(names, (*only, *margins), strict=True)}
    return pairs.group_by(["model", "node", "device"]).agg(**counts).order_by(["model", "node", "device"])
