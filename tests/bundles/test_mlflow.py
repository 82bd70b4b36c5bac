"""A run of MLflow's file store is imported as MLflow itself wrote it, and a broken one is refused."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance.metrics import Series
from edgerun_bundles.provenance.mlflow_runs import read_mlflow_run
from edgerun_bundles.provenance.statement import build_statement, parse_statement

REAL = """
import pathlib, sys, warnings
warnings.simplefilter("ignore")
import mlflow
mlflow.set_tracking_uri(pathlib.Path("mlruns").absolute().as_uri())
mlflow.set_experiment("digits")
with mlflow.start_run(run_name="svm") as run:
    mlflow.log_params({"lr": 0.1, "optimiser/name": "adam", "note": "two\\nlines"})
    for step in (10, 0, 5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"val/accuracy": 0.9, "bad": float("nan")})
    mlflow.set_tags({"mlflow.source.git.commit": "0123abc", "by": "me"})
    mlflow.set_tag("mlflow.source.git.repoURL", "https://me:secret@host/r.git")
    pathlib.Path("report.txt").write_text("fine")
    mlflow.log_artifact("report.txt", "reports")
print(run.info.run_id)
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A run that MLflow made; its file store must be allowed by a variable since version 3."""
    folder = tmp_path_factory.mktemp("mlflow")
    environment = {
        **os.environ,
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    (folder / "train.py").write_text(REAL)  # given by -c, MLflow takes the program for a Spark shell
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    (found,) = (folder / "mlruns").glob(f"*/{done.stdout.split()[-1]}")
    return found


@pytest.mark.slow
def test_a_real_run_is_read_whole(real):
    found = read_mlflow_run(real)
    assert found.parameters == {"lr": "0.1", "optimiser/name": "adam", "note": "two\nlines"}
    assert found.metrics.series == {"loss": Series((0, 5, 10), (1.0, 1 / 6, 1 / 11))}
    assert found.metrics.values["val/accuracy"] == 0.9
    assert found.metrics.values["loss"] == 1 / 11
    assert math.isnan(found.metrics.values["bad"])
    assert (found.run.id, found.run.name, found.run.status, found.run.exit_status) == (real.name, "svm", "finished", 0)
    assert found.run.started <= found.run.ended
    assert found.run.tags["by"] == "me"
    assert found.code == {"commit": "0123abc", "remotes": [{"name": "origin", "url": "https://host/r.git"}]}
    assert (found.data[0].name, found.data[0].files, found.data[0].size) == ("artifacts", 1, 4)
    assert "secret" not in build_statement({"x": "0" * 64}, found).decode()


@pytest.mark.slow
def test_a_real_run_goes_into_a_statement(real):
    found = read_mlflow_run(real)._replace(metrics=read_mlflow_run(real).metrics._replace(values={}))
    assert parse_statement(build_statement({"x": "0" * 64}, found)).predicate == found


META = "run_id: abc\nrun_name: n\nstatus: 3\nstart_time: 1000\nend_time: 2000\n"


@pytest.fixture
def make(tmp_path):
    def make(files=None, meta=META):
        for name, text in {"meta.yaml": meta, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        return tmp_path

    return make


def test_a_run_with_nothing_but_its_meta_is_one(make):
    found = read_mlflow_run(make())
    assert (found.run.id, found.run.started, found.run.ended) == (
        "abc",
        "1970-01-01T00:00:01.000Z",
        "1970-01-01T00:00:02.000Z",
    )
    assert (found.parameters, found.data, found.code) == ({}, (), None)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("1", "running"),
        ("3", "finished"),
        ("4", "failed"),
        ("5", "interrupted"),
        ("FAILED", "failed"),
        ("x", "interrupted"),
    ],
)
def test_the_state_is_translated(make, status, told):
    assert read_mlflow_run(make(meta=META.replace("status: 3", f"status: {status}"))).run.status == told


def test_lines_without_a_step_are_of_step_0_and_later_ones_win(make):
    found = read_mlflow_run(make({"metrics/a": "2 5.0\n1 4.0\n"}))
    assert found.metrics.values == {"a": 5.0}


HOSTILE = {
    "no run": "{}",
    "a list": "[]",
    "nothing": "",
    "no YAML": "a: [",
    "an object": "run_id: !!python/object/apply:os.system ['true']",
    "aliases": "run_id: abc\na: &a [x]\nb: [*a, *a]\n",
    "a time that is none": META.replace("1000", "soon"),
    "a time past all": META.replace("1000", "9" * 30),
    "depth": "a: " + "[" * 100_000,
}


@pytest.mark.parametrize("meta", HOSTILE.values(), ids=HOSTILE)
def test_a_meta_that_is_none_is_refused(make, meta):
    with pytest.raises(ProvenanceError):
        read_mlflow_run(make(meta=meta))


@pytest.mark.parametrize("line", ["x", "1 x 0", "1", "1 1 x"])
def test_a_metric_that_is_none_is_refused_by_its_name(make, line):
    with pytest.raises(ProvenanceError, match="metrics/a"):
        read_mlflow_run(make({"metrics/a": line}))


def test_links_are_not_followed(make, tmp_path):
    folder = make({"params/a": "1"})
    (folder / "params" / "b").symlink_to("/etc/passwd")
    with pytest.raises(ProvenanceError, match="params/b"):
        read_mlflow_run(folder)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ProvenanceError, match=r"meta\.yaml"):
        read_mlflow_run(tmp_path / "none")


def test_the_limits_hold_and_one_past_them_does_not(make):
    folder = make({"params/a": "x" * 100, "metrics/b": "1 1 0\n1 2 1\n", "tags/c": ""})
    limits = LIMITS._replace(mlflow_files_max=3, mlflow_file_max_bytes=100, series_points_max=2)
    assert read_mlflow_run(folder, limits=limits).metrics.series["b"].value == (1.0, 2.0)
    for past in ({"mlflow_files_max": 2}, {"mlflow_file_max_bytes": 99}):
        with pytest.raises(ProvenanceError, match=r"more than|larger than"):
            read_mlflow_run(folder, limits=limits._replace(**past))
    assert read_mlflow_run(folder, limits=limits._replace(yaml_max_bytes=len(META)))
    with pytest.raises(ProvenanceError, match="yaml_max_bytes"):
        read_mlflow_run(folder, limits=limits._replace(yaml_max_bytes=len(META) - 1))
    cut = read_mlflow_run(folder, limits=limits._replace(series_points_max=1)).metrics
    assert (cut.values, cut.series, cut.dropped) == ({"b": 2.0}, {}, 1)


def test_without_its_reader_the_message_names_the_extra(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ProvenanceError, match=r"edgerun\[bundles\]"):
        read_mlflow_run(make())
