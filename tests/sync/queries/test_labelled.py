"""Labels that come late, in another stream, twice: the last one counts, and both engines say the same as pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edgerun_sync.experiments.confusion import confusion_matrix
from edgerun_sync.queries.labelled import confusion, label_rates, labelled, last_labels, unit_cells
from edgerun_sync.queries.tables import EVENTS, LABELS
from edgerun_sync.queries.units import moments
from support.recorded import CLASSES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


def truth_text(row):
    if isinstance(row.text, str):
        return row.text
    return f"{int(row.value)}" if float(row.value).is_integer() else None


@pytest.fixture(scope="module")
def last(frames):
    given = frames["labels"][frames["labels"].kind == "label"].sort_values(["time", "epoch", "row"])
    found = given.groupby("id").tail(1)
    return found.assign(truth=[truth_text(row) for row in found.itertuples()]).set_index("id")


@pytest.fixture(scope="module")
def calls(frames, last):
    rows = frames["events"][frames["events"].kind.isin(["inference", "fallback"])]
    return rows.assign(truth=rows.id.map(last.truth))


def test_the_last_label_of_a_call_counts(engines, last):
    found = engines.ask(last_labels(), "id")
    assert found.id.tolist() == sorted(last.index)
    assert found.labels.max() == 2
    in_order = last.loc[found.id]
    assert [text if isinstance(text, str) else None for text in found.truth] == [
        text if isinstance(text, str) else None for text in in_order.truth
    ]


def test_a_label_that_is_there_twice_counts_once(engines):
    twice = LABELS.union(LABELS, distinct=False)
    once, doubled = (engines.ask(label_rates(EVENTS, table), "model", "arm", "version") for table in (LABELS, twice))
    pd.testing.assert_frame_equal(once, doubled)


def test_every_call_is_there_once_labelled_or_not(engines, calls):
    rows = labelled()
    found = engines.ask(rows.agg(calls=rows.count(), ids=rows.id.nunique(), labelled=rows.truth.count()))
    assert found.to_dict("records") == [
        {"calls": len(calls), "ids": len(calls), "labelled": int(calls.truth.notna().sum())}
    ]


def test_accuracy_is_that_of_pandas(engines, calls):
    found = engines.ask(label_rates(by=["arm"]), "arm")
    for (arm, members), row in zip(calls.groupby("arm"), found.itertuples(), strict=True):
        right = int((members.truth == members.label).sum())
        assert (row.arm, row.calls, row.labelled, row.right) == (
            arm,
            len(members),
            members.truth.notna().sum(),
            right,
        )
        assert row.accuracy == right / row.labelled


def test_confusion_is_that_of_pandas(engines, calls):
    found = engines.ask(confusion(by=["arm"]), "arm", "truth", "predicted")
    truth = calls.dropna(subset=["truth"]).groupby(["arm", "truth", "label"]).size()
    assert [*zip(found.arm, found.truth, found.predicted, found.calls, strict=True)] == [
        (*key, n) for key, n in truth.items()
    ]


def test_the_moments_of_units_give_the_matrix_of_an_arm(duck, calls):
    units = unit_cells(CLASSES)
    names = [name for name in units.columns if name.startswith("cell")]
    found = confusion_matrix(moments(duck, units, names)["control"], CLASSES).calls
    of_arm = calls[(calls.arm == "control") & calls.truth.isin(CLASSES)]
    truth = pd.crosstab(of_arm.truth, of_arm.label).reindex(index=CLASSES, columns=CLASSES, fill_value=0)
    np.testing.assert_allclose(found, truth.to_numpy(), rtol=1e-12)
