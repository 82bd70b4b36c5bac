"""Calls and the labels that came for them, days later or in another process's log. The last label of a call counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from edgerun_sync.experiments.confusion import cell_names
from edgerun_sync.queries.tables import BY, CALLS, EVENTS, LABELS, divided, tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun_sync.queries.tables import Every

_WHOLE_MAX = 2**53
"""Up to here every integer is a float64 of its own."""
LABEL_COLUMNS = ("kind", "id", "text", "value", "time", "epoch", "row", "batch_time")
"""What last_labels() reads."""
_OF_A_LABEL = ("id", "text", "value", "time")
_ORDER = ("epoch", "row", "batch_time")
"""Of labels of the same time."""


def said_again(labels: Any = LABELS) -> Any:
    """Ask for the labels of calls that have several."""
    given, ids = _given(labels), _of_calls(labels).select("id")  # an engine would hold all that it reads for both
    counts = ids.group_by("id").agg(labels=ids.count())
    several = counts.filter(counts.labels > 1).select(again="id")
    return given.semi_join(several, given.id == several.again)


def last_labels(labels: Any = LABELS, again: Any = None) -> Any:
    """Ask for the last label of each call.

    The answer has a row for each call: ``id``; ``truth``, the label as text, integers without a point, missing where it
    is another number; ``value``, where it is a number; ``labelled``, its time; ``labels``, how many there were.
    Of labels of the same time, the one of the greater epoch and row is the last.

    Args:
        labels: the table of labels, or some of its rows.
        again: said_again() of these labels, where an engine keeps it; else it is asked for.
    """
    if again is None:
        again = said_again(labels)
    given = _given(labels)
    once = given.anti_join(again, given.id == again.id).mutate(labels=ibis.literal(1, "int64"))
    return _truths(once.select(*_OF_A_LABEL, "labels")).union(last_of_several(again))


def last_of_several(again: Any) -> Any:
    """Ask for the last of several labels of each call, as last_labels() does.

    Args:
        again: said_again(), or some of its rows.
    """
    order = [again[name].desc() for name in ("time", *_ORDER)]
    ranked = again.mutate(
        place=ibis.row_number().over(ibis.window(group_by="id", order_by=order)),
        labels=again.id.count().over(ibis.window(group_by="id")),
    )
    return _truths(ranked.filter(ranked.place == 0).select(*_OF_A_LABEL, "labels"))


def _of_calls(labels: Any) -> Any:
    return labels.filter((labels.kind == "label") & labels.id.notnull())


def _given(labels: Any) -> Any:
    return _of_calls(labels).select(*_OF_A_LABEL, *_ORDER)


def _truths(last: Any) -> Any:
    is_whole = (last.value.abs() < _WHOLE_MAX) & (last.value == last.value.floor())
    whole = ibis.ifelse(is_whole, last.value, 0.0).cast("int64").cast("string")
    truth = ibis.coalesce(last.text, ibis.ifelse(is_whole, whole, ibis.null("string")))
    return last.select("id", truth=truth, value="value", labelled="time", labels="labels")


def labelled(events: Any = EVENTS, labels: Any = LABELS) -> Any:
    """Ask for all calls that were answered, with their labels.

    The answer has the columns of events, and those of last_labels(), which are missing where no label has come.
    """
    calls = events.filter(events.kind.isin(CALLS))
    found = last_labels(labels)
    joined = calls.left_join(found, calls.id == found.id)
    return joined.select(calls, found.truth, found.value, found.labelled, found.labels)


def label_rates(
    events: Any = EVENTS, labels: Any = LABELS, *, by: Sequence[str] = BY, every: Every | None = None
) -> Any:
    """Ask how many calls have labels, and how often the models were right.

    The answer has a row for each group: the columns of `by`; ``begin``, where time is divided; ``calls``; ``labelled``;
    ``label_rate``; ``right``, calls whose label is what the model said; ``accuracy``, of the labelled ones.

    Raises:
        QueryError: a column or length is none.
    """
    rows, keys = divided(labelled(events, labels), by, every)
    found = rows.group_by(keys).agg(
        calls=rows.count(),
        labelled=tally(rows.truth.notnull()),
        right=tally(rows.truth == rows.label),
    )
    return found.select(
        *keys,
        calls=found.calls,
        labelled=found.labelled,
        label_rate=found.labelled.cast("float64") / found.calls.cast("float64"),
        right=found.right,
        accuracy=found.right.cast("float64") / found.labelled.nullif(0).cast("float64"),
    )


def confusion(events: Any = EVENTS, labels: Any = LABELS, *, by: Sequence[str] = BY, every: Every | None = None) -> Any:
    """Ask for confusion matrices.

    The answer has a row for each cell that is not empty: the columns of `by`; ``begin``, where time is divided;
    ``truth``; ``predicted``, what the model said, missing where it said no class; ``calls``.

    Raises:
        QueryError: a column or length is none.
    """
    rows, keys = divided(labelled(events, labels), by, every)
    rows = rows.filter(rows.truth.notnull()).mutate(predicted=rows.label)
    return rows.group_by([*keys, "truth", "predicted"]).agg(calls=rows.count())


def unit_cells(classes: Sequence[str], events: Any = EVENTS, labels: Any = LABELS) -> Any:
    """Ask for the confusion matrix of every unit, whose moments `experiments.confusion` takes.

    The answer has a row for each ``arm`` and ``unit`` that has a labelled call of known classes, and the columns of
    cell_names(): how many of its calls are of each cell. Calls without arm or unit are left out.

    Args:
        classes: as the labels have them; other ones are left out.
        events: the table of events, or some of its rows.
        labels: the table of labels, or some of its rows.
    """
    rows = labelled(events, labels)
    rows = rows.filter(rows.arm.notnull() & rows.unit.notnull() & rows.truth.isin(classes) & rows.label.isin(classes))
    cells = [(rows.truth == truth) & (rows.label == predicted) for truth in classes for predicted in classes]
    counts = {name: tally(cell) for name, cell in zip(cell_names(classes), cells, strict=True)}
    return rows.group_by(["arm", "unit"]).agg(**counts)
