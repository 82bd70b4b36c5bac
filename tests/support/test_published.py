"""The published models have the signatures that the tests of routing count on."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from support import oracle, published


def test_the_two_silero_releases_share_a_signature_and_answer_differently():
    assert oracle.signature(published.SILERO_VAD_5.path()) == oracle.signature(published.SILERO_VAD_6.path())
    sound = {
        "input": np.random.default_rng(0).normal(0, 0.1, (1, 576)).astype(np.float32),
        "state": np.zeros((2, 1, 128), np.float32),
        "sr": np.array(16000, np.int64),
    }
    older, newer = (oracle.run(model.path(), sound) for model in (published.SILERO_VAD_5, published.SILERO_VAD_6))
    assert older["output"].shape == newer["output"].shape == (1, 1)
    assert older["stateN"].shape == newer["stateN"].shape == (2, 1, 128)
    assert not np.allclose(older["output"], newer["output"], atol=1e-6)


def test_the_two_magika_releases_differ_in_dtype_and_dimensions():
    assert oracle.signature(published.MAGIKA_0.path())[0][0][1:] == ("tensor(float)", ["unk__122", 1536])
    assert oracle.signature(published.MAGIKA_1.path())[0][0][1:] == ("tensor(int32)", ["unk__214", 2048])


def test_a_model_that_was_fetched_once_needs_no_network(monkeypatch):
    model = published.MAGIKA_0.path()
    monkeypatch.setattr(subprocess, "run", None)
    assert published.MAGIKA_0.path() == model


def test_a_release_that_cannot_be_fetched_is_said_to_be_so(monkeypatch, tmp_path):
    monkeypatch.setattr(published, "CACHE", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(published.PublishedModelError, match=r"magika 0\.5\.1 could not be fetched"):
        published.MAGIKA_0.path()


def test_other_bytes_than_the_pinned_ones_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(published, "CACHE", tmp_path)
    wheel = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').writestr('model.onnx', b'other')"

    def write_wheel(command, **_):
        folder = command[command.index("--dest") + 1]
        completed([sys.executable, "-c", wheel, f"{folder}/magika.whl"])

    completed = subprocess.check_call
    monkeypatch.setattr(subprocess, "run", write_wheel)
    with pytest.raises(published.PublishedModelError, match="is pinned"):
        replace(published.MAGIKA_0, member="model.onnx").path()
