"""The recipes: small committed bundles that say the truth about themselves and can be made again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from edgerun import EdgeRunner
from edgerun.errors import BundleError
from edgerun_bundles import recipes
from support import oracle

SOURCES = Path(__file__).parents[2] / "bundles" / "recipes"
RECIPES = ("digits", "cards")
MODELS = ("champion", "challenger")
FILE_MAX_BYTES = 300_000
ALL_MAX_BYTES = 1_000_000


def digits_test_set(folder):
    with np.load(folder / "test.npz") as file:
        return {"image": file["image"]}, file["label"], file["image_id"]


def cards_test_set(folder):
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text("utf-8").splitlines()]
    dtypes = {"amount": np.float32, "distance_km": np.float32, "hour": np.int64, "merchant": object}
    inputs = {
        name: np.concatenate([np.array(row["inputs"][name], dtype) for row in rows]) for name, dtype in dtypes.items()
    }
    return inputs, np.array([row["label"] for row in rows]), [row["meta"] for row in rows]


TEST_SETS = {"digits": digits_test_set, "cards": cards_test_set}


def model_file(recipe, model):
    return recipes.folder(recipe) / "bundle" / "models" / f"{model}.onnx"


def answer(path, inputs):
    """The model's outputs, with the inputs in the dtypes that it declares."""
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(string)": object}
    dtypes = {name: kinds[kind] for name, kind, _ in oracle.signature(path)[0]}
    return oracle.run(path, {name: np.array(value, dtypes[name]) for name, value in inputs.items()})


def test_an_unknown_recipe_is_refused_with_the_names_of_those_there_are():
    with pytest.raises(BundleError, match="no recipe is named 'dogs'; there are: cards, digits"):
        recipes.folder("dogs")


def test_an_installation_finds_its_own_recipes(monkeypatch, tmp_path):
    (tmp_path / "birds" / "bundle").mkdir(parents=True)
    monkeypatch.setattr(recipes, "_INSTALLED", tmp_path)
    assert recipes.folder("birds") == tmp_path / "birds"


@pytest.mark.parametrize("recipe", RECIPES)
def test_both_models_of_a_recipe_can_be_arms_of_one_split(recipe):
    assert oracle.signature(model_file(recipe, "champion")) == oracle.signature(model_file(recipe, "challenger"))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_readme_gives_the_measured_accuracy(recipe, model):
    inputs, labels, _ = TEST_SETS[recipe](recipes.folder(recipe))
    accuracy = np.mean(answer(model_file(recipe, model), inputs)["label"] == labels)
    row = next(
        line
        for line in (SOURCES / recipe / "README.md").read_text("utf-8").splitlines()
        if line.startswith(f"| `{model}` |") and "%" in line
    )
    assert f"{100 * accuracy:.1f} %" in row


@pytest.mark.parametrize("recipe", RECIPES)
def test_golden_examples_are_what_the_models_answer(recipe):
    examples = json.loads((recipes.folder(recipe) / "bundle" / "golden.json").read_text("utf-8"))
    assert len(examples) >= 9
    for example in examples:
        assert set(example["outputs"]) == set(MODELS)
        for model, expected in example["outputs"].items():
            found = answer(model_file(recipe, model), example["inputs"])
            assert found["label"].tolist() == expected["label"]
            np.testing.assert_allclose(
                found["probabilities"], expected["probabilities"], rtol=0, atol=example["tolerance"]
            )


def test_the_digits_are_real_images_each_there_once():
    inputs, labels, image_ids = digits_test_set(recipes.folder("digits"))
    digits = load_digits()
    assert len(set(image_ids.tolist())) == len(labels) == 600
    np.testing.assert_array_equal(inputs["image"], digits.data[image_ids])
    np.testing.assert_array_equal(labels, digits.target[image_ids])


def test_a_served_digit_has_the_answer_of_the_model_of_its_arm():
    folder = recipes.folder("digits")
    inputs, _, image_ids = digits_test_set(folder)
    labels = {model: answer(model_file("digits", model), inputs)["label"] for model in MODELS}
    served = {"control": "champion", "challenger": "challenger"}
    with EdgeRunner.open(folder / "bundle") as runner:
        for row, image_id in enumerate(image_ids.tolist()):
            prediction = runner.predict(inputs["image"][row : row + 1], meta={"image_id": image_id})
            assert prediction.model == served[prediction.arm]
            assert prediction["label"][0] == labels[prediction.model][row]


def test_the_cards_are_routed_as_the_readme_says():
    folder = recipes.folder("cards")
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text("utf-8").splitlines()]
    ways = {"gold": set(), "black": set(), "silver": set()}
    with EdgeRunner.open(folder / "bundle") as runner:
        for row in rows:
            prediction = runner.predict(row["inputs"], meta=row["meta"])
            ways[row["meta"]["card_type"]].add(prediction.path)
    assert ways == {
        "gold": {("by-card", "champion")},
        "black": {("by-card", "ab", "champion"), ("by-card", "ab", "challenger")},
        "silver": {("by-card", "watch", "champion")},
    }


def test_a_session_of_the_cards_has_one_card():
    _, _, metas = cards_test_set(recipes.folder("cards"))
    card_of = {meta["session_id"]: meta["card_type"] for meta in metas}
    assert set(card_of.values()) == {"silver", "gold", "black"}
    assert all(card_of[meta["session_id"]] == meta["card_type"] for meta in metas)


def test_the_recipes_stay_small():
    sizes = [path.stat().st_size for recipe in RECIPES for path in recipes.folder(recipe).rglob("*") if path.is_file()]
    assert max(sizes) < FILE_MAX_BYTES
    assert sum(sizes) < ALL_MAX_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_training_again_gives_the_same_files_and_the_committed_test_set(recipe, tmp_path):
    first, second = (retrained(recipe, tmp_path / seed, hash_seed=seed) for seed in ("1", "2"))
    assert files(first) == files(second)
    inputs, labels, keys = TEST_SETS[recipe](recipes.folder(recipe))
    inputs_again, labels_again, keys_again = TEST_SETS[recipe](first)
    np.testing.assert_array_equal(labels, labels_again)
    np.testing.assert_array_equal(keys, keys_again)
    for name, value in inputs.items():
        np.testing.assert_array_equal(value, inputs_again[name])
    for model in MODELS:
        committed = answer(model_file(recipe, model), inputs)["label"]
        again = answer(first / "bundle" / "models" / f"{model}.onnx", inputs)["label"]
        assert np.mean(committed == again) > 0.98  # another processor or scikit-learn rounds otherwise


def retrained(recipe: str, into: Path, *, hash_seed: str) -> Path:
    into.mkdir()
    command = [sys.executable, str(SOURCES / recipe / "train.py"), "--into", str(into)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})
    return into


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
