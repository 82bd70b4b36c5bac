"""An experiment's rows with everything in them that may go wrong: a ramp that moves units, errors, labels said again.

Some calls are of the month before; some labels, too. What belongs to no arm, or to another bundle, is there as well.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from edgerun.split import Split, xxh64
from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.collector.arrow.parquet import file_of
from edgerun_sync.collector.arrow.schemas import SCHEMAS, file_schema
from edgerun_sync.collector.data import open_data
from edgerun_sync.queries.experiment import Version

if TYPE_CHECKING:
    from edgerun_bundles.experiment.plan import Plan

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
UNTIL = BEGIN + timedelta(days=20)
ARMS = ("old", "new")
UNITS, DEVICES, CALLS = 80, 9, 2500
KEYS = [f"key-{number}" for number in range(UNITS)]
VERSIONS = (
    Version("1", Split("cards/ab", {"old": 80, "new": 20})),
    Version("2", Split("cards/ab", {"old": 1, "new": 1})),
)
"""A ramp: some units of the old arm are of the new one in the second version."""

OF_CALLS = {
    "fallbacks": {"kind": "fallback_rate"},
    "slow": {"kind": "latency_quantile", "share": 0.5},
}
OF_LABELS = {
    "accuracy": {"kind": "accuracy"},
    "precision": {"kind": "precision", "positive": "1"},
    "recall": {"kind": "recall", "positive": "1"},
    "f1": {"kind": "f1", "positive": "1"},
    "loss": {"kind": "log_loss", "positive": "1"},
    "brier": {"kind": "brier", "positive": "1"},
    "auc": {"kind": "auc", "positive": "1"},
}
OF_OUTCOMES = {
    "paid": {"kind": "outcome_mean", "direction": "up", "outcome": "paid", "window_days": 3},
    "ratio": {"kind": "outcome_ratio", "direction": "up", "outcome": "paid", "per": "seen"},
    "came": {"kind": "conversion", "direction": "up", "outcome": "paid", "window_days": 3},
}
OF_ERRORS = {"errors": {"kind": "error_rate"}}
METRICS = {
    "split_key": OF_CALLS | OF_LABELS | OF_OUTCOMES,
    "device": OF_CALLS | OF_LABELS | OF_OUTCOMES | OF_ERRORS,
    "request": OF_CALLS | OF_LABELS | OF_ERRORS,
}
"""Every kind of metric that a unit may have."""


def plan_of(unit: str) -> Plan:
    """A plan by a kind of unit, with every metric that it may have."""
    metrics = METRICS[unit]
    document = {
        "name": "made",
        "node": "ab",
        "unit": unit,
        "control": "old",
        "null": "a",
        "alternative": "b",
        "primary": "accuracy",
        "success": [name for name in metrics if name != "accuracy"],
        "metrics": metrics,
        "minimum_effect": 0.1,
        "maximum_days": 28,
        "units": dict.fromkeys(ARMS, 30),
    }
    return parse_plan(document, "here")


def rows(unit: str, seed: int = 1) -> dict[str, pa.Table]:
    """The tables of events and labels, of an experiment by a kind of unit."""
    rng = np.random.default_rng(seed)
    events = [_event(rng, unit, number) for number in range(CALLS)]
    labels = [label for event in events for label in _labels(rng, event)]
    labels += [outcome for number in range(UNITS) for outcome in _outcomes(rng, unit, number, events)]
    return {"events": _table("events", events), "labels": _table("labels", labels)}


def labels_of_no_call(events: pa.Table) -> pa.Table:
    """Labels whose ids are nearly those of calls: of a number in another form, without a dash, or out of range."""
    found = []
    for event in (events.slice(row, 1).to_pylist()[0] for row in (0, 7, 100)):
        epoch, number = event["epoch"], event["sequence"]
        rests = ["", "-", f"{number}", f"--{number}", f"-0{number}", f"-+{number}", f"- {number}", f"-{number} "]
        rests += [
            f"-{number}.0",
            "-1e2",
            "-1_00",
            "-0x7",
            f"_{number}",
            f"-{2**63 - 1}",
            f"-{2**63}",
            f"-{10**30}",
            "-é",
        ]
        ids = [epoch + rest for rest in rests] + [epoch[1:] + f"-{number}", f"-{number}", "é" * 20]
        for place, id_ in enumerate(ids):
            found.append({"time": event["time"], "epoch": f"{2**60:016x}", "row": place, "batch_time": UNTIL})
            found[-1] |= {"kind": "label", "id": id_, "value": 1.0}
    given = {*events["id"].to_pylist()}
    return _table("labels", [label for label in found if label["id"] not in given])


def write(folder: str, tables: dict[str, pa.Table]) -> str:
    """Write them as a collector does, and return where."""
    data = open_data(folder, lanes=1)
    for number, (name, table) in enumerate(tables.items(), 1):
        schema = file_schema(SCHEMAS[name])
        columns = [table[field.name].cast(field.type) for field in schema]
        halves = [pa.table(columns, schema=schema).slice(first, 1000) for first in range(0, table.num_rows, 1000)]
        data.tables.append_files(0, number, {name: [file_of("2026-03-01", halves, schema)]})
    return folder


def _event(rng: np.random.Generator, unit: str, number: int) -> dict[str, Any]:
    who, chance = int(rng.integers(0, UNITS)), rng.random()
    key = f"device-{who % DEVICES}" if unit == "device" else KEYS[who]
    day = float(rng.choice([rng.uniform(-30, 0), rng.uniform(0, 21)], p=[0.3, 0.7]))
    day += 8 if who % 5 == 0 and 0 <= day <= 6 else 0  # these come in the second version only
    time = BEGIN + timedelta(minutes=int(day * 1440))  # whole minutes: many calls are of the same time
    version = VERSIONS[int(day > 6 and (who % 4 > 0 or who % 5 == 0))]
    id_ = f"{2**63 + who % DEVICES:016x}-{number}"
    key = id_ if unit == "request" else key
    arm = version.split.assign(key)
    found = {
        "device": f"device-{who % DEVICES}",
        "time": time,
        "batch_time": time + timedelta(hours=-1 if who % DEVICES == 4 and chance < 0.3 else 5),
        "epoch": f"{2**63 + who % DEVICES:016x}",
        "row": number,
        "sequence": number,
        "id": id_,
        "kind": "fallback" if rng.random() < 0.1 else "inference",
        "bundle": "cards",
        "version": version.name if day >= 0 else "0",
        "arm": arm if rng.random() < 0.97 else "old",
        "assignment": "assigned",
        "unit": None if unit == "request" else _hash(key),
        "latency_s": float(np.round(rng.lognormal(-5, 0.5), 4)),
        "label": str(int(rng.integers(0, 2))),
        "score": float(np.round(rng.uniform(0.5, 1), 4)),
    }
    if day < 0 and chance < 0.9:
        found |= {"arm": None, "assignment": None}
    if chance < 0.05:
        found |= {"kind": "error", "unit": None, "latency_s": None, "label": None, "score": None}
    elif chance < 0.1:
        found |= {"kind": "shadow", "unit": None}
    elif chance < 0.15:
        found |= {"assignment": "forced"}
    elif chance < 0.18:
        found |= {"bundle": "other"}
    elif chance < 0.2:
        found |= {"label": None, "score": None}
    elif chance < 0.22:
        found |= {"unit": None, "latency_s": None}
    return found


def _labels(rng: np.random.Generator, event: dict[str, Any]) -> list[dict[str, Any]]:
    """Labels of a call: none, one, or several of which the last counts; some come after all was looked at."""
    found = []
    for place in range(int(rng.choice([0, 1, 2], p=[0.3, 0.5, 0.2]))):
        value = float(rng.choice([0, 1, 0.5], p=[0.48, 0.48, 0.04]))
        is_text = rng.random() < 0.2
        found.append(
            {
                "time": event["time"] + timedelta(days=int(rng.choice([0, 1, 1, 9]))),
                "epoch": f"{2**62:016x}",
                "row": 10 * event["row"] + place,
                "batch_time": UNTIL,
                "kind": "label",
                "id": event["id"],
                "value": None if is_text else value,
                "text": str(int(value)) if is_text else None,
            }
        )
    return found


def _outcomes(rng: np.random.Generator, unit: str, number: int, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Outcomes of a unit, or of one of its calls."""
    key = f"device-{number % DEVICES}" if unit == "device" else KEYS[number]
    found = []
    for place in range(int(rng.integers(0, 4))):
        is_of_call = rng.random() < 0.3
        found.append(
            {
                "time": BEGIN + timedelta(minutes=int(rng.uniform(-2, 20) * 1440)),
                "epoch": f"{2**61:016x}",
                "row": 10 * number + place,
                "batch_time": UNTIL,
                "kind": "outcome",
                "name": str(rng.choice(["paid", "seen", "other"])),
                "unit": None if is_of_call else _hash(key),
                "id": events[int(rng.integers(0, CALLS))]["id"] if is_of_call else None,
                "value": float(rng.integers(1, 9)),
            }
        )
    return found


def _hash(key: str) -> int:
    code = xxh64(key.encode())
    return code - 2**64 if code >= 2**63 else code


def _table(name: str, found: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(found, SCHEMAS[name])
