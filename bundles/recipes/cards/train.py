"""Train the cards recipe: made-up card transactions, two models, a test set, golden examples, and the bundle.

The transactions are synthetic: `transactions` below is all there is behind them. Run it as
``python bundles/recipes/cards/train.py``. The same library versions on the same machine give the same files,
byte for byte.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from edgerun import bundle
from edgerun_bundles import golden

VERSION = "1.0.0"
SEED = 0
TRAINING_SESSIONS = 6000
TEST_SESSIONS = 240
TOLERANCE = 1e-5  # of a probability: ten times what float32 differs here from scikit-learn's float64

INPUTS = {
    "amount": np.float32,
    "distance_km": np.float32,
    "hour": np.int64,
    "merchant": np.object_,
}
"""The columns of the models' inputs, each [N, 1]; ``merchant`` is a string."""

ROUTE = "by-card"
NODES = {
    "by-card": {
        "kind": "key_split",
        "field": "card_type",
        "cases": {"gold": "champion", "black": "ab"},
        "default": "watch",
    },
    "ab": {
        "kind": "random_split",
        "weights": {"champion": 90, "challenger": 10},
        "split_key": "session_id",
    },
    "watch": {"kind": "shadow_deploy", "champion": "champion", "shadows": ["challenger"]},
}


@dataclass(frozen=True)
class Merchant:
    """A kind of shop: its share of honest and of stolen purchases, and the log of a usual amount."""

    share: float
    stolen_share: float
    log_amount: float


MERCHANTS = {
    "grocery": Merchant(0.28, 0.10, 3.2),
    "fuel": Merchant(0.16, 0.10, 3.6),
    "restaurant": Merchant(0.20, 0.05, 3.4),
    "travel": Merchant(0.10, 0.10, 5.2),
    "electronics": Merchant(0.12, 0.25, 4.8),
    "jewellery": Merchant(0.06, 0.15, 5.6),
    "gift_cards": Merchant(0.08, 0.25, 3.9),
}
CARD_SHARES = {"silver": 0.50, "gold": 0.25, "black": 0.25}
CARD_LOG_SPEND = {"silver": 0.0, "gold": 0.5, "black": 1.1}
STOLEN_SHARE = 0.3


