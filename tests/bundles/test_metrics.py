"""A confusion matrix and what follows from it are what scikit-learn says they are."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import classification_report, confusion_matrix

from edgerun.errors import InputError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance.matrix_text import CLASSES_SHOWN, matrix_lines
from edgerun_bundles.provenance.metrics import ConfusionMatrix, confusion_matrix_of, per_class_numbers

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


@given(pairs=pairs)
def test_counts_are_those_of_scikit_learn(pairs):
    true, said = map(list, zip(*pairs, strict=True))
    found = ConfusionMatrix.from_predictions(true, np.array(said))
    with warnings.catch_warnings(action="ignore"):  # it warns of a single label
        assert found.counts == tuple(map(tuple, confusion_matrix(true, said).tolist()))
    assert found == confusion_matrix_of((found.labels, np.array(found.counts)), "x")


@given(pairs=pairs)
def test_numbers_per_class_are_those_of_scikit_learn(pairs):
    true, said = map(list, zip(*pairs, strict=True))
    found = ConfusionMatrix.from_predictions(true, said).per_class()
    with warnings.catch_warnings(action="ignore"):  # of classes that never occur
        told = classification_report(true, said, output_dict=True, zero_division=np.nan)
    for label, numbers in found.items():
        assert numbers.support == told[label]["support"]
        for ours, theirs in zip(numbers[:2], (told[label]["precision"], told[label]["recall"]), strict=True):
            assert ours == pytest.approx(theirs, nan_ok=True)
        if not math.isnan(told[label]["f1-score"]):
            assert numbers.f1 == pytest.approx(told[label]["f1-score"])


def test_labels_may_be_given_in_an_order_and_must_cover_what_was_seen():
    found = ConfusionMatrix.from_predictions(["b", "a"], ["b", "b"], labels=["b", "a", "c"])
    assert (found.labels, found.counts) == (("b", "a", "c"), ((1, 0, 0), (1, 0, 0), (0, 0, 0)))
    assert found.accuracy == 0.5
    with pytest.raises(InputError, match="'a' is not among labels"):
        ConfusionMatrix.from_predictions(["b", "a"], ["b", "b"], labels=["b"])
    with pytest.raises(InputError, match="2 true labels, and 1"):
        ConfusionMatrix.from_predictions([1, 2], [1])


def test_a_matrix_that_counted_nothing_has_no_accuracy():
    assert math.isnan(ConfusionMatrix((), ()).accuracy)
    assert matrix_lines(ConfusionMatrix((), ())) == ["no classes"]


def test_classes_past_the_limit_are_refused():
    limits = LIMITS._replace(classes_max=2)
    assert confusion_matrix_of([[1, 0], [0, 1]], "m", limits).total == 2
    with pytest.raises(InputError, match="classes_max"):
        confusion_matrix_of(np.eye(3, dtype=int), "m", limits)
    with pytest.raises(InputError, match="classes_max"):
        ConfusionMatrix.from_predictions([0, 1, 2], [0, 1, 2], limits=limits)
    with pytest.raises(InputError, match="classes_max"):
        per_class_numbers({"auc": {"a": 1, "b": 2, "c": 3}}, limits)


def test_a_matrix_is_shown_with_its_numbers_per_class():
    assert matrix_lines(ConfusionMatrix(("gold", "black"), ((3, 1), (0, 1200)))) == [
        "       gold  black  support  precision  recall       F1",
        " gold     3      1        4      100 %    75 %  85.71 %",
        "black     0  1,200    1,200    99.92 %   100 %  99.96 %",
        "accuracy 99.92 % of 1,204",
    ]


def test_of_many_classes_the_worst_are_shown():
    counts = np.eye(CLASSES_SHOWN + 1, dtype=int)
    counts[7, 3] = 5
    lines = matrix_lines(confusion_matrix_of(counts, "m"))
    assert len(lines) == CLASSES_SHOWN + 3
    assert [line.split()[0] for line in lines[1:3]] == ["3", "7"]
    assert "lowest F1" in lines[-1]


def test_a_label_cannot_steer_the_terminal():
    assert "\x1b" not in "".join(matrix_lines(ConfusionMatrix(("\x1b[31m", "x" * 50), ((1, 0), (0, 1)))))
