"""A bundle folder is whole or refused; writing one proves it, and never harms the one that was there."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun import EdgeRunner, bundle
from edgerun.errors import BundleError, EdgerunError, GraphError, ModelError
from edgerun.graph import RandomSplit, parse_graph
from edgerun.limits import LIMITS
from edgerun.split import Split
from support import models, published

DOUBLE, TRIPLE = models.steady(2), models.steady(3)
AB = {"ab": {"kind": "random_split", "weights": {"champion": 9, "challenger": 1}, "split_key": "user"}}
EXAMPLE = {"inputs": {"x": [[1.0, 0.1]]}}


@pytest.fixture
def onnx(tmp_path):
    """Put a model's bytes into a file outside of any bundle."""

    def onnx(content, name="model"):
        folder = tmp_path / "outside"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.onnx"
        path.write_bytes(content)
        return path

    return onnx


@pytest.fixture
def write(tmp_path, onnx):
    """Write a bundle of two arms into ``tmp_path / "bundle"``, or one that differs from it as told."""

    def write(*, contents=(DOUBLE, TRIPLE), **fields):
        pair = dict(zip(("champion", "challenger"), contents, strict=True))
        fields = {
            "folder": tmp_path / "bundle",
            "name": "toy",
            "version": "1.0.0",
            "models": {name: onnx(content, name) for name, content in pair.items()},
            "nodes": AB,
            "route": "ab",
            "golden": [EXAMPLE],
            **fields,
        }
        return bundle.write(fields.pop("folder"), **fields)

    return write


@pytest.fixture
def edit(write, tmp_path):
    """Write a bundle, and change its bundle.json: fields are set, or left out where they are ``...``."""

    def edit(**fields):
        write()
        path = tmp_path / "bundle" / "bundle.json"
        document = json.loads(path.read_text()) | fields
        path.write_text(json.dumps({name: value for name, value in document.items() if value is not ...}))
        return tmp_path / "bundle"

    return edit


