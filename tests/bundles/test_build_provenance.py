"""A build keeps where a bundle came from, without being asked, and without touching anything."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edgerun_bundles.archive import read_archive
from edgerun_bundles.attached import provenances
from edgerun_bundles.layout import read_layout
from edgerun_bundles.provenance.built_bundles import REASON
from support import models
from support.repositories import commit_all, evidence, git, new_repository, write

pytestmark = pytest.mark.usefixtures("packages_read_once")
TRAIN = """
import sys
from pathlib import Path
from edgerun_bundles import track

with track(params={"lr": float(sys.argv[1])}, name="toy") as run:
    Path("champion.onnx").write_bytes(Path(sys.argv[2]).read_bytes())
    run.log(accuracy=0.75)
    run.log_confusion_matrix((["no", "yes"], [[3, 1], [0, 4]]))
"""


@pytest.fixture
def toy(home, tmp_path):
    """A repository with a definition, a training script and a model."""
    folder = new_repository(tmp_path / "toy")
    git(folder, "config", "user.name", "Ada")
    git(folder, "config", "user.email", "ada@example.org")
    write(folder, "train.py", TRAIN.encode())
    write(folder, "champion.onnx", models.steady(2))
    write(folder, "bundle.toml", b'name = "toy"\nversion = "1.0.0"\n[models]\nchampion = "champion.onnx"\n')
    commit_all(folder)
    return folder


@pytest.fixture
def build(invoke, tmp_path):
    """Build a folder, and give what the command said and the newest provenance, if there is one."""

    def build(folder, *options, output="toy.tar"):
        done = invoke("bundle", "build", folder, "-o", tmp_path / output, "--json", *options)
        assert done.exit_code == 0, done.output
        layout = read_archive(tmp_path / output, tmp_path / "read" / output)
        found = provenances(layout)
        return json.loads(done.stdout), found[0] if found else None

    return build


@pytest.fixture
def train(tmp_path):
    """Run the training script, as a program of its own."""

    def train(folder, factor=2, lr=0.1):
        (tmp_path / f"{factor}.onnx").write_bytes(models.steady(factor))
        command = [sys.executable, "train.py", str(lr), str(tmp_path / f"{factor}.onnx")]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    return train


def test_a_build_keeps_code_environment_author_and_time_unasked(toy, build):
    said, found = build(toy)
    kept = found.provenance
    assert found.statement.subject[0].name == "toy@1.0.0"
    assert found.statement.subject[0].digest["sha256"] == said["digest"].removeprefix("sha256:")
    assert (kept.code["branch"], kept.code["is_dirty"]) == ("main", False)
    assert {"numpy", "onnxruntime"} <= {package.name for package in kept.environment.packages}
    assert (kept.run.author.name, kept.run.author.email, kept.run.status) == ("Ada", "ada@example.org", "finished")
    assert kept.run.started < kept.run.ended
    assert said["unknown"] == {"champion": "no tracked run wrote it"}


def test_a_build_touches_nothing_in_the_repository(toy, build, tmp_path):
    write(toy, "notes.txt", b"not yet added")
    before = evidence(toy)
    build(toy, "--notebook", notebook(tmp_path), "--data", f"train={toy / 'train.py'}")
    assert evidence(toy) == before


def test_the_same_inputs_give_the_same_bundle_with_another_provenance(toy, build):
    (first, one), (again, other) = build(toy), build(toy, output="again.tar")
    plain, none = build(toy, "--no-provenance", output="plain.tar")
    assert first["digest"] == again["digest"] == plain["digest"]
    assert one.referrer.digest != other.referrer.digest
    assert (none, plain["provenance"]) == (None, [])


def test_a_model_tells_of_the_run_that_wrote_its_bytes(toy, train, build):
    for factor, lr in ((3, 0.3), (2, 0.2), (4, 0.4)):
        train(toy, factor, lr)
    write(toy, "champion.onnx", models.steady(2))
    _, found = build(toy)
    champion = found.provenance.models["champion"]
    assert (champion.run.name, champion.run.author.name, champion.parameters) == ("toy", "Ada", {"lr": 0.2})
    assert champion.metrics.values == {"accuracy": 0.75}
    assert champion.metrics.confusion_matrices["test"].labels == ("no", "yes")
    assert champion.environment.python.version
    assert champion.code["tree"] != found.provenance.code["tree"]
    assert [model.path for model in champion.run.models] == ["champion.onnx"]


def test_a_run_that_is_named_goes_before_the_one_that_wrote_the_model(toy, train, build, invoke, monkeypatch):
    train(toy, 3, 0.3)
    train(toy, 2, 0.2)
    monkeypatch.chdir(toy)
    first = json.loads(invoke("bundle", "track", "list", "--json").stdout.splitlines()[0])["id"]
    assert build(toy, "--run", f"champion={first}")[1].provenance.models["champion"].parameters == {"lr": 0.3}
    definition = toy / "bundle.toml"
    definition.write_text(f'{definition.read_text()}[provenance.models.champion]\nrun = "{first[-8:]}"\n')
    assert build(toy)[0]["runs"] == {"champion": first}


def notebook(folder):
    path = folder / "explore.ipynb"
    cell = {"cell_type": "code", "source": "1 + 1", "execution_count": 1, "metadata": {}, "outputs": []}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}))
    return path


def test_what_is_said_in_the_definition_and_on_the_command_line_is_kept(toy, build, tmp_path):
    write(toy, "rows.csv", b"a,b\n1,2\n3,4\n")
    write(toy, "params.toml", b"C = 0.5\nkernel = 'rbf'\n")
    metrics = {
        "test": {"accuracy": 0.5},
        "per_class": {"auc": {"yes": 0.9}},
        "confusion_matrices": {"test": {"labels": ["no", "yes"], "counts": [[1, 0], [1, 2]]}},
    }
    write(toy, "metrics.json", json.dumps(metrics).encode())
    definition = toy / "bundle.toml"
    definition.write_text(
        definition.read_text()
        + '[provenance]\nparameters = "params.toml"\nmetrics = { speed = 1 }\n'
        + '[provenance.data.train]\npath = "rows.csv"\nuri = "s3://b/rows.csv"\ntags = { split = "a" }\n'
        + '[provenance.models.champion]\nparameters = { depth = 3 }\ndata = { rows = "rows.csv" }\n'
    )
    options = ("--metrics", toy / "metrics.json", "--metric", "speed=2", "--metric", "f1=0.25")
    _, found = build(toy, *options, "--notebook", notebook(tmp_path))
    kept = found.provenance
    assert kept.parameters == {"C": 0.5, "kernel": "rbf"}
    assert kept.metrics.values == {"test/accuracy": 0.5, "speed": 2, "f1": 0.25}
    assert kept.metrics.per_class == {"auc": {"yes": 0.9}}
    assert kept.metrics.confusion_matrices["test"].counts == ((1, 0), (1, 2))
    (train,), (rows,) = kept.data, kept.models["champion"].data
    assert (train.name, train.uri, train.tags, train.tables[0].rows) == ("train", "s3://b/rows.csv", {"split": "a"}, 2)
    assert (rows.uri, rows.sha256) == ("rows.csv", train.sha256)
    assert kept.models["champion"].parameters == {"depth": 3}
    assert found.blob(kept.notebooks[0].sha256) == (tmp_path / "explore.ipynb").read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[provenance]\nmore = 1", "provenance: unknown field 'more'"),
        ("[provenance]\nrun = 'x'", "provenance: unknown field 'run'"),
        ("[provenance]\nparameters = 7", "provenance.parameters must be a table"),
        ("[provenance]\nparameters = 'none.json'", "none.json cannot be read"),
        ("[provenance]\nparameters = 'train.py'", "train.py is neither JSON nor"),
        ("[provenance]\nmetrics = { a = 'x' }", "must be one number"),
        ("[provenance]\nmetrics = { confusion_matrices = 1 }", "confusion_matrices must be a mapping"),
        ("[provenance]\nnotebooks = 'a.ipynb'", "provenance.notebooks must be a list of texts"),
        ("[provenance]\nnotebooks = ['none.ipynb']", "none.ipynb: the notebook cannot be read"),
        ("[provenance]\ndata = { train = 'none.csv' }", "none.csv: the data cannot be read"),
        ("[provenance]\ndata = { train = { uri = 's3://b' } }", "provenance.data.train must be a path"),
        ("[provenance]\ndata = { train = { path = 'train.py', rows = 1 } }", "unknown field 'rows'"),
        ("[provenance.models.other]\nrun = 'x'", "there is no model 'other'"),
        ("[provenance.models.champion]\nrun = 'x'", "no run 'x' in"),
        ("[provenance.models.champion]\nrun = 7", "run must be the id of a tracked run"),
        ("[provenance.models.champion]\nmodels = {}", "unknown field 'models'"),
    ],
)
def test_what_is_said_wrong_is_told_before_anything_is_written(toy, invoke, tmp_path, text, said):
    definition = toy / "bundle.toml"
    definition.write_text(f"{definition.read_text()}{text}\n")
    done = invoke("bundle", "build", toy, "-o", tmp_path / "toy.tar")
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
    assert not (tmp_path / "toy.tar").exists()


@pytest.mark.parametrize(
    "options", [("--metric", "a"), ("--metric", "a=b"), ("--data", "a=1", "--data", "a=2"), ("--run", "other=x")]
)
def test_options_that_say_nothing_are_wrong_usage(toy, invoke, tmp_path, options):
    assert invoke("bundle", "build", toy, "-o", tmp_path / "toy.tar", *options).exit_code == 2


def test_the_parent_is_kept_by_its_digest(toy, build, tmp_path):
    first, _ = build(toy, output="a.tar")
    definition = toy / "bundle.toml"
    definition.write_text(definition.read_text().replace("1.0.0", "1.1.0"))
    _, found = build(toy, "--parent", tmp_path / "a.tar")
    (parent,) = found.provenance.parents
    assert (parent.name, f"sha256:{parent.digest['sha256']}") == ("toy@1.0.0", first["digest"])


def test_code_that_cannot_be_captured_is_told_and_stops_no_build(toy, build, invoke, tmp_path):
    (toy / ".git" / "HEAD").write_text("junk")
    done = invoke("bundle", "build", toy, "-o", tmp_path / "toy.tar")
    assert done.exit_code == 0
    assert "edgerun: warning: the code is not kept: " in done.stderr
    _, found = build(toy)
    assert found.provenance.code is None
    assert "the code is not kept" in found.provenance.run.problems[0]


def test_bundles_that_were_built_beside_the_code_are_not_captured_with_it(toy, invoke, build):
    for output in ("one.tar", "sub/layout"):
        done = invoke("bundle", "build", toy, "-o", toy / output)
        assert done.exit_code == 0, done.output
    write(toy, "sub/layout/mine.txt", b"mine")
    write(toy, "data.tar", b"mine" * 200)
    _, found = build(toy, output="three.tar")
    left_out = {item["name"]: item["reason"] for item in found.provenance.code["left_out"]}
    assert {"one.tar", "sub/layout/oci-layout", "sub/layout/index.json"} <= left_out.keys()
    assert {*left_out.values()} == {REASON}
    assert {"sub/layout/mine.txt", "data.tar"}.isdisjoint(left_out)
    assert found.provenance.code["bundle"]["size"] < 10_000
    assert read_layout(toy / "sub/layout")
