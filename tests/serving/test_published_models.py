"""Models that others published serve as they do without edgerun: two releases of a voice detector, and a file typer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgerun import GraphError
from support import oracle, published
from support.serve import assert_same, write_bundle

TIMEOUT_S = 100
REPOSITORY = Path(__file__).parents[2]

# ---- silero-vad: is it speech? A call takes the last 64 samples, 512 new ones, and the state of the call before. ----

RATE = 16_000
CONTEXT, FRAME, FRAMES = 64, 512, 20
RELEASES = {"v5": published.SILERO_VAD_5, "v6": published.SILERO_VAD_6}
VOICES = {
    "ab": {"kind": "random_split", "weights": {"v5": 1, "v6": 1}, "split_key": "session"},
    "watch": {"kind": "shadow_deploy", "champion": "ab", "shadows": ["v6"]},
}


def sine(time):
    return 0.3 * np.sin(2 * np.pi * 440 * time)


def noise(time):
    return np.random.default_rng(0).normal(0, 0.1, time.size)


def speech_like(time):
    """A voice's harmonics of 120 Hz under two formants, in syllables."""
    pitch = 120 * (1 + 0.05 * np.sin(2 * np.pi * 3 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = [
        (1 / (1 + ((120 * n - 500) / 150) ** 2) + 0.5 / (1 + ((120 * n - 1500) / 200) ** 2)) for n in range(1, 30)
    ]
    voice = sum(strength * np.sin(n * phase) for n, strength in enumerate(formants, 1))
    return 0.15 * voice * (np.sin(2 * np.pi * 4 * time) > -0.3)


SOUNDS = [sine, noise, speech_like]


def frames_of(sound):
    wave = sound(np.arange(CONTEXT + FRAMES * FRAME) / RATE).astype(np.float32)
    return [wave[None, start : start + CONTEXT + FRAME] for start in range(0, FRAMES * FRAME, FRAME)]


def listen(answer, sound):
    """Return what ``answer(inputs)`` says of each frame, its state carried on from frame to frame."""
    state, heard = np.zeros((2, 1, 128), np.float32), []
    for frame in frames_of(sound):
        heard.append(answer({"input": frame, "state": state, "sr": np.array(RATE, np.int64)}))
        state = heard[-1]["stateN"]
    return heard


@pytest.fixture(scope="module")
def plain():
    """``answer(inputs)`` of each release by onnxruntime's own Python package."""

    def answerer(path):
        session = oracle.session(path)
        names = [output.name for output in session.get_outputs()]
        return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))

    return {name: answerer(release.path()) for name, release in RELEASES.items()}


@pytest.fixture(scope="module")
def voices(serve_all):
    return serve_all({name: release.path() for name, release in RELEASES.items()}, VOICES, "watch")


@pytest.mark.parametrize("sound", SOUNDS, ids=lambda sound: sound.__name__)
def test_a_stateful_chain_is_that_of_the_arms_release(voices, plain, sound):
    arms = set()
    for session in ("ann", "bob", "eve", "joe"):
        heard = listen(lambda inputs, session=session: voices.predict(inputs, key=session), sound)
        (arm,) = {prediction.arm for prediction in heard}
        arms.add(arm)
        for found, expected in zip(heard, listen(plain[arm], sound), strict=True):
            assert (found.model, found.fallback) == (arm, None)
            assert_same(found, expected)
    assert arms == {"v5", "v6"}


def test_the_two_releases_disagree_where_numpy_says_so(voices, plain):
    session = next(name for name in map(str, range(100)) if listen_once(voices, name).arm == "v5")
    voices.shadows(TIMEOUT_S)
    heard, expected = [], []

    def answer(inputs):
        heard.append(voices.predict(inputs, key=session))
        expected.append((plain["v5"](inputs), plain["v6"](inputs)))
        return heard[-1]

    listen(answer, speech_like)
    results = voices.shadows(TIMEOUT_S)
    assert [result.id for result in results] == [prediction.id for prediction in heard]
    for result, (a, b) in zip(results, expected, strict=True):
        distances = [np.abs(a[name].astype(np.float64) - b[name]).max() for name in ("output", "stateN")]
        assert result.max_abs_diff == max(distances)
        labels = (a["stateN"].argmax(-1) != b["stateN"].argmax(-1)).any()
        assert result.disagree == bool(labels or distances[0] > 0.01)
    assert any(result.disagree for result in results)


def listen_once(voices, session):
    return listen(lambda inputs: voices.predict(inputs, key=session), lambda time: 0 * time)[0]


# ---- magika: what is in a file? It takes the first and the last 1024 bytes, padded with 256. ----

END, PADDING = 1024, 256
KINDS = {".py": 20, ".c": 10, ".md": 5}


def features(data):
    text = np.frombuffer(data.strip(), np.uint8).astype(np.int32)
    first, last = text[:END], text[-END:]
    return np.concatenate(
        [first, np.full(END - first.size, PADDING), np.full(END - last.size, PADDING), last], dtype=np.int32
    )[None]


@pytest.fixture(scope="module")
def files():
    """Files of this repository by their suffix, the largest first."""
    found = {
        suffix: sorted(
            (path for folder in ("edgerun", "native", "bundles") for path in (REPOSITORY / folder).rglob(f"*{suffix}")),
            key=lambda path: (-path.stat().st_size, path.name),
        )[:most]
        for suffix, most in KINDS.items()
    }
    assert all(len(paths) > 1 for paths in found.values())
    return {suffix: [features(path.read_bytes()) for path in paths] for suffix, paths in found.items()}


@pytest.fixture(scope="module")
def magika(serve_all):
    return serve_all(published.MAGIKA_1.path())


def test_files_of_a_kind_get_a_label_of_their_own(magika, files):
    labels = {}
    for suffix, inputs in files.items():
        counts = Counter(int(magika.predict({"bytes": each})["target_label"].argmax()) for each in inputs)
        labels[suffix], most = counts.most_common(1)[0]
        assert most >= 0.8 * len(inputs)
    assert len(set(labels.values())) == len(KINDS)


def test_every_file_is_typed_as_without_edgerun_alone_and_in_a_batch(magika, files):
    session = oracle.session(published.MAGIKA_1.path())
    inputs = [each for of_a_kind in files.values() for each in of_a_kind]
    for each in inputs:
        expected = session.run(None, {"bytes": each})[0]
        assert_same(magika.predict({"bytes": each}), {"target_label": expected})
    whole = np.concatenate(inputs)
    batch = magika.predict_batch({"bytes": whole})
    assert_same(dict(batch), {"target_label": session.run(None, {"bytes": whole})[0]})


def test_releases_of_other_signatures_are_no_arms_of_one_split(tmp_path):
    paths = {"old": published.MAGIKA_0.path(), "new": published.MAGIKA_1.path()}
    nodes = {"ab": {"kind": "random_split", "weights": {"old": 1, "new": 1}, "split_key": "user"}}
    with pytest.raises(GraphError, match=r"node 'ab': models 'old' and 'new' differ in input 'bytes': .*1536.*2048"):
        write_bundle(tmp_path / "b", paths, nodes)
