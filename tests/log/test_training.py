"""The profile of training data: what a device would have logged of them; and the file that a bundle keeps it in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xxhash
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from edgerun import EdgeRunner, bundle, log
from edgerun.errors import InputError, LogError, ModelError
from edgerun.limits import LIMITS
from edgerun.log.merging import merge
from edgerun.log.payload import compress_densely, pack, unpack
from edgerun.log.profile_values import as_value, from_value
from edgerun.log.training import TrainingProfile, pack_training, parse_training
from edgerun.log.training_runs import chosen_rows, profile_rows
from support import models
from support.profiled import data, of_numbers, of_texts, plain

VECTORS = Path(__file__).parents[1] / "vectors" / "bundles"


def training(ports, outputs=("champion",), rows=7, of=9):
    turned = tuple(port._replace(is_output=True) for port in ports)
    return TrainingProfile(rows, of, tuple(ports), dict.fromkeys(outputs, turned))


@pytest.mark.parametrize("name", data())
def test_a_profile_comes_back_from_its_file(name):
    found = training(of_numbers(data()[name]).ports, ("b", "a"))
    again = parse_training(pack_training(found))
    assert (again.rows, again.of, plain(again.inputs)) == (7, 9, plain(found.inputs))
    assert {model: plain(ports) for model, ports in again.outputs.items()} == {
        model: plain(ports) for model, ports in found.outputs.items()
    }
    assert pack_training(again) == pack_training(found)


def value(**fields):
    return unpack(zstandard.decompress(pack_training(training(of_texts(["a", "b"]).ports)))) | fields


def profiles(*changes):
    """The profiles of a file, with fields of each replaced."""
    found = value()["profiles"]
    return {"profiles": [one | change for one, change in zip(found, changes, strict=True)]}


REFUSED = {
    "no map": [1],
    "another format": value(format=2),
    "a format that is true": value(format=True),
    "a field more": value(more=1),
    "no rows": value(rows=0),
    "more rows than there were": value(rows=10),
    "rows beyond any count": value(of=2**62),
    "no number of rows": value(rows="7"),
    "no profiles": value(profiles=None),
    "inputs alone": value(profiles=value()["profiles"][:1]),
    "too many models": value(profiles=[value()["profiles"][0]] * (LIMITS.models_max + 2)),
    "a profile that is none": value(profiles=[1, 2]),
    "a model's inputs": value(**profiles({"model": "champion"}, {})),
    "outputs of nobody": value(**profiles({}, {"model": None})),
    "a model twice": value(profiles=[*value()["profiles"], value()["profiles"][1]]),
    "an arm": value(**profiles({}, {"arm": "a"})),
    "a bundle": value(**profiles({"bundle": "cards"}, {})),
    "a time": value(**profiles({"end": 1}, {})),
    "outputs among the inputs": value(profiles=[value()["profiles"][1] | {"model": None}, value()["profiles"][1]]),
    "inputs among the outputs": value(**profiles({}, {"ports": value()["profiles"][0]["ports"]})),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_the_format_does_not_allow_is_refused(case):
    assert parse_training(compress_densely([pack(value())])).rows == 7
    with pytest.raises(LogError):
        parse_training(compress_densely([pack(REFUSED[case])]))


@given(at=st.integers(0, 10**6), byte=st.integers(1, 255), cut=st.booleans())
def test_damaged_bytes_are_refused_or_read_and_nothing_else(at, byte, cut):
    raw = bytearray(pack_training(training(of_numbers(data()["cards"]).ports)))
    at %= len(raw)
    damaged = raw[:at] if cut else raw[:at] + bytes([raw[at] ^ byte]) + raw[at + 1 :]
    try:
        found = parse_training(bytes(damaged))
    except LogError:
        return
    assert not cut
    assert 1 <= found.rows <= found.of


def test_a_file_may_be_as_large_as_its_limit_and_no_larger(monkeypatch):
    found = training(of_numbers(data()["normal"]).ports)
    raw = pack_training(found)
    for room, is_allowed in ((len(raw), True), (len(raw) - 1, False)):
        monkeypatch.setattr("edgerun.log.training.LIMITS", LIMITS._replace(profile_max_bytes=room))
        for act, given_ in ((pack_training, found), (parse_training, raw)):
            if is_allowed:
                act(given_)
            else:
                with pytest.raises(LogError, match=f"at most {room}"):
                    act(given_)


@given(of=st.integers(1, 5000), most=st.integers(1, 300))
def test_rows_are_drawn_one_of_each_part_by_a_hash(of, most):
    found = chosen_rows(of, most)
    if of <= most:
        assert found == [*range(of)]
        return
    borders = [part * of // most for part in range(most + 1)]
    for part, row in enumerate(found):
        begin, end = borders[part : part + 2]
        assert row == begin + xxhash.xxh64_intdigest(part.to_bytes(8, "little"), 42) % (end - begin)
    assert len(found) == most


def opened(tmp_path, *contents):
    paths = {f"model-{number}": tmp_path / f"{number}.onnx" for number in range(len(contents))}
    for path, content in zip(paths.values(), contents, strict=True):
        path.write_bytes(content)
    nodes = {"ab": {"kind": "random_split", "weights": dict.fromkeys(paths, 1)}}
    found = bundle.write(tmp_path / "b", name="b", version="1", models=paths, nodes=nodes, route="ab")
    return found, bundle.open_sessions(found.models, found.graph, threads=1)


def logged(found, rows, folder):
    """The ports of the profile that a device logs of rows."""
    with EdgeRunner.open(found.folder, log=folder) as runner:
        for row in rows:
            runner.predict(row)
    profiles = [from_value(one) for one in log.read(folder).profiles["profile"]]
    return merge(profiles).ports


def exact(ports):
    """A port but for sums of floats, whose last bits depend on when a device wrote them down."""
    rounded = [
        port._replace(what=port.what._replace(mean=np.round(port.what.mean, 9), m2=np.round(port.what.m2, 6)))
        if hasattr(port.what, "mean")
        else port
        for port in ports
    ]
    return plain(tuple(sorted(rounded, key=lambda port: (port.is_output, port.name))))


RNG = np.random.default_rng(8)
SERVED = {
    "numbers": (models.mlp(), [{"x": row} for row in RNG.normal(size=(300, 1, 30)).astype(np.float32)]),
    "more than a record holds": (
        models.identity("float32", ("n", 40)),
        [{"x": row} for row in RNG.normal(size=(70, 90, 40)).astype(np.float32)],
    ),
    "texts, and maps": (
        models.strings_to_map(),
        [{"word": np.array([[word]], object)} for word in ("good", "bad", "", "good", "ü") * 20],
    ),
    "numbers of which some are none": (
        models.identity("float64", ("n", 3)),
        [{"x": row} for row in np.where(RNG.random((99, 1, 3)) < 0.2, np.nan, RNG.normal(size=(99, 1, 3)))],
    ),
}


@pytest.mark.parametrize("case", SERVED)
def test_training_data_are_profiled_as_a_device_would_have_logged_them(tmp_path, case):
    content, rows = SERVED[case]
    found, sessions = opened(tmp_path, content)
    made = profile_rows(sessions, rows, len(rows))
    assert exact((*made.inputs, *made.outputs["model-0"])) == exact(logged(found, rows, tmp_path / "log"))
    assert made.rows == len(rows)


def test_every_model_sees_every_row(tmp_path):
    _, sessions = opened(tmp_path, models.steady(2), models.steady(3))
    rows = np.arange(1, 2001, dtype=np.float32).reshape(1000, 1, 2)
    made = profile_rows(sessions, ({"x": row} for row in rows), 1000)
    assert [float(made.outputs[name][0].what.max[1]) for name in ("model-0", "model-1")] == [4000, 6000]
    assert {port.seen for ports in (made.inputs, *made.outputs.values()) for port in ports} == {1000}
    assert pack_training(made) == pack_training(profile_rows(sessions, ({"x": row} for row in rows), 1000))


def test_a_row_that_a_model_does_not_take_or_fails_on_is_named(tmp_path):
    _, sessions = opened(tmp_path, models.raises())
    good, bad = (np.full((1, 2), sign, np.float32) for sign in (1, -1))
    with pytest.raises(InputError, match=r"^row 1: input 'x': expected .* got rank 1"):
        profile_rows(sessions, [{"x": good}, {"x": good[0]}], 2)
    with pytest.raises(ModelError, match=r"^row 2: model 'model-0': "):
        profile_rows(sessions, [{"x": good}, {"x": good}, {"x": bad}], 3)
    with pytest.raises(InputError, match="no row"):
        profile_rows(sessions, [], 0)


def test_the_value_in_the_file_is_the_log_s_own():
    ports = of_numbers(data()["normal"]).ports
    raw = value()["profiles"][0]
    found = unpack(zstandard.decompress(pack_training(training(ports))))["profiles"][0]
    assert found["ports"] == unpack(pack(as_value(of_numbers(data()["normal"]))))["ports"]
    assert {key: found[key] for key in found if key != "ports"} == {key: raw[key] for key in raw if key != "ports"}


def test_the_vector_that_was_made_by_hand_is_read():
    found = parse_training((VECTORS / "profile.bin").read_bytes())
    (x,), (y,) = found.inputs, found.outputs["m"]
    assert (found.rows, found.of, x.name, y.name) == (3, 5, "x", "y")
    by_hand = (
        of_numbers(np.array([[1], [1], [2]], np.float32)).ports[0],
        of_numbers(np.array([[2], [2], [4]], np.float32)).ports[0]._replace(name="y", is_output=True),
    )
    for port, made in zip((x, y), by_hand, strict=True):
        assert exact([port._replace(seen=1)]) == exact([made])
    assert plain(parse_training(pack_training(found)).inputs) == plain(found.inputs)