def files(folder):
    """Every file below a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def answer(folder, key):
    """What a bundle answers to ``[[1, 1]]`` for a key."""
    with EdgeRunner.open(folder) as runner:
        return runner.predict([[1, 1]], key=key)["y"].tolist()


# Writing, and reading what was written.


def test_what_is_written_is_read(write, tmp_path):
    written = write()
    assert written == bundle.read(tmp_path / "bundle")
    assert (written.name, written.version, written.folder) == ("toy", "1.0.0", tmp_path / "bundle")
    assert {model: path.read_bytes() for model, path in written.models.items()} == {
        "champion": DOUBLE,
        "challenger": TRIPLE,
    }
    assert written.graph.nodes["ab"] == RandomSplit(
        Split("toy/ab", {"champion": 9, "challenger": 1}), "user", "champion", 1.0, {}
    )


def test_a_folder_holds_its_document_its_models_and_its_examples_and_nothing_else(write, tmp_path):
    write()
    assert [*files(tmp_path / "bundle")] == [
        "bundle.json",
        "golden.json",
        "models/challenger.onnx",
        "models/champion.onnx",
    ]
    document = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert [*document] == ["format", "name", "version", "models", "route", "nodes", "golden"]
    assert document["models"] == {"champion": "models/champion.onnx", "challenger": "models/challenger.onnx"}


def test_writing_is_reproducible(write, tmp_path):
    write(folder=tmp_path / "one")
    write(folder=tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_golden_examples_hold_every_models_answer(write):
    (example,) = write().golden
    tenth = float(np.float32(0.1))
    assert example.inputs == {"x": [[1.0, 0.1]]}
    assert example.outputs["champion"]["y"] == [[2.0, 2 * tenth]]
    assert example.outputs["challenger"]["y"][0] == pytest.approx([3.0, 3 * tenth])


def test_a_bundle_needs_no_golden_example(write, tmp_path):
    for golden in (None, [], ()):
        assert write(golden=golden, folder=tmp_path / f"b{golden}").golden == ()
        assert "golden.json" not in files(tmp_path / f"b{golden}")


def test_a_bundle_may_be_one_model_alone(tmp_path, onnx):
    written = bundle.write(tmp_path / "b", name="b", version="1", models={"m": str(onnx(DOUBLE))}, nodes={}, route="m")
    assert written.graph.route == "m"
    assert answer(tmp_path / "b", None) == [[2.0, 2.0]]


def test_folders_are_made_on_the_way_and_a_path_may_be_a_text(write, tmp_path):
    write(folder=str(tmp_path / "far" / "away" / "bundle"))
    assert bundle.read(str(tmp_path / "far" / "away" / "bundle")).name == "toy"


def test_a_reweighted_split_keeps_its_ranges_through_a_bundle(write):
    split = Split("toy/ab", {"champion": 1, "challenger": 1, "former": 1}).reweight({"champion": 1, "challenger": 1})
    assert split != Split("toy/ab", {"champion": 1, "challenger": 1})
    node = {"kind": "random_split", "split": split.to_dict()}
    assert write(nodes={"ab": node}).graph.nodes["ab"].split == split


def test_weights_of_any_kind_can_be_written(write):
    weights = {"champion": np.float32(0.25), "challenger": np.int64(3)}
    node = {"kind": "random_split", "weights": weights}
    assert write(nodes={"ab": node}).graph.nodes["ab"].split == Split("toy/ab", weights)


def test_a_bundle_can_be_moved(write, tmp_path):
    write()
    (tmp_path / "bundle").rename(tmp_path / "moved")
    assert answer(tmp_path / "moved", "user-7") in ([[2.0, 2.0]], [[3.0, 3.0]])


def test_a_published_model_makes_a_bundle(tmp_path):
    sound = {"input": np.zeros((1, 576)).tolist(), "state": np.zeros((2, 1, 128)).tolist(), "sr": 16000}
    pair = {"old": published.SILERO_VAD_5.path(), "new": published.SILERO_VAD_6.path()}
    nodes = {"ab": {"kind": "random_split", "weights": {"old": 1, "new": 1}}}
    written = bundle.write(
        tmp_path / "b",
        name="vad",
        version="6.0.0+5.1.2",
        models=pair,
        nodes=nodes,
        route="ab",
        golden=[{"inputs": sound}],
    )
    assert {*written.golden[0].outputs} == {"old", "new"}


# What cannot be written.

NAMES = ["", "Toy", "t" * 65, "-toy", ".toy", "toy/x", "toy x", "tøy", "toy\n", "../toy", None, 1, b"toy", ["toy"]]


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_name_is_refused(write, tmp_path, name):
    with pytest.raises(BundleError, match=r"^'name' must match \[a-z0-9\]"):
        write(name=name)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("version", ["", "v" * 65, "-1", "1.0 0", "1/0", "1\n", None, 1, 1.0])
def test_a_bad_version_is_refused(write, version):
    with pytest.raises(BundleError, match=r"^'version' must match "):
        write(version=version)


@pytest.mark.parametrize("version", ["1", "1.0.0", "2025-11-23T07.45", "1.0.0-rc.1+build.7", "V" * 64])
def test_a_version_may_be_of_any_scheme(write, version):
    assert write(version=version).version == version


@pytest.mark.parametrize("model", [name for name in NAMES if name is None or isinstance(name, str | int)])
def test_a_bad_name_of_a_model_is_refused(write, onnx, model):
    with pytest.raises(BundleError, match=r"^'model name' must match "):
        write(models={model: onnx(DOUBLE)}, nodes={}, route="m", golden=None)


def test_a_bundle_has_at_least_one_model(write):
    with pytest.raises(BundleError, match=r"^'models' must map at least one name to a path$"):
        write(models={}, nodes={}, route="m", golden=None)


@pytest.mark.parametrize("count", [LIMITS.models_max, LIMITS.models_max + 1])
def test_a_bundle_has_at_most_so_many_models(write, onnx, count):
    named = {f"m{i}": onnx(DOUBLE) for i in range(count)}
    node = {"kind": "random_split", "weights": dict.fromkeys(named, 1)}
    if count <= LIMITS.models_max:
        assert len(write(models=named, nodes={"ab": node}).models) == count
        return
    with pytest.raises(BundleError, match=r"^65 models are more than 64$"):
        write(models=named, nodes={"ab": node})


def test_a_missing_model_is_refused_by_name_and_path(write, onnx, tmp_path):
    with pytest.raises(BundleError, match=r"^model 'challenger': .*nowhere\.onnx is missing$"):
        write(models={"champion": onnx(DOUBLE), "challenger": tmp_path / "nowhere.onnx"})
    with pytest.raises(BundleError, match=r"^model 'challenger': .* is missing$"):
        write(models={"champion": onnx(DOUBLE), "challenger": tmp_path})


def test_a_model_that_cannot_be_loaded_is_named_by_its_source(write):
    with pytest.raises(ModelError, match=r"^model 'challenger': .*outside.challenger\.onnx cannot be loaded: "):
        write(contents=(DOUBLE, b"no model"))


def test_a_model_that_leaves_its_weights_behind_is_refused(write, onnx):
    (onnx(DOUBLE).parent / "weights.bin").write_bytes(np.array([2, 2], np.float32).tobytes())
    with pytest.raises(ModelError, match=r"^model 'challenger': .* cannot be loaded: .*weights\.bin"):
        write(contents=(DOUBLE, models.outside_weights("weights.bin")))


def test_a_wrong_graph_is_refused_before_anything_is_written(write, tmp_path):
    with pytest.raises(GraphError, match=r"^node 'ab': 'nobody' is neither a node nor a model"):
        write(nodes={"ab": {"kind": "random_split", "weights": {"champion": 1, "nobody": 1}}})
    assert not (tmp_path / "bundle").exists()


def test_models_that_cannot_stand_in_for_each_other_are_refused(write):
    with pytest.raises(GraphError, match=r"^node 'ab': models 'champion' and 'challenger' differ in input 'x'"):
        write(contents=(DOUBLE, models.mlp()))


def test_too_many_ways_through_the_graph_are_refused_when_written(write):
    last = {"kind": "random_split", "weights": {"champion": 1, "challenger": 1}}
    nodes = {"ab": last} | {f"n{i}": {**last, "weights": {f"n{i + 1}": 1, "champion": 1}} for i in range(12)}
    nodes["n12"] = last
    nodes["ab"] = {**last, "weights": {"n0": 1, "champion": 1}}
    with pytest.raises(GraphError, match=r"^node 'ab': the graph has more than 4096 ways"):
        write(nodes=nodes)


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        ({"inputs": {"x": [[1.0]]}}, r"input 'x': expected float32 \[batch, 2\], got shape \[1, 1\]"),
        ({**EXAMPLE, "outputs": {"champion": {"y": [[2.0, 9.0]]}}}, "model 'champion', output 'y': expected"),
        ({**EXAMPLE, "outputs": {"nobody": {"y": [[2.0, 9.0]]}}}, "there is no model 'nobody'"),
        ({**EXAMPLE, "outputs": {"champion": {"z": [[2.0, 0.2]]}}}, "model 'champion' has no output 'z'"),
        ({**EXAMPLE, "why": "not"}, "unknown field 'why'"),
        ({"inputs": {"x": [[np.nan, 1.0]]}}, "input 'x' holds NaN or an infinity"),
        ("example", "must be a table with 'inputs'"),
    ],
    ids=["shape", "answer", "model", "output", "field", "NaN", "text"],
)
def test_a_wrong_example_is_refused_by_its_number(write, golden, message):
    with pytest.raises(BundleError, match=rf"^golden example 1:? ?{message}"):
        write(golden=[EXAMPLE, golden])


def test_an_input_that_no_file_can_hold_is_refused(write):
    class Ones:
        def __array__(self, dtype=None, copy=None):
            return np.ones((1, 2), np.float32)

    with pytest.raises(BundleError, match=r"^a Ones cannot stand in a bundle: "):
        write(golden=[{"inputs": {"x": Ones()}}])


def test_examples_beyond_what_a_device_reads_are_refused(write, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "LIMITS", LIMITS._replace(bundle_json_max_bytes=2000))
    assert write(golden=[EXAMPLE], folder=tmp_path / "small").golden
    with pytest.raises(BundleError, match=r"golden\.json is larger than 2000 bytes$"):
        write(golden=[EXAMPLE] * 20)
    assert not (tmp_path / "bundle").exists()


# Where it may be written.


def test_an_empty_folder_becomes_a_bundle(write, tmp_path):
    (tmp_path / "bundle").mkdir()
    assert write().name == "toy"


def test_a_folder_that_holds_something_else_is_left_alone(write, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "thesis.tex").write_text("mine")
    with pytest.raises(BundleError, match=r"bundle is not empty and holds no bundle; choose another folder$"):
        write()
    assert files(tmp_path / "bundle") == {"thesis.tex": b"mine"}


def test_a_file_is_no_folder(write, tmp_path):
    (tmp_path / "bundle").write_text("mine")
    with pytest.raises(BundleError, match=r"bundle is no folder; choose another name$"):
        write()
    with pytest.raises(BundleError, match=r"cannot be written: "):
        write(folder=tmp_path / "bundle" / "inside")


def test_what_a_killed_write_left_over_is_no_obstacle(write, tmp_path):
    (tmp_path / "bundle" / ".new-abc").mkdir(parents=True)
    assert write().name == "toy"


def test_strange_files_beside_a_bundle_stay(write, tmp_path):
    write()
    (tmp_path / "bundle" / "README").write_text("mine")
    (tmp_path / "bundle" / "models" / "old.onnx").write_text("mine")
    write(version="2")
    after = files(tmp_path / "bundle")
    assert (after["README"], after["models/old.onnx"]) == (b"mine", b"mine")


# Over a former bundle.


def test_a_bundle_takes_the_place_of_a_former_one(write, tmp_path):
    write()
    written = write(version="2", contents=(TRIPLE, DOUBLE), golden=None)
    assert {model: path.read_bytes() for model, path in written.models.items()} == {
        "champion": TRIPLE,
        "challenger": DOUBLE,
    }
    assert len(files(tmp_path / "bundle")) == 3


def test_a_file_of_the_former_bundle_is_never_written_to(write, tmp_path):
    former = write()
    kept = {path: (path.stat().st_ino, path.read_bytes()) for path in former.models.values()}
    opened = [path.open("rb") for path in kept]
    written = write(contents=(models.steady(5), TRIPLE))
    assert written.models["champion"].name.startswith("champion-")
    assert written.models["challenger"] == former.models["challenger"]
    assert not former.models["champion"].exists()
    for file, (_, content) in zip(opened, kept.values(), strict=True):
        with file:
            assert file.read() == content


def test_writing_the_same_again_changes_nothing(write, tmp_path):
    write()
    before = files(tmp_path / "bundle")
    write()
    assert files(tmp_path / "bundle") == before


def test_many_versions_leave_nothing_behind(write, tmp_path):
    for version in range(6):
        write(version=str(version), contents=(models.steady(version + 2), TRIPLE))
        assert len(files(tmp_path / "bundle")) == 4
    assert bundle.read(tmp_path / "bundle").version == "5"


def test_a_bundle_may_be_written_from_its_own_models(write, tmp_path):
    former = write()
    swapped = {"champion": former.models["challenger"], "challenger": former.models["champion"]}
    written = write(models=swapped)
    assert {model: path.read_bytes() for model, path in written.models.items()} == {
        "champion": TRIPLE,
        "challenger": DOUBLE,
    }
    assert write(models=dict(written.models)).models.keys() == written.models.keys()


def test_a_former_bundle_that_cannot_be_read_is_replaced_all_the_same(edit, write):
    edit(format=99)
    assert write().version == "1.0.0"


def test_a_former_bundle_that_says_its_paths_otherwise_keeps_what_is_shared(edit, write):
    folder = edit(models={"champion": "models/../models/champion.onnx", "challenger": "./models/challenger.onnx"})
    bundle.read(folder)
    written = write()
    assert all(path.is_file() for path in written.models.values())


STEPS = [
    (Path, "mkdir"),
    (Path, "replace"),
    (Path, "write_text"),
    (shutil, "copyfile"),
    (tempfile, "mkdtemp"),
]


class Trouble:
    """Makes the n-th of the steps that change anything fail."""

    def __init__(self, monkeypatch, step, error):
        self.left, self.error = step, error
        for owner, name in STEPS:
            monkeypatch.setattr(owner, name, self.failing(getattr(owner, name)))
        monkeypatch.setattr("edgerun._bundle_write.open_sessions", self.failing(bundle.open_sessions))

    def failing(self, real):
        def call(*args, **options):
            if self.left == 0:
                self.left = -1
                raise self.error
            self.left -= 1
            return real(*args, **options)

        return call


@pytest.mark.parametrize("former", [True, False], ids=["over a bundle", "afresh"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "ctrl-c"])
def test_a_write_that_fails_at_any_step_leaves_everything_as_it_was(write, onnx, tmp_path, monkeypatch, error, former):
    folder = tmp_path / "bundle"
    if former:
        write()
    before = files(folder)
    pair = {"champion": onnx(models.steady(5), "new"), "challenger": onnx(models.steady(7), "newer")}
    changed = {"version": "2", "models": pair, "golden": [EXAMPLE, EXAMPLE], "nodes": AB, "route": "ab"}
    for step in range(100):
        with monkeypatch.context() as patch:
            trouble = Trouble(patch, step, error)
            try:
                bundle.write(folder, name="toy", **changed)
            except (BundleError, KeyboardInterrupt) as failure:
                assert isinstance(failure, KeyboardInterrupt) or "No space left" in str(failure)  # noqa: PT017
        if trouble.left >= 0:
            break
        assert files(folder) == before
        assert former or not folder.exists()
    assert step > 8
    assert bundle.read(folder).version == "2"


KILLED = """
import os, shutil, sys
from pathlib import Path
from edgerun import bundle

