"""A model is known by its bytes: the run that wrote it is found, or it is said why not."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun.errors import InputError
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance import capture, run_folder
from edgerun_bundles.provenance.author import Author, describe_author
from edgerun_bundles.provenance.canonical import digest
from edgerun_bundles.provenance.declared import Declared, merged
from edgerun_bundles.provenance.metrics import Metrics
from edgerun_bundles.provenance.model_files import ModelFile, models_written, without_inner
from edgerun_bundles.provenance.model_runs import named_run, run_of_model, runs_folders
from edgerun_bundles.provenance.run import Run as TrackingRun
from edgerun_bundles.provenance.run_history import TrackedRun, runs
from edgerun_bundles.provenance.statement import Provenance, Run
from edgerun_bundles.provenance.tracking import track
from support.repositories import git, new_repository, write


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to run in; code and environment are not what these tests are about."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("edgerun_bundles.provenance.run.code_folder", lambda: folder)
    monkeypatch.setattr(capture, "_capture_code", lambda _: {"tree": "none"})
    monkeypatch.setattr(capture, "describe_environment", lambda **_: None)
    return folder


def kept():
    """The models that the last run is known to have written: path to whether it was named."""
    return {model.path: model.named for model in runs().runs[-1].run.models}


# What a run writes.


def test_models_that_are_written_while_a_run_runs_are_found_at_its_end(here):
    write(here, "old.onnx", b"old")
    past = time.time_ns() - 10**10
    os.utime(here / "old.onnx", ns=(past, past))
    with track(params={"lr": 1}):
        write(here, "new.onnx", b"new")
        write(here, "out/deep/other.onnx", b"other")
        write(here, "data.bin", b"data")
        write(here, ".cache/hidden.onnx", b"hidden")
        write(here, "venv/package.onnx", b"package")
        (here / "link.onnx").symlink_to("new.onnx")
    assert kept() == {"new.onnx": False, "out/deep/other.onnx": False}
    (new, _) = runs().runs[-1].run.models
    assert (new.sha256, new.size) == (digest(b"new"), 3)


def test_a_decorated_function_finds_its_models_too(here):
    @track
    def train(lr):
        write(here, "model.onnx", b"model")

    train(0.1)
    assert kept() == {"model.onnx": False}


def test_models_elsewhere_are_named(here, tmp_path):
    elsewhere = write(tmp_path, "elsewhere.onnx", b"elsewhere")
    with track() as run:
        run.log_model(elsewhere)
        write(here, "weights.bin", b"weights")
        run.log_model("weights.bin")
    assert kept() == {str(elsewhere): True, "weights.bin": True}


def test_a_call_that_keeps_all_at_once_names_its_models(here):
    write(here, "model.onnx", b"model")
    track(metrics={"a": 1}, models="model.onnx")
    assert kept() == {"model.onnx": True}
    track(metrics={"a": 1}, models=["model.onnx", here / "model.onnx"])
    assert kept() == {"model.onnx": True}


def test_a_model_that_is_missing_is_a_problem_and_ends_no_run(here, caplog):
    with track() as run:
        run.log_model("none.onnx")
        run.log_model(here)
    assert ["none.onnx" in problem for problem in run.problems] == [True, False]
    assert len(caplog.records) == 2
    assert runs().runs[-1].run.status == "finished"


@pytest.mark.parametrize("wrong", [7, None, {"a": 1}, [7]])
def test_what_is_no_path_is_refused_at_once(here, wrong):
    with pytest.raises(InputError, match="models must be"):
        track(models=wrong)
    with pytest.raises(InputError, match="log_model takes"):
        track().log_model(wrong)
    assert len(runs().runs) == 1


def test_a_run_keeps_who_ran_it(home, here):
    new_repository(here)
    git(here, "config", "user.name", "Ada")
    with track():
        pass
    assert runs().runs[-1].run.author == Author("Ada")


def test_somebody_without_git_is_known_by_the_account(home, tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "grace")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Mallory")
    assert describe_author(tmp_path) == Author("grace")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_author(tmp_path) == Author("grace")
    assert Author("Ada", "ada@example.org").text == "Ada <ada@example.org>"


def test_no_more_files_are_looked_through_than_the_limit(tmp_path):
    for name in ("a.onnx", "b", "c/d"):
        write(tmp_path, name, b"x")
    at_the_limit = LIMITS._replace(model_search_entries_max=4)
    assert [found.path for found in models_written(tmp_path, 0, at_the_limit)] == ["a.onnx"]
    with pytest.raises(ProvenanceError, match="model_search_entries_max"):
        models_written(tmp_path, 0, LIMITS._replace(model_search_entries_max=3))


def test_a_run_keeps_no_more_models_than_the_limit(here):
    with TrackingRun(limits=LIMITS._replace(models_max=2)) as run:
        for name in "abc":
            run.log_model(write(here, f"{name}.bin", name.encode()))
    assert len(kept()) == 2
    assert "models_max" in run.problems[0]


def test_folders_inside_others_are_looked_through_once(tmp_path):
    for name in ("a/b", "ab"):
        (tmp_path / name).mkdir(parents=True)
    found = without_inner([tmp_path / "a" / "b", tmp_path / "a", tmp_path / "ab", tmp_path / "a"])
    assert found == [tmp_path / "a", tmp_path / "ab"]


# Which run it was.


BYTES = digest(b"m")


def ran(name, started, ended, *, named=False, sha256=BYTES, path=None):
    model = ModelFile("m.onnx", sha256, 1, named)
    run = Run(name, f"2026-01-01T00:00:{started:02}Z", ended=ended and f"2026-01-01T00:00:{ended:02}Z", models=(model,))
    return TrackedRun(name, path, Provenance(run=run))


@pytest.fixture
def whole(monkeypatch):
    """A run is whole as it is."""
    monkeypatch.setattr(
        "edgerun_bundles.provenance.model_runs.whole_provenance", lambda run: (run.provenance, {"x": b"x"})
    )


@pytest.mark.parametrize(
    ("history", "found"),
    [
        ([ran("a", 1, 2), ran("b", 3, 4)], "b"),
        ([ran("b", 3, 4), ran("a", 1, 2)], "b"),
        ([ran("a", 1, 2, named=True), ran("b", 3, 4)], "a"),
        ([ran("a", 1, 9, named=True), ran("b", 2, 3)], "a"),
        ([ran("a", 1, 2), ran("b", 3, 4, sha256=digest(b"other"))], "a"),
        ([ran("a", 1, 5), ran("b", 3, 4)], None),
        ([ran("a", 1, None), ran("b", 3, 4)], None),
        ([ran("a", 1, 2, sha256=digest(b"other"))], None),
        ([], None),
    ],
)
def test_the_last_run_that_wrote_a_model_is_the_one_unless_several_ran_at_once(whole, history, found):
    told = run_of_model(digest(b"m"), history)
    assert (told.provenance and told.provenance.run.id) == found
    assert bool(told.problem) == (found is None)
    assert bool(told.blobs) == (found is not None)


def test_a_run_is_named_by_its_id_a_part_of_it_latest_or_an_mlflow_folder(here, tmp_path):
    first, last = (track(params={"lr": lr}, metrics={"a": 1}) for lr in (1, 2))
    folders = runs_folders([here])
    assert folders == [run_folder.place_in(here)]
    for name, lr in ((first.id, 1), (first.id[-8:], 1), (last.id, 2), ("latest", 2)):
        assert named_run(name, tmp_path, folders).provenance.parameters == {"lr": lr}
    write(tmp_path, "mlruns/0/abc/meta.yaml", b"run_id: abc\nstatus: 3\nstart_time: 0\n")
    write(tmp_path, "mlruns/0/abc/params/lr", b"0.5")
    assert named_run("mlruns/0/abc", tmp_path, []).provenance.parameters == {"lr": "0.5"}
    for name in ("none", "20"):
        with pytest.raises(ProvenanceError, match="track list"):
            named_run(name, tmp_path, folders)


def test_runs_are_looked_for_in_the_folders_above(here):
    track(metrics={"a": 1})
    inner = here / "a" / "b"
    inner.mkdir(parents=True)
    assert runs_folders([inner, here]) == [run_folder.place_in(here)]


# What is said.

names = st.text("abc", min_size=1, max_size=2)
declared = st.builds(
    Declared,
    st.dictionaries(names, st.integers()),
    st.builds(Metrics, st.dictionaries(names, st.floats(allow_nan=False))),
    notebooks=st.lists(names, unique=True).map(tuple),
    run=st.none() | names,
)


@settings(max_examples=30)
@given(declared, declared, names)
def test_of_two_sayings_the_second_holds_and_nothing_is_lost(first, second, name):
    both = merged(first._replace(models={name: first}), second._replace(models={name: second}))
    assert both.parameters == {**first.parameters, **second.parameters}
    assert both.metrics.values == {**first.metrics.values, **second.metrics.values}
    assert {*both.notebooks} == {*first.notebooks, *second.notebooks}
    assert both.run == (second.run or first.run)
    assert both.models[name] == merged(first, second)
    assert merged(first, Declared()) == first == merged(Declared(), first)
