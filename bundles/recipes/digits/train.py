"""Train the digits recipe: two models, a test set, golden examples, and the bundle made of them.

Run it as ``python bundles/recipes/digits/train.py``. The same library versions on the same machine give the
same files, byte for byte.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from edgerun import bundle
from edgerun_bundles import golden

VERSION = "1.0.0"
SEED = 0
TEST_IMAGES = 600
TOLERANCE = 1e-5  # of a probability: ten times what float32 differs here from scikit-learn's float64

MODELS = {
    "champion": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "challenger": make_pipeline(StandardScaler(), MLPClassifier((64,), alpha=1.0, max_iter=400, random_state=SEED)),
}

ROUTE = "split"
NODES = {
    "split": {
        "kind": "random_split",
        "weights": {"control": 80, "challenger": 20},
        "split_key": "image_id",
    },
    "control": {"kind": "shadow_deploy", "champion": "champion", "shadows": ["challenger"]},
}


def main(into: Path) -> None:
    """Write ``test.npz`` and ``bundle/`` into a folder, and print how well each model does."""
    digits = load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)), test_size=TEST_IMAGES, random_state=SEED, stratify=digits.target
    )
    images, labels = digits.data.astype(np.float32), digits.target.astype(np.int64)
    np.savez_compressed(into / "test.npz", image=images[test], label=labels[test], image_id=test)
    with tempfile.TemporaryDirectory() as folder:
        models = {
            name: write_onnx(name, model.fit(images[train], labels[train]), Path(folder))
            for name, model in MODELS.items()
        }
        answers = {name: predictions(path, images[test]) for name, path in models.items()}
        for name, answer in answers.items():
            print(f"{name}: {np.mean(answer == labels[test]):.4f} of {TEST_IMAGES} test images are right")
        chosen = [np.flatnonzero(labels[test] == digit)[:1] for digit in range(10)]
        chosen.append(np.flatnonzero(answers["champion"] != answers["challenger"])[:3])
        bundle.write(
            into / "bundle",
            name="digits",
            version=VERSION,
            models=models,
            nodes=NODES,
            route=ROUTE,
            golden=[golden.example(models, {"image": images[test][rows]}, tolerance=TOLERANCE) for rows in chosen],
        )


def write_onnx(name: str, model: Pipeline, folder: Path) -> Path:
    """Write a fitted model: ``image`` float32 [N, 64] to ``label`` int64 [N], ``probabilities`` [N, 10]."""
    converted = to_onnx(
        model,
        initial_types=[("image", FloatTensorType([None, 64]))],
        options={"zipmap": False},
        target_opset={"": 17, "ai.onnx.ml": 3},
        name=f"digits_{name}",
    )
    converted.opset_import.sort(key=lambda opset: opset.domain)  # skl2onnx keeps them in a set: any order
    path = folder / f"{name}.onnx"
    path.write_bytes(converted.SerializeToString())
    return path


def predictions(path: Path, images: np.ndarray) -> np.ndarray:
    """Return the label that an ONNX model gives to each image."""
    return np.array(golden.answers(path, {"image": images})["label"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent, help="the folder to write into")
    main(parser.parse_args().into)