former, model = sys.argv[1:]
step = 0

def dying(real):
    def call(*args, **options):
        global step
        if step == 0:
            os._exit(9)
        step -= 1
        return real(*args, **options)
    return call

def write(folder):
    steps = {Path: ["replace", "write_text", "unlink", "mkdir"], shutil: ["copyfile", "rmtree"]}
    for owner, names in steps.items():
        for name in names:
            setattr(owner, name, dying(getattr(owner, name)))
    pair = {"champion": model, "challenger": model}
    node = {"kind": "random_split", "weights": {"champion": 1, "challenger": 1}}
    golden = [{"inputs": {"x": [[3, 4]]}}]
    bundle.write(folder, name="toy", version="2", models=pair, nodes={"ab": node}, route="ab", golden=golden)

status = 9
for count in range(100):
    if status != 9:
        break
    step, folder = count, f"{former}-{count:03}"
    shutil.copytree(former, folder)
    child = os.fork()
    if child == 0:
        write(folder)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(status)
"""


def test_a_write_that_is_killed_at_any_step_leaves_a_whole_bundle(write, tmp_path, onnx):
    write()
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "bundle", onnx(models.steady(5), "new")], check=True)
    versions = []
    for folder in sorted(tmp_path.glob("bundle-*")):
        found = bundle.read(folder)
        versions.append(found.version)
        expected = {"1.0.0": [DOUBLE, TRIPLE], "2": [models.steady(5)] * 2}[found.version]
        assert [path.read_bytes() for path in found.models.values()] == expected
        bundle.open_sessions(found.models, found.graph, threads=1)
    assert versions == sorted(versions)
    assert {*versions} == {"1.0.0", "2"}
    assert len(versions) > 10


# Reading: nothing is trusted.


def test_a_missing_folder_is_refused(tmp_path):
    message = r"nowhere.bundle\.json cannot be read: No such file or directory; is .*nowhere a bundle folder\?$"
    with pytest.raises(BundleError, match=message):
        bundle.read(tmp_path / "nowhere")


@pytest.mark.parametrize("folder", ["", "a\0b", "\udc80", "x" * 5000])
def test_an_impossible_folder_is_refused(folder):
    with pytest.raises(BundleError, match=r"cannot be (read|followed): "):
        bundle.read(folder)


def test_a_file_is_no_bundle(onnx):
    with pytest.raises(BundleError, match="is not the manifest that its name promises"):
        bundle.read(onnx(DOUBLE))


@pytest.mark.parametrize("make", ["folder", "pipe"])
def test_a_document_that_is_no_regular_file_is_refused(edit, make):
    folder = edit()
    (folder / "bundle.json").unlink()
    if make == "folder":
        (folder / "bundle.json").mkdir()
    else:
        os.mkfifo(folder / "bundle.json")
    with pytest.raises(BundleError, match=r"bundle\.json is no regular file; is .* a bundle folder\?$"):
        bundle.read(folder)


def test_a_document_that_lies_elsewhere_is_refused(edit):
    folder = edit()
    (folder / "bundle.json").unlink()
    (folder / "bundle.json").symlink_to("/dev/zero")
    with pytest.raises(BundleError, match=r"bundle\.json' leaves the bundle$"):
        bundle.read(folder)


@pytest.mark.parametrize("name", ["bundle.json", "golden.json"])
@pytest.mark.parametrize("over", [0, 1])
def test_a_document_is_at_most_so_large(edit, name, over):
    folder = edit()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content + b" " * (LIMITS.bundle_json_max_bytes + over - len(content)))
    if not over:
        assert bundle.read(folder).name == "toy"
        return
    with pytest.raises(BundleError, match=rf"{name} is larger than 16777216 bytes$"):
        bundle.read(folder)


DOCUMENTS = {
    "nothing": b"",
    "half": b'{"format": 1',
    "trailing": b"{} {}",
    "comment": b'{"format": 1} // one',
    "NaN": b'{"format": NaN}',
    "Infinity": b'{"format": -Infinity}',
    "twice": b'{"format": 1, "format": 1}',
    "twice inside": b'{"format": 1, "nodes": {"a": 1, "b": 2, "a": 1}}',
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "digits": b'{"format": ' + b"1" * 5000 + b"}",
    "latin-1": '{"name": "ü"}'.encode("latin-1"),
    "UTF-16": '{"format": 1}'.encode("utf-16"),
    "BOM": b'\xef\xbb\xbf{"format": 1}',
    "encoded surrogate": b'{"name": "\xed\xa0\x80"}',
    "NUL": b'{"format": 1}\0',
    "ONNX": DOUBLE,
}


@pytest.mark.parametrize("name", ["bundle.json", "golden.json"])
@pytest.mark.parametrize("content", DOCUMENTS.values(), ids=DOCUMENTS)
def test_what_is_not_strictly_json_is_refused(edit, content, name):
    folder = edit()
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name} is not valid JSON: ") as caught:
        bundle.read(folder)
    assert len(str(caught.value)) < 500


def test_a_name_that_stands_twice_among_very_many_is_found_at_once(edit):
    folder = edit()
    names = ",".join(f'"{i}":1' for i in range(10**5))
    (folder / "bundle.json").write_text(f'{{{names},"99999":1}}')
    with pytest.raises(BundleError, match="the name '99999' stands twice in one object"):
        bundle.read(folder)


@pytest.mark.parametrize("document", ["[]", "null", "1", '"bundle"', "true"])
def test_a_document_that_is_no_object_is_refused(edit, document):
    folder = edit()
    (folder / "bundle.json").write_text(document)
    with pytest.raises(BundleError, match=r"bundle\.json must hold one JSON object$"):
        bundle.read(folder)


@pytest.mark.parametrize("found", [0, 2, 99, -1, 1.0, True, "1", None, [1], ...])
def test_another_format_is_refused(edit, found):
    with pytest.raises(BundleError, match=r"bundle\.json: format .*; this edgerun reads format 1$"):
        bundle.read(edit(format=found))


@pytest.mark.parametrize("field", ["name", "version", "models", "route", "nodes"])
def test_a_missing_field_is_refused(edit, field):
    with pytest.raises(BundleError, match=rf"bundle\.json: the field '{field}' is missing$"):
        bundle.read(edit(**{field: ...}))


def test_the_golden_file_may_be_left_out(edit):
    assert bundle.read(edit(golden=...)).golden == ()


def test_an_unknown_field_is_refused(edit):
    with pytest.raises(BundleError, match=r"bundle\.json: unknown field 'colour'; known: format, name, version, "):
        bundle.read(edit(colour="red"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Toy"}, "'name' must match "),
        ({"name": None}, "'name' must match "),
        ({"version": "1 0"}, "'version' must match "),
        ({"models": []}, "'models' must map at least one name to a path"),
        ({"models": {}}, "'models' must map at least one name to a path"),
        ({"models": {"m": 1}}, "'models' must map at least one name to a path"),
        ({"models": {"M": "m.onnx"}}, "'model name' must match "),
        ({"models": {f"m{i}": "m.onnx" for i in range(65)}}, "65 models are more than 64"),
        ({"nodes": []}, "'nodes' must be an object and 'route' a text"),
        ({"route": 1}, "'nodes' must be an object and 'route' a text"),
        ({"golden": 1}, "1 must be a path within the bundle"),
        ({"golden": {}}, "{} must be a path within the bundle"),
    ],
)
def test_a_field_of_a_wrong_value_is_refused(edit, fields, message):
    with pytest.raises(BundleError, match=rf"bundle\.json: {message}"):
        bundle.read(edit(**fields))


def test_a_wrong_graph_is_refused_again_when_read(edit):
    nodes = {"ab": {"kind": "random_split", "weights": {"champion": 0, "challenger": 0}}}
    with pytest.raises(GraphError, match=r"^node 'ab': every weight is zero; .* \(in .*bundle\.json\)$"):
        bundle.read(edit(nodes=nodes))
    with pytest.raises(GraphError, match=r"^node 'ab': 'kind' is missing"):
        bundle.read(edit(nodes={"ab": {}}))


OUTSIDE = ["../outside/champion.onnx", "models/../../outside/champion.onnx", "..", "link/champion.onnx", "link.onnx"]


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("field", ["models", "golden"])
def test_a_path_that_leaves_the_folder_is_refused(edit, tmp_path, field, path):
    value = {"champion": path, "challenger": "models/challenger.onnx"} if field == "models" else path
    folder = edit(**{field: value})
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "link.onnx").symlink_to("../outside/champion.onnx")
    with pytest.raises(BundleError, match=rf"bundle\.json: the path '{path}' leaves the bundle$"):
        bundle.read(folder)


@pytest.mark.parametrize("inside", [True, False])
def test_an_absolute_path_is_refused_wherever_it_leads(edit, tmp_path, inside):
    path = tmp_path / ("bundle" if inside else "outside") / "models" / "champion.onnx"
    folder = edit(models={"champion": str(path), "challenger": "models/challenger.onnx"})
    with pytest.raises(BundleError, match=r"bundle\.json: '/.*' must be a path within the bundle$"):
        bundle.read(folder)


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "loop", "loop/x"])
def test_a_path_that_leads_nowhere_is_refused(edit, path):
    folder = edit(models={"champion": path, "challenger": "models/challenger.onnx"})
    (folder / "loop").symlink_to("loop")
    with pytest.raises(BundleError, match=r"cannot be followed: |is missing$"):  # whether a loop can is Python's to say
        EdgeRunner.open(folder)


def test_a_link_within_the_folder_may_be_followed(edit):
    folder = edit(models={"champion": "link.onnx", "challenger": "models/challenger.onnx"})
    (folder / "link.onnx").symlink_to("models/champion.onnx")
    assert answer(folder, "user-7") in ([[2.0, 2.0]], [[3.0, 3.0]])


def test_a_folder_may_be_reached_by_a_link(write, tmp_path):
    write()
    (tmp_path / "link").symlink_to("bundle")
    assert bundle.read(tmp_path / "link").name == "toy"


@pytest.mark.parametrize("path", ["models/nobody.onnx", "", ".", "models", "x" * 5000, "bundle.json/x"])
def test_a_missing_model_is_refused_when_opened(edit, path):
    folder = edit(models={"champion": path, "challenger": "models/challenger.onnx"})
    with pytest.raises(BundleError, match=r"^model 'champion': .* is missing$"):
        EdgeRunner.open(folder)


def test_a_missing_golden_file_is_refused(edit):
    with pytest.raises(BundleError, match=r"nowhere\.json cannot be read: "):
        bundle.read(edit(golden="nowhere.json"))


@pytest.mark.parametrize("examples", ["{}", "null", '"x"', "1"])
def test_a_golden_file_that_is_no_list_is_refused(edit, examples):
    folder = edit()
    (folder / "golden.json").write_text(examples)
    with pytest.raises(BundleError, match=r"golden\.json must hold a list of examples$"):
        bundle.read(folder)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ("[1]", "golden example 0 must be a table"),
        ('[{"inputs": {}, "outputs": {"m": {}}}, {"inputs": []}]', "golden example 1: 'inputs' and 'outputs' must"),
        ('[{"inputs": {"x": 1}}]', "golden example 0 expects no output of any model"),
        ('[{"inputs": {"x": 1}, "outputs": {}}]', "golden example 0 expects no output of any model"),
        ('[{"inputs": {"x": 1e999}, "outputs": {"m": {}}}]', "golden example 0: input 'x' holds NaN or an infinity"),
        ('[{"inputs": {"x": ' + "[" * 5000 + "]" * 5000 + "}}]", "nested too deeply|not valid JSON: maximum rec"),
    ],
    ids=["number", "second", "no outputs", "empty outputs", "infinity", "deep"],
)
def test_a_wrong_example_is_refused_when_read(edit, example, message):
    folder = edit()
    (folder / "golden.json").write_text(example)
    with pytest.raises(BundleError, match=message):
        bundle.read(folder)


# Models that are damaged.

REAL = {
    "mlp": models.mlp(),
    "steady": DOUBLE,
    "maps": models.strings_to_map(),
    "silero": published.SILERO_VAD_6.path().read_bytes(),
    "magika": published.MAGIKA_0.path().read_bytes(),
}


def load(tmp_path, content):
    """Open a file as the model ``m`` of a graph."""
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    graph = parse_graph("b", {}, "m", ["m"])
    return bundle.open_sessions({"m": path}, graph, threads=1)


@pytest.mark.parametrize("name", REAL)
def test_a_model_cut_short_anywhere_is_refused(tmp_path, name):
    whole = REAL[name]
    assert load(tmp_path, whole)
    cuts = {0, 1, 2, len(whole) // 2, len(whole) - 2, len(whole) - 1, *random.Random(0).sample(range(len(whole)), 60)}
    for cut in cuts:
        with pytest.raises(ModelError, match=r"^model 'm'"):
            load(tmp_path, whole[:cut])


@pytest.mark.parametrize("name", ["mlp", "steady", "maps"])
def test_a_model_with_flipped_bits_is_loaded_or_refused(tmp_path, name):
    draw, whole = random.Random(1), REAL[name]
    refused = 0
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 1, 2, 8])):
            content[draw.randrange(min(len(content), 2000))] ^= 1 << draw.randrange(8)
        try:
            load(tmp_path, bytes(content))
        except EdgerunError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 1000, b"\xff" * 1000, b"no model", b"PK\x03\x04", DOUBLE + b"\xff", models.unknown_operator()],
    ids=["empty", "zeros", "ones", "text", "zip", "trailing byte", "unknown operator"],
)
def test_what_is_no_model_is_refused(tmp_path, content):
    with pytest.raises(ModelError, match=r"^model 'm': .*m\.onnx cannot be loaded: "):
        load(tmp_path, content)


def test_a_port_whose_name_is_no_text_is_refused(tmp_path):
    content = DOUBLE.replace(b"x", b"\xe2")
    with pytest.raises(ModelError, match=r"^model 'm': .*(name is no UTF-8|cannot be loaded)"):
        load(tmp_path, content)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "nowhere.bin"])
def test_weights_outside_of_the_bundle_are_not_read(tmp_path, location):
    (tmp_path.parent / "weights.bin").write_bytes(np.array([2, 2], np.float32).tobytes())
    with pytest.raises(ModelError, match=r"^model 'm': .* cannot be loaded: "):
        load(tmp_path, models.outside_weights(location))


# Whatever a document says.

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["format", "name", "version", "models", "route", "nodes", "golden"]), json_values)
)
def test_any_document_is_read_or_refused(tmp_path_factory, fields):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    document = {
        "format": 1,
        "name": "b",
        "version": "1",
        "models": {"m": "m.onnx"},
        "route": "m",
        "nodes": {},
        "golden": None,
        **fields,
    }
    (folder / "bundle.json").write_text(json.dumps(document))
    try:
        assert bundle.read(folder).name == document["name"]
    except (BundleError, GraphError) as error:
        assert str(folder) in str(error)  # noqa: PT017 - most are refused; none may be
