"""The calls that what a report says beside its verdict is computed from: all, or those of units drawn by their hash.

The calls are read once, and once their labels; every later question is asked of what was found. A unit's hash has
nothing to do with its arm or its calls, so the units drawn stand for all, and each comes with all of its calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgerun_sync.limits import LIMITS
from edgerun_sync.queries.labelled import LABEL_COLUMNS, last_labels
from edgerun_sync.queries.tables import CALLS, is_one_of, microseconds

if TYPE_CHECKING:
    from datetime import datetime

    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.queries.keeping import Keeper

_DAY_US = 86_400 * 10**6


def one_in(rows: int, most: int = LIMITS.sampled_calls_max) -> int:
    """Return of how many one is drawn so that at most about `most` rows are left: a power of two."""
    found = 1
    while rows > found * most:
        found *= 2
    return found


def sampled_calls(keeper: Keeper, plan: Plan, calls: Any, labels: Any, units: Any, begin: datetime, factor: int) -> Any:
    """Keep calls of the units that are drawn, with their labels.

    The answer has a row for each answered call that its unit made in the arm in which it counts: ``arm``; ``unit``;
    ``age``, whole days since the experiment began; ``label``, what was said; ``score``; ``truth``, the last label.

    Args:
        keeper: of an engine that has the tables.
        plan: of the experiment.
        calls: of the experiment, as `declared.calls_of` asks for them.
        labels: the table of labels, or some of its rows.
        units: a row for each ``unit``, with its ``arm``.
        begin: of the experiment.
        factor: of how many units one is drawn, a power of two; of requests, of how many calls.

    Raises:
        QueryError: the engine failed.
    """
    rows = calls.filter(is_one_of(calls.kind, CALLS))
    if factor > 1:
        number = rows.sequence if plan.unit == "request" else rows.unit
        rows = rows.filter((number & (factor - 1)) == 0)
    id_ = rows.epoch + "-" + rows.sequence.cast("string")  # as the column has it, which takes longer to read
    drawn = keeper.keep("drawn calls", rows.select("time", "arm", "unit", "label", "score", id=id_))
    labels = labels.filter(labels.kind == "label")
    labels = labels.semi_join(drawn, labels.id == drawn.id).select(*LABEL_COLUMNS)
    found = last_labels(keeper.keep("labels of drawn calls", labels)).select(call="id", truth="truth")
    joined = drawn.left_join(found, drawn.id == found.call).drop("call", "id")
    own = units.select(of_unit="unit", of_arm="arm")
    rows = own.join(joined, (own.of_unit == joined.unit) & (own.of_arm == joined.arm))
    age = (microseconds(rows.time) - round(begin.timestamp() * 10**6)) // _DAY_US
    return keeper.keep("sampled calls", rows.select("arm", "unit", "label", "score", "truth", age=age.cast("int64")))