def main(into: Path) -> None:
    """Write ``test.jsonl`` and ``bundle/`` into a folder, and print how well each model does."""
    random = np.random.default_rng(SEED)
    training = transactions(random, TRAINING_SESSIONS, first_session=0)
    test = transactions(random, TEST_SESSIONS, first_session=TRAINING_SESSIONS)
    with (into / "test.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in test)
    labels = np.array([row["label"] for row in test])
    with tempfile.TemporaryDirectory() as folder:
        models = {name: write_onnx(name, fit(model, training), Path(folder)) for name, model in MODELS.items()}
        answers = {name: golden.answers(path, columns(test)) for name, path in models.items()}
        for name, answer in answers.items():
            right = np.mean(answer["label"] == labels)
            area = roc_auc_score(labels, np.array(answer["probabilities"])[:, 1])
            print(f"{name}: {right:.4f} of {len(test)} test transactions are right, ROC area {area:.4f}")
        bundle.write(
            into / "bundle",
            name="cards",
            version=VERSION,
            models=models,
            nodes=NODES,
            route=ROUTE,
            golden=[golden.example(models, columns(rows), tolerance=TOLERANCE) for rows in chosen(test, answers)],
        )


def transactions(random: np.random.Generator, sessions: int, *, first_session: int) -> list[dict]:
    """Return made-up transactions, as a fraud desk sees them after a first filter: 3 in 10 are fraud.

    The card of a stolen session buys other things, at night more often and far from home, either for very
    little (to try whether the card works) or for more than usual. Each row holds the inputs of the models,
    the ``meta`` that the graph routes by, and the label: 1 is fraud.
    """
    rows = []
    for session in range(first_session, first_session + sessions):
        card = random.choice(list(CARD_SHARES), p=list(CARD_SHARES.values()))
        stolen = bool(random.random() < STOLEN_SHARE)
        for _ in range(1 + random.poisson(1.2)):
            purchase = stolen_purchase(random, card) if stolen else honest_purchase(random, card)
            rows.append(
                {
                    "inputs": {name: [[value]] for name, value in purchase.items()},
                    "meta": {"card_type": str(card), "session_id": f"s-{session:06d}"},
                    "label": int(stolen),
                }
            )
    return rows


def honest_purchase(random: np.random.Generator, card: str) -> dict:
    """Return what the owner of a card buys."""
    merchant = random.choice(list(MERCHANTS), p=[kind.share for kind in MERCHANTS.values()])
    return purchase_of(
        merchant,
        amount=random.lognormal(MERCHANTS[merchant].log_amount + CARD_LOG_SPEND[card], 0.6),
        distance_km=random.exponential(12),
        hour=random.normal(15, 4),
    )


def stolen_purchase(random: np.random.Generator, card: str) -> dict:
    """Return what a thief buys."""
    merchant = random.choice(list(MERCHANTS), p=[kind.stolen_share for kind in MERCHANTS.values()])
    usual_log_amount = MERCHANTS[merchant].log_amount + CARD_LOG_SPEND[card]
    tries_the_card, by_night, far_away = random.random(3) < (0.35, 0.5, 0.6)
    return purchase_of(
        merchant,
        amount=random.uniform(0.5, 3) if tries_the_card else random.lognormal(usual_log_amount + 0.7, 0.7),
        distance_km=random.lognormal(4, 1.3) if far_away else random.exponential(12),
        hour=random.normal(2, 2) if by_night else random.normal(15, 4),
    )


def purchase_of(merchant: str, *, amount: float, distance_km: float, hour: float) -> dict:
    """Return the inputs of the models, rounded as a payment terminal does."""
    return {
        "amount": round(amount, 2),
        "distance_km": round(distance_km, 1),
        "hour": int(hour) % 24,
        "merchant": str(merchant),
    }


def columns(rows: list[dict]) -> dict[str, np.ndarray]:
    """Return the inputs of many transactions, each input as one array [N, 1]."""
    return {
        name: np.concatenate([np.array(row["inputs"][name], dtype) for row in rows]) for name, dtype in INPUTS.items()
    }


def preparation() -> ColumnTransformer:
    """Return the common first step of both models."""
    return ColumnTransformer(
        [
            ("numbers", StandardScaler(), [0, 1]),
            ("hour", StandardScaler(), [2]),
            ("merchant", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [3]),
        ]
    )


MODELS = {
    "champion": make_pipeline(preparation(), LogisticRegression(max_iter=1000)),
    "challenger": make_pipeline(
        preparation(), GradientBoostingClassifier(n_estimators=60, max_depth=3, random_state=SEED)
    ),
}


def fit(model: Pipeline, rows: list[dict]) -> Pipeline:
    """Train a pipeline on transactions."""
    table = np.concatenate([column.astype(object) for column in columns(rows).values()], axis=1)
    return model.fit(table, [row["label"] for row in rows])


def write_onnx(name: str, model: Pipeline, folder: Path) -> Path:
    """Write a fitted model: `INPUTS` to ``label`` int64 [N] and ``probabilities`` float32 [N, 2]."""
    kinds = {np.float32: FloatTensorType, np.int64: Int64TensorType, np.object_: StringTensorType}
    converted = to_onnx(
        model,
        initial_types=[(column, kinds[dtype]([None, 1])) for column, dtype in INPUTS.items()],
        options={"zipmap": False},
        target_opset={"": 17, "ai.onnx.ml": 3},
        name=f"cards_{name}",
    )
    converted.opset_import.sort(key=lambda opset: opset.domain)  # skl2onnx keeps them in a set: any order
    path = folder / f"{name}.onnx"
    path.write_bytes(converted.SerializeToString())
    return path


def chosen(test: list[dict], answers: dict[str, dict]) -> list[list[dict]]:
    """Return a purchase at each merchant, three that the models dispute, and one at an unknown merchant."""
    first = {row["inputs"]["merchant"][0][0]: row for row in reversed(test)}
    disputed = np.flatnonzero(np.array(answers["champion"]["label"]) != np.array(answers["challenger"]["label"]))
    unknown = {**test[0], "inputs": {**test[0]["inputs"], "merchant": [["florist"]]}}
    return [*([first[name]] for name in MERCHANTS), [test[i] for i in disputed[:3]], [unknown]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent, help="the folder to write into")
    main(parser.parse_args().into)
