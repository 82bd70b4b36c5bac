"""A Prediction tells what was answered, by which model, and on which way; it can be kept, copied and sent."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

from edgerun import ModelError, Prediction
from support import models
from support.serve import CHALLENGED, assert_same

X = np.array([[1, 2]], np.float32)
TROUBLE = np.array([[-1, 2]], np.float32)

CARDS = {
    "by-card": {
        "kind": "key_split",
        "field": "card",
        "cases": {"gold": "champion", "black": "ab"},
        "default": "watch",
    },
    "ab": {
        "kind": "random_split",
        "weights": {"champion": 1, "challenger": 1},
        "split_key": "user",
        "force": {"tester": "challenger"},
    },
    "watch": {"kind": "shadow_deploy", "champion": "champion", "shadows": ["challenger"]},
}


@pytest.fixture
def cards(serve):
    return serve({"champion": models.steady(2), "challenger": models.steady(3)}, CARDS)


def user_of(runner, arm):
    """A user whom the split ``ab`` assigns to an arm."""
    return next(u for u in map(str, range(1000)) if runner.predict(X, meta={"card": "black", "user": u}).arm == arm)


def test_ids_are_epoch_and_sequence_and_every_call_has_its_own(cards):
    ids = [cards.predict(X).id for _ in range(5)]
    ids += cards.predict_batch(np.concatenate([X, X])).ids
    ids += [cards.predict(X, deadline_s=60).id, cards.predict([[1.0, 2.0]]).id]
    epochs, numbers = zip(*(re.fullmatch(r"([0-9a-f]{16})-(\d+)", each).groups() for each in ids), strict=True)
    assert len(set(epochs)) == 1
    assert list(map(int, numbers)) == sorted({*map(int, numbers)})


def test_two_runners_of_one_bundle_have_streams_of_their_own(serve):
    first, second = serve(models.steady()), serve(models.steady())
    assert first.predict(X).epoch != second.predict(X).epoch


def test_the_path_names_the_nodes_taken_and_the_model(cards):
    assert cards.predict(X, meta={"card": "gold"}).path == ("by-card", "champion")
    assert cards.predict(X, meta={"card": "green"}).path == ("by-card", "watch", "champion")
    prediction = cards.predict(X, meta={"card": "black", "user": user_of(cards, "challenger")})
    assert prediction.path == ("by-card", "ab", "challenger")


@pytest.mark.parametrize("arm", ["champion", "challenger"])
def test_an_assigned_user_gets_the_arm_and_its_model(cards, arm):
    for _ in range(3):
        prediction = cards.predict(X, meta={"card": "black", "user": user_of(cards, arm)})
        assert (prediction.arm, prediction.model, prediction.assignment) == (arm, arm, "assigned")
        assert prediction["y"][0, 0] == {"champion": 2, "challenger": 3}[arm]


def test_a_forced_user_is_not_assigned_and_one_without_key_neither(cards):
    forced = cards.predict(X, meta={"card": "black"}, key="tester")
    assert (forced.arm, forced.model, forced.assignment) == (None, "challenger", "forced")
    unknown = cards.predict(X, meta={"card": "black"})
    assert (unknown.arm, unknown.model, unknown.assignment) == (None, "champion", "unassigned")
    elsewhere = cards.predict(X, meta={"card": "gold"}, key="tester")
    assert (elsewhere.arm, elsewhere.model, elsewhere.assignment) == (None, "champion", None)


def test_the_assigned_arm_stays_when_the_control_served(serve):
    runner = serve({"control": models.steady(), "challenger": models.raises()}, CHALLENGED)
    prediction = runner.predict(TROUBLE, key="a")
    assert (prediction.arm, prediction.model, prediction.fallback) == ("challenger", "control", "error")
    assert (prediction.path[-1], prediction.assignment) == ("challenger", "assigned")
    assert_same(prediction, {"y": 2 * TROUBLE})


def test_version_and_latency(cards):
    for _ in range(3):
        prediction = cards.predict(X)
        assert prediction.version == "1"
        assert 0 < prediction.latency_s < 60
        assert prediction.latency_ns == pytest.approx(prediction.latency_s * 1e9)


def test_a_prediction_is_a_dict_of_its_outputs(cards):
    prediction = cards.predict(X)
    assert isinstance(prediction, dict)
    assert list(prediction) == ["y"]
    np.testing.assert_array_equal(dict(prediction)["y"], 2 * X)


def test_the_repr_tells_outputs_id_model_and_arm(cards):
    prediction = cards.predict(X, meta={"card": "black", "user": user_of(cards, "challenger")})
    for part in ("array([[3., 6.]]", prediction.id, "model='challenger'", "arm='challenger'", "version='1'"):
        assert part in repr(prediction)
    batch = cards.predict_batch(np.concatenate([X, X]), metas=[{"card": "gold"}] * 2)
    assert "rows=2" in repr(batch)
    assert "'champion': 2" in repr(batch)


FIELDS = ("id", "arm", "assignment", "model", "path", "version", "fallback", "latency_s", "epoch", "sequence")


@pytest.mark.parametrize(
    "clone",
    [lambda p: pickle.loads(pickle.dumps(p)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
@pytest.mark.parametrize("meta", [{"card": "green"}, {"card": "black", "user": "u"}], ids=["watched", "split"])
def test_a_prediction_can_be_pickled_and_copied(cards, clone, meta):
    prediction = cards.predict(X, meta=meta)
    clone_of = clone(prediction)
    assert type(clone_of) is Prediction
    assert_same(clone_of, prediction)
    assert [getattr(clone_of, name) for name in FIELDS] == [getattr(prediction, name) for name in FIELDS]
    assert repr(clone_of) == repr(prediction)


def test_a_batch_can_be_pickled(cards):
    batch = cards.predict_batch(np.concatenate([X, X]), metas=[{"card": "green"}, {"card": "gold"}])
    sent = pickle.loads(pickle.dumps(batch))
    assert_same(sent, batch)
    assert (sent.ids, sent.arms, sent.models) == (batch.ids, batch.arms, batch.models)


def test_a_model_that_fails_alone_is_a_model_error_with_the_runtimes_reason(serve):
    runner = serve(models.raises())
    runner.predict(X)
    for _ in range(3):
        with pytest.raises(ModelError, match=r"model 'model': .*out of data bounds"):
            runner.predict(TROUBLE)
    assert_same(runner.predict(X), {"y": X})
    assert runner.stats().models["model"].failures >= 3
