"""An experiment from start to promotion: a publisher, devices that take each version, tables, and the verdict."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from edgerun import EdgeRunner
from edgerun_sync.collector.data import open_data
from support import steered, truths
from support.collection import commit_all, land_all

pytestmark = pytest.mark.slow
RAMP_US = truths.DAYS * truths.DAY_US // 2
X = np.ones((1, 2), np.float32)


class Device:
    """A device that joined a channel, takes what there is for it, and routes calls."""

    def __init__(self, shop, folder):
        self.shop, self.store = shop, folder / "store"
        root = folder / "root.json"
        root.write_text(shop.says("bundle", "repository", "show", "--root"))
        shop.run(
            *("device", "join", shop.place, "--root", root, "--bundle", "cards"),
            *("--channel", "stable", "--store", self.store),
        )

    def arms(self):
        """Update, and return the version and each known key's arm."""
        self.shop.run("device", "update", "--store", self.store)
        with EdgeRunner.open(self.store) as runner:
            arms = [runner.predict({"x": X}, key=key).arm for key in truths.KEYS]
            return runner.bundle.version, np.array([truths.ARMS.index(arm) for arm in arms])


def calls_of_a_ramp(before, after, effect, seed=5):
    """Calls of keys of which half are there from the start, and half come after the ramp."""
    rng = np.random.default_rng(seed)
    session = np.repeat(np.arange(truths.UNITS), truths.CALLS)
    newcomer = (np.arange(truths.UNITS) % 2 == 1)[session]
    span_us = np.where(newcomer, RAMP_US, 2 * RAMP_US)
    time_us = np.where(newcomer, RAMP_US, 0) + (rng.random(len(session)) * span_us).astype(np.int64)
    arm = np.where(time_us < RAMP_US, before[session], after[session])
    shares = np.clip(truths.BASE + effect * arm, 0.01, 0.99)
    order = np.argsort(time_us, kind="stable")
    time_us[order[0]] = 0
    is_right = rng.random(len(session)) < shares
    is_labelled = rng.random(len(session)) < 0.7
    is_fallback = rng.random(len(session)) < 0.002
    return truths.Calls(*(found[order] for found in (session, arm, time_us, is_right, is_labelled, is_fallback)))


def test_from_start_over_a_ramp_to_promotion(tmp_path, monkeypatch):
    monkeypatch.setattr(truths, "START_US", int(time.time() * 1e6) - truths.DAYS * truths.DAY_US)
    shop = steered.publisher(tmp_path, monkeypatch)
    steered.pushed(shop, "1.0.0")
    shop.experiment("start", "cards@1.0.0", "--channel", "stable", "--weights", "control=70,challenger=30")
    device = Device(shop, tmp_path)
    version, before = device.arms()
    assert version == "1.0.1"
    done = shop.experiment("ramp", "truth", "--weights", "control=1,challenger=1")
    version, after = device.arms()
    assert version == "1.0.2"
    assert not ((before == 1) & (after == 0)).any()  # nobody leaves an arm that grows
    assert np.mean(before != after) == pytest.approx(done["moved"], abs=0.1)

    data, calls = open_data(str(tmp_path / "data"), lanes=1), calls_of_a_ramp(before, after, 0.19)
    for name, is_of in (("1.0.1", calls.time_us < RAMP_US), ("1.0.2", calls.time_us >= RAMP_US)):
        part = truths.Calls(*(column[is_of] for column in calls))
        land_all(data, *truths.segments_of(part, f"gateway-{name[-1]}", name))
    commit_all(data)
    known = tmp_path / "keys.txt"
    known.write_text("\n".join(truths.KEYS))

    asked = ("report", "truth", "--data", tmp_path / "data", "--keys", known, "--format", "json")
    report = json.loads(shop.says("experiment", *asked))
    assert [phase["name"] for phase in report["facts"]["phases"]] == ["1.0.1", "1.0.2"]
    health = {check["check"]: check["ok"] for check in report["health"]}
    assert all(health.values()), report["health"]
    assert report["verdicts"]["challenger"]["verdict"] == "SHIP", report["verdicts"]

    (tmp_path / "report.json").write_text(json.dumps(report))
    done = shop.experiment("promote", "truth", "challenger", "--facts", tmp_path / "report.json")
    assert (done["version"], done["control"], shop.channel()) == ("1.0.3", "challenger", [("1.0.3", 1_000_000, ())])
    version, arms = device.arms()
    assert (version, {*arms.tolist()}) == ("1.0.3", {1})
    with EdgeRunner.open(device.store) as runner:
        assert runner.predict({"x": X}).model == "challenger"  # without a key the control answers, which it is now
    again = json.loads(shop.says("experiment", *asked))
    assert [phase["name"] for phase in again["facts"]["phases"]] == ["1.0.1", "1.0.2"]
