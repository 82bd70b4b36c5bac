"""A bundle keeps what its training data were like: read from an npz, run through its models, verified and shown."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from edgerun.artifact import parse_manifest
from edgerun.bundle import open_sessions, read, write
from edgerun.errors import BundleError
from edgerun.graph import parse_graph
from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun.log.training import pack_training, parse_training
from edgerun_bundles import reference
from edgerun_bundles.building import build, unseen
from edgerun_bundles.comparing import compare
from edgerun_bundles.definition import read_definition
from edgerun_bundles.layout_write import manifest_of_folder, write_layout
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.reference import build_profile, read_profile, verify_profile
from support import models
from support.profiled import plain

DEFINITION = """
name = "toy"
version = "1.0.0"
route = "ab"
reference = "train.npz"
[models]
champion = "champion.onnx"
challenger = "challenger.onnx"
[nodes.ab]
kind = "random_split"
weights = { champion = 1, challenger = 1 }
"""
PAIR = (models.steady(2), models.steady(3))
ROWS = np.random.default_rng(1).normal(3, 1, (500, 2)).astype(np.float32)


@pytest.fixture
def project(tmp_path):
    """A folder with a definition, two models and training data; returns it."""

    def make(name="project", contents=None, save=np.savez, **arrays):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "bundle.toml").write_text(DEFINITION)
        for model, content in zip(("champion", "challenger"), contents or PAIR, strict=True):
            (folder / f"{model}.onnx").write_bytes(content)
        save(folder / "train.npz", **(arrays or {"x": ROWS}))
        return folder

    return make


@pytest.fixture
def built(tmp_path):
    """Build a project; returns the bundle."""
    return lambda folder: build(read_definition(folder), tmp_path / f"{folder.name}-bundle").bundle


def made(folder):
    """The profile that a build would make, as the file."""
    found = read_definition(folder)
    graph = parse_graph(found.name, found.nodes, found.route, found.models)
    return build_profile(found.reference, found.models, graph, unseen)


def test_the_profile_is_of_every_row_and_every_model(project, built):
    found = read_profile(built(project()))
    assert (found.rows, found.of) == (500, 500)
    (port,) = found.inputs
    assert (port.name, port.columns, port.seen) == ("x", 2, 500)
    assert port.what.mean == pytest.approx(ROWS.mean(axis=0), rel=1e-5)
    assert {model: ports[0].what.mean.tolist() for model, ports in found.outputs.items()} == {
        "champion": pytest.approx(2 * port.what.mean),
        "challenger": pytest.approx(3 * port.what.mean),
    }


def test_the_same_data_give_the_same_bytes_however_they_are_stored(project):
    plain_, packed, turned = (
        made(folder)
        for folder in (
            project("a"),
            project("b", save=np.savez_compressed),
            project("c", x=np.asfortranarray(ROWS)),
        )
    )
    assert plain_ == packed == turned


def test_data_are_read_in_pieces(project, monkeypatch):
    whole = made(project("a"))
    monkeypatch.setattr(reference, "_BLOCK_BYTES", 100)
    assert made(project("b")) == whole


def test_a_row_may_be_an_input_that_has_no_axis_for_rows(project):
    content = models.identity("float32", ("n",))
    found = parse_training(made(project(contents=(content, content), x=ROWS)))
    assert (found.inputs[0].seen, found.inputs[0].columns) == (500, 2)


def test_texts_are_profiled(project):
    content = models.strings_to_map()
    found = parse_training(made(project(contents=(content, content), word=np.array([["good"], ["bad"], ["good"]]))))
    assert found.inputs[0].what.frequent == ({"good": 2, "bad": 1},)
    assert [port.name for port in found.outputs["champion"]]


def test_rows_beyond_the_limit_are_drawn(project, monkeypatch):
    for rows, of in ((500, 500), (499, 500)):
        monkeypatch.setattr(reference, "LIMITS", LIMITS._replace(reference_rows_max=rows))
        found = parse_training(made(project(f"at-{rows}")))
        assert (found.rows, found.of, found.inputs[0].seen) == (rows, of, rows)


def test_a_row_may_be_as_large_as_its_limit(project, monkeypatch):
    monkeypatch.setattr(reference, "LIMITS", LIMITS._replace(reference_row_max_bytes=8))
    assert parse_training(made(project("at"))).rows == 500
    monkeypatch.setattr(reference, "LIMITS", LIMITS._replace(reference_row_max_bytes=7))
    with pytest.raises(BundleError, match="a row of 'x' has more than 7 bytes"):
        made(project("past"))


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"y": ROWS}, r"has the arrays 'y'; it must have one for each input of the bundle and no other: 'x'"),
        ({"x": ROWS, "label": ROWS}, r"has the arrays 'x', 'label'"),
        ({"x": ROWS.astype(np.float64)}, r"row 0: input 'x': expected float32 .*, got dtype float64"),
        ({"x": ROWS[:, :, None, None]}, r"row 0: input 'x': .* got rank 4"),
        ({"x": ROWS[:0]}, "has no rows"),
        ({"x": np.float32(1)}, "the array 'x' has no first axis"),
        ({"x": np.array([["a"], [None]], object)}, "the array 'x' has Python objects"),
    ],
    ids=["another name", "an array more", "another dtype", "another rank", "no rows", "a scalar", "objects"],
)
def test_data_that_the_models_do_not_take_are_refused(project, arrays, why):
    with pytest.raises(BundleError, match=rf"train\.npz.*{why}"):
        made(project(**arrays))


def test_arrays_of_unequal_length_are_refused(project):
    content = models.many_inputs(2)
    names = [port.name for port in _signature(content, project)]
    arrays = {name: np.ones((3 + number, 1), np.float32) for number, name in enumerate(names)}
    with pytest.raises(BundleError, match=r"rows of different number: 3 of .* 4 of"):
        made(project(contents=(content, content), **arrays))


def _signature(content, project):
    definition = read_definition(project("looked-at", contents=(content, content)))
    graph = parse_graph("toy", definition.nodes, "ab", definition.models)
    return open_sessions(definition.models, graph, threads=1)["champion"].signature.inputs


def test_a_file_that_is_missing_damaged_or_cut_is_refused(project):
    missing = project("missing")
    (missing / "train.npz").unlink()
    with pytest.raises(BundleError, match=r"train\.npz cannot be read .*: No such file"):
        made(missing)
    other = project("other")
    (other / "train.npz").write_bytes(b"no zip")
    with pytest.raises(BundleError, match=r"train\.npz cannot be read as an npz"):
        made(other)
    cut = project("cut")
    with zipfile.ZipFile(cut / "train.npz") as archive:
        content = archive.read("x.npy")
    with zipfile.ZipFile(cut / "train.npz", "w") as archive:
        archive.writestr("x.npy", content[:-1])
    with pytest.raises(BundleError, match=r"train\.npz is damaged"):
        made(cut)
    not_text = project("not-text")
    (not_text / "bundle.toml").write_text(DEFINITION.replace('"train.npz"', "3"))
    with pytest.raises(BundleError, match="'reference' must be the path of an npz"):
        made(not_text)


def test_a_bundle_without_training_data_has_no_profile(make_bundle):
    found = read(make_bundle())
    assert (found.profile, read_profile(found), verify_profile(found)) == (None, None, None)


def with_profile(make_bundle, raw, place="bundle"):
    return read(make_bundle(place, profile=raw))


@pytest.fixture
def profile(project):
    """The profile of two models of x and y."""
    return parse_training(made(project()))


def test_a_profile_of_other_ports_models_or_types_is_refused(make_bundle, profile):
    (x,), (y,) = profile.inputs, profile.outputs["champion"]
    other = x._replace(type=11)
    for number, (wrong, why) in enumerate(
        [
            (profile._replace(inputs=(x._replace(name="z"),)), "the input 'z', which the models do not have"),
            (profile._replace(outputs=dict.fromkeys(profile.outputs, (y._replace(name="x"),))), "the output 'x'"),
            (profile._replace(outputs={"champion": (y,)}), "is of the models champion, not of those of the bundle"),
            (profile._replace(inputs=(other,)), "the input 'x' of another type"),
        ]
    ):
        with pytest.raises(BundleError, match=why):
            verify_profile(with_profile(make_bundle, pack_training(wrong), f"wrong-{number}"))
    assert plain(verify_profile(with_profile(make_bundle, pack_training(profile))).inputs) == plain(profile.inputs)


def test_a_profile_that_is_damaged_cannot_be_verified_and_is_served_all_the_same(make_bundle, invoke):
    found = with_profile(make_bundle, b"damaged")
    done = invoke("bundle", "verify", found.folder)
    assert (done.exit_code, "cannot be read as a profile of training data" in done.output) == (1, True)
    assert invoke("show", found.folder).exit_code == 0


def test_a_profile_may_be_as_large_as_its_limit(make_bundle, tmp_path):
    room = DEVICE_LIMITS.profile_max_bytes
    found = with_profile(make_bundle, bytes(room))
    assert manifest_of_folder(found.folder).content_bytes > room
    with pytest.raises(BundleError, match=f"has {room + 1} bytes; at most {room}"):
        with_profile(make_bundle, bytes(room + 1), "past")
    layout = write_layout(found.folder, tmp_path / "layout")
    raw = (layout.folder / "blobs" / "sha256" / layout.manifest.digest[7:]).read_bytes()
    assert parse_manifest(raw) == layout.manifest
    with pytest.raises(BundleError, match=f"profile.bin is larger than {room} bytes"):
        parse_manifest(raw.replace(f'"size":{room}}}'.encode(), f'"size":{room + 1}}}'.encode()))


def test_a_bundle_that_is_written_anew_keeps_no_former_profile(make_bundle, tmp_path):
    first = with_profile(make_bundle, b"one")
    model = tmp_path / "bundle-models" / "champion.onnx"
    given = {"name": "toy", "models": {"champion": model}, "nodes": {}, "route": "champion"}
    second = write(first.folder, **given, version="2", profile=b"two")
    assert second.profile.read_bytes() == b"two"
    assert not first.profile.exists()
    third = write(first.folder, **given, version="3")
    assert (third.profile, second.profile.exists()) == (None, False)


def test_the_commands_tell_of_it(project, invoke, tmp_path):
    folder, archive, other = project(), tmp_path / "toy.tar", tmp_path / "other.tar"
    done = invoke("bundle", "build", folder, "-o", archive, "--no-provenance").output
    assert "500 rows of training data, 4 columns" in done
    told = {"rows": 500, "of": 500, "inputs": {"x": 2}, "outputs": {"challenger": {"y": 2}, "champion": {"y": 2}}}
    shown = json.loads(invoke("bundle", "show", archive, "--json").output)
    assert (shown["profile"], "profile.bin" in shown["files"]) == (told, True)
    assert "500 rows of training data, 4 columns" in invoke("bundle", "show", archive).output
    assert "a profile of 500 rows" in invoke("bundle", "verify", archive).output
    (folder / "bundle.toml").write_text(DEFINITION.replace('reference = "train.npz"', ""))
    done = json.loads(invoke("bundle", "build", folder, "-o", other, "--no-provenance", "--json").output)
    assert done["profile"] is None
    before, after = json.loads(invoke("bundle", "diff", archive, other, "--json").output)["profile"]
    assert (before["digest"][:7], after) == ("sha256:", None)
    (line,) = (line for line in invoke("bundle", "diff", other, archive).output.splitlines() if line[:7] == "profile")
    assert "none -> sha256:" in line


def test_two_profiles_are_compared_by_their_digests(make_bundle):
    one, two = (with_profile(make_bundle, raw, raw.decode()) for raw in (b"one", b"two"))
    pairs = [(found, manifest_of_folder(found.folder)) for found in (one, two)]
    before, after = compare(*pairs)["profile"]
    assert (before["bytes"], before["digest"] == after["digest"]) == (3, False)
    assert compare(pairs[0], pairs[0])["profile"] == [before, before]
