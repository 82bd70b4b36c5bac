"""What a training run was made from is kept before it starts, and nothing of that ever breaks the training."""

from __future__ import annotations

import asyncio
import errno
import functools
import json
import logging
import math
import os
import re
import signal
import subprocess
import sys
import threading
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import edgerun_bundles
from edgerun.cli.group import Commands
from edgerun.errors import InputError
from edgerun_bundles.cli.track import track_commands
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance import capture, run_folder, run_log
from edgerun_bundles.provenance.canonical import digest
from edgerun_bundles.provenance.capture import DataSource
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.provenance.metrics import Series
from edgerun_bundles.provenance.run import Run, current_run
from edgerun_bundles.provenance.run_history import find_run, repeated, runs, whole_provenance
from edgerun_bundles.provenance.statement import build_statement, parse_statement
from edgerun_bundles.provenance.tracking import track


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to run in, whose code is captured as the names of its files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(capture, "code_folder", Path.cwd)
    monkeypatch.setattr("edgerun_bundles.provenance.run.code_folder", Path.cwd)
    monkeypatch.setattr(capture, "_capture_code", names_of_code)
    monkeypatch.setattr(capture, "describe_environment", quick_environment(capture.describe_environment))
    return tmp_path


@functools.cache
def quick_environment(describe):
    found = describe()
    return lambda **_: found


def names_of_code(folder):
    return {"tree": sorted(path.name for path in folder.glob("*.py")), "bundle": None}


def only_run():
    (found,) = runs().runs
    return found


def kept():
    return only_run().provenance


# The three ways.


def test_a_call_keeps_parameters_metrics_and_a_confusion_matrix(here):
    track(params={"lr": 0.1}, metrics={"accuracy": 0.9}, confusion_matrix=[[2, 1], [0, 3]], per_class={"auc": {"0": 1}})
    found = kept()
    assert found.parameters == {"lr": 0.1}
    assert found.metrics.values == {"accuracy": 0.9}
    assert found.metrics.confusion_matrices["test"].counts == ((2, 1), (0, 3))
    assert found.metrics.per_class == {"auc": {"0": 1}}
    assert found.run.status == "recorded"


def test_a_block_keeps_what_is_logged_in_it(here):
    with track(params={"lr": 0.1}, name="svm", tags={"by": "me"}) as run:
        assert only_run().run.status == "running"
        for loss in (0.9, 0.5):
            run.log(loss=loss)
        run.log({"accuracy": np.float32(0.9)}, step=7)
    found = kept()
    assert found.metrics.values == {"loss": 0.5, "accuracy": pytest.approx(0.9)}
    assert found.metrics.series == {"loss": Series((0, 1), (0.9, 0.5)), "accuracy": Series((7,), (np.float32(0.9),))}
    assert (found.run.status, found.run.exit_status, found.run.name, found.run.tags) == (
        "finished",
        0,
        "svm",
        {"by": "me"},
    )
    assert found.run.started < found.run.ended


def test_a_decorated_function_keeps_its_arguments_and_the_numbers_it_returns(here):
    @track
    def train(data, lr, *layers, epochs=3, **more):
        current_run().log(loss=1)
        return {"accuracy": 0.9, "model": object()}

    assert train(np.zeros((5, 2)), 0.1, 8, 8, momentum=0.5)["accuracy"] == 0.9
    found = kept()
    assert found.parameters == {
        "data": "<ndarray (5, 2)>",
        "lr": 0.1,
        "layers": [8, 8],
        "epochs": 3,
        "momentum": 0.5,
    }
    assert found.metrics.values == {"loss": 1, "accuracy": 0.9}
    assert found.run.name.endswith("train")
    assert current_run() is None


def test_a_decorator_with_arguments_keeps_each_call_and_not_the_definition(here):
    @track(params={"fixed": 1}, name="n")
    def train(lr):
        return None

    assert runs().runs == ()
    train(1)
    train(2)
    assert [run.provenance.parameters for run in runs().runs] == [{"fixed": 1, "lr": 1}, {"fixed": 1, "lr": 2}]


def test_an_asynchronous_function_is_kept_until_it_ends(here):
    @track
    async def train(lr):
        await asyncio.sleep(0)
        return {"accuracy": lr}

    asyncio.run(train(0.5))
    assert kept().metrics.values == {"accuracy": 0.5}
    assert kept().run.status == "finished"


def test_methods_do_not_keep_their_object(here):
    class Trainer:
        @track
        def train(self, lr):
            return lr

    assert Trainer().train(2) == 2
    assert kept().parameters == {"lr": 2}


def test_a_generator_cannot_be_decorated():
    with pytest.raises(InputError, match="with block"):

        @track
        def train():
            yield 1


def test_a_decorated_call_with_wrong_arguments_fails_as_it_would_without(here):
    @track
    def train(lr):
        return lr

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        train()
    assert kept().run.status == "failed"


def test_the_package_offers_all_of_it():
    assert {name: getattr(edgerun_bundles, name).__name__ for name in edgerun_bundles.__all__}
    with pytest.raises(AttributeError, match="nothing"):
        edgerun_bundles.nothing  # noqa: B018 - to see it fail


# Before the run.


def test_what_ran_is_what_is_kept_even_if_files_change_meanwhile(here):
    (here / "train.py").touch()
    data = here / "data.csv"
    data.write_text("a\n1\n")
    with track(data={"train": DataSource(data, tags={"x": "y"})}):
        (here / "later.py").touch()
        data.write_text("a\n2\n")
    found = kept()
    assert found.code["tree"] == ["train.py"]
    assert found.data[0].sha256 == digest(b"a\n1\n")
    assert (found.data[0].name, found.data[0].tags, found.data[0].tables[0].rows) == ("train", {"x": "y"}, 1)


def test_the_environment_and_the_command_line_are_kept(here):
    track(metrics={"a": 1})
    whole, _ = whole_provenance(only_run())
    assert any(package.name == "numpy" for package in whole.environment.packages)
    assert whole.run.argv[0].endswith(Path(sys.orig_argv[0]).name)


def test_blobs_of_the_code_and_notebooks_lie_beside_the_run(here):
    notebook = here / "n.ipynb"
    notebook.write_text('{"nbformat": 4, "metadata": {}, "cells": []}')
    track(metrics={"a": 1}, notebooks=[notebook], capture_code=lambda _: {"bundle": b"git"})
    whole, blobs = whole_provenance(only_run())
    assert blobs == {digest(b"git"): b"git", digest(notebook.read_bytes()): notebook.read_bytes()}
    assert whole.code == {"bundle": {"sha256": digest(b"git"), "size": 3}}
    assert whole.notebooks[0].path == "n.ipynb"


def test_a_damaged_blob_is_found(here):
    track(metrics={"a": 1}, capture_code=lambda _: {"bundle": b"git"})
    (only_run().folder / "blobs" / digest(b"git")).write_bytes(b"got")
    with pytest.raises(ProvenanceError, match="is damaged"):
        whole_provenance(only_run())


def test_a_run_goes_into_a_statement_as_it_is(here):
    with track(params={"a": 2**60, "b": 6.4e16, "c": math.nan}) as run:
        run.log(loss=math.inf)
    whole, _ = whole_provenance(only_run())
    content = build_statement({"x": "0" * 64}, whole)
    assert parse_statement(content).predicate == whole
    assert whole.parameters == {"a": str(2**60), "b": 6.4e16, "c": "NaN"}


@pytest.mark.parametrize("is_file", [True, False], ids=["worktree", "clone"])
def test_runs_are_kept_at_the_root_of_the_repository(here, monkeypatch, is_file):
    (here / ".git").touch() if is_file else (here / ".git").mkdir()
    (here / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(here / "deep" / "er")
    track(metrics={"a": 1})
    assert only_run().folder.parent == here / ".edgerun" / "runs"


def test_git_ignores_what_is_tracked(here):
    subprocess.run(["git", "init", "-q"], check=True)
    track(metrics={"a": 1})
    assert subprocess.run(["git", "status", "--porcelain"], check=True, capture_output=True).stdout == b""


def test_a_folder_of_the_users_own_gets_no_ignore_file(here):
    track(metrics={"a": 1}, folder=here)
    assert not (here / ".gitignore").exists()
    assert len(runs(here).runs) == 1


# Numbers of every kind.


class Colour(Enum):
    RED = "red"


def test_parameters_of_numpy_and_others_become_plain_values(here):
    given = {
        "i": np.int64(3),
        "f": np.float32(0.1),
        "b": np.bool_(True),
        "a": np.array([[1.5], [2]]),
        "t": (1, 2),
        "s": {"b", "a"},
        "p": Path("x/y"),
        "e": Colour.RED,
        "n": None,
        "d": {1: {"x": np.str_("y")}},
    }
    track(params=given, metrics={"a": 1})
    assert kept().parameters == {
        "i": 3,
        "f": 0.1,
        "b": True,
        "a": [[1.5], [2]],
        "t": [1, 2],
        "s": ["a", "b"],
        "p": "x/y",
        "e": "red",
        "n": None,
        "d": {"1": {"x": "y"}},
    }


class Tensor:
    """A number as torch gives it."""

    def __init__(self, value):
        self.value = value

    def item(self):
        return self.value


def test_metrics_of_numpy_tensors_and_mappings_become_numbers(here):
    track(metrics={"a": np.array([0.5]), "b": Tensor(2), "c": {"d": {"e": np.int8(3)}}, "t": True})
    assert kept().metrics.values == {"a": 0.5, "b": 2, "c/d/e": 3, "t": 1}


class Broken:
    """A tensor that holds more than one number."""

    def item(self):
        raise RuntimeError("more than one")


WRONG = {
    "params": [3, {"a": object()}, {"a": lambda: 1}, {(1, 2): 3}, {1: 1, "1": 2}, {"a": np.datetime64("2020-01-01")}],
    "metrics": [
        3,
        {"a": "high"},
        {"a": None},
        {"a": [1, 2]},
        {"a": np.zeros(2)},
        {"a": {"b": "c"}},
        {"a/b": 1, "a": {"b": 2}},
    ],
    "confusion_matrix": [
        3,
        "text",
        [[1, 2]],
        [[1], [2, 3]],
        [[0.5]],
        [[-1]],
        [["a"]],
        [[np.nan]],
        (["a"], [[1, 2], [3, 4]]),
    ],
    "per_class": [3, {"a": 1}, {"a": {"b": "c"}}],
    "data": [3, [3], {"a": 3}],
    "notebooks": [3, [3]],
    "tags": [3],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_argument_is_refused_at_once_and_nothing_is_kept(here, name, value):
    with pytest.raises(InputError):
        track(**{name: value})
    assert runs().runs == ()


def test_a_wrong_metric_is_refused_where_it_is_logged(here):
    with pytest.raises(InputError, match="'loss'"), track() as run:
        run.log(loss="low")
    for step in (1.5, "1", math.nan, math.inf, 2**60):
        with pytest.raises(InputError):
            run.log({"a": 1}, step=step)


@pytest.mark.parametrize("metrics", [3, "text", np.zeros(2), [("a", 1)], {"a": Broken()}, {"a": np.zeros((1, 2))}])
def test_what_is_no_mapping_of_numbers_is_refused_by_our_error(here, metrics):
    with pytest.raises(InputError), track() as run:
        run.log(metrics)


def test_a_result_that_fails_when_it_is_looked_at_breaks_nothing(here):
    class Odd(dict):
        def items(self):
            raise RuntimeError("no")

    assert track(lambda: Odd(a=1))() == {"a": 1}
    assert kept().run.problems == ("the result is not kept: no",)


def test_what_stands_alone_must_be_given_by_name():
    with pytest.raises(InputError, match="by name"):
        track({"lr": 0.1})


# Nothing breaks the training.


def test_an_error_of_the_training_passes_and_is_kept_with_its_traceback(here):
    with pytest.raises(ZeroDivisionError), track(params={"a": 1}):
        1 / 0  # noqa: B018 - to see it fail
    run = kept().run
    assert (run.status, run.exit_status) == ("failed", 1)
    assert "ZeroDivisionError: division by zero" in run.error
    assert "test_tracking.py" in run.error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (SystemExit(), "finished", 0),
        (SystemExit(3), "failed", 3),
        (SystemExit("no"), "failed", 1),
        (KeyboardInterrupt(), "failed", 130),
    ],
)
def test_the_exit_status_is_that_of_the_process(here, error, status, code):
    with pytest.raises(type(error)), track():
        raise error
    assert (kept().run.status, kept().run.exit_status) == (status, code)


def test_code_that_cannot_be_captured_is_told_and_kept_as_a_problem(here, caplog):
    def broken(_):
        raise RuntimeError("no git")

    with track(capture_code=broken, data=here / "missing", notebooks=["missing.ipynb"]) as run:
        run.log(a=1)
    told = kept().run.problems
    assert [problem.partition(":")[0] for problem in told] == [
        "the code is not kept",
        "a notebook is not kept",
        f"the data {here / 'missing'} is not described",
    ]
    assert "no git" in caplog.text
    assert kept().metrics.values == {"a": 1}


def test_a_folder_that_cannot_be_made_stops_nothing(here, caplog):
    (here / "file").touch()
    with track(folder=here / "file") as run:
        run.log(a=1)
        run.log_confusion_matrix([[1]])
    assert run.folder is None
    assert "the run is not kept" in caplog.text


class FullDisk:
    """A file on a disk that takes a number of bytes, and then none until there is room again."""

    def __init__(self, opened, room):
        self.opened, self.room = opened, room

    def __call__(self, path):
        self.file = self.opened(path)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def fileno(self):
        return self.file.fileno()

    def write(self, content):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = content[: self.room]
        self.room -= len(taken)
        return self.file.write(taken)


@pytest.mark.parametrize("room", [0, 1, 60, 100, 150])
def test_a_full_disk_drops_counts_and_says_so_once(here, caplog, monkeypatch, room):
    with track() as run:
        run.log(loss=0)
        disk = FullDisk(run_log._opened, room)
        monkeypatch.setattr(run_log, "_opened", disk)
        for i in range(1, 50):
            run.log(loss=i)
        disk.room = 10**6
        run.log(after=1)
        disk.room = 0
        run.log(loss=50)
        disk.room = 10**6
    found = kept()
    logged = len(found.metrics.series["loss"].value) if "loss" in found.metrics.series else 1
    assert found.metrics.values == {"loss": 50, "after": 1}
    assert logged + found.metrics.dropped == 51
    assert caplog.text.count("metrics are not kept") == 1


def test_a_disk_that_is_full_from_the_start_leaves_nothing_half_done(here, monkeypatch, caplog):
    def full(path, content):
        path.write_bytes(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(run_folder, "_write", full)
    with track() as run:
        run.log(a=1)
    assert [*run_folder.default_folder().iterdir()] == []
    assert "No space left" in caplog.text


def test_the_end_of_a_run_on_a_full_disk_raises_nothing(here, monkeypatch):
    with track() as run:
        run.log(a=1)
        monkeypatch.setattr(run_folder, "_write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    assert "full" in run.problems[-1]
    assert kept().metrics.values == {"a": 1}


KILLED = """
import os, signal, sys
from edgerun_bundles.provenance.tracking import track
with track(params={"a": 1}, capture_code=lambda _: {}) as run:
    for i in range(1000):
        run.log(loss=i)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_keeps_all_that_was_logged_and_shows_as_interrupted(here):
    assert subprocess.run([sys.executable, "-c", KILLED], check=False).returncode == -signal.SIGKILL
    found = kept()
    assert found.run.status == "interrupted"
    assert found.metrics.series["loss"].value == tuple(range(1000))


KILLED_AT = """
import os, signal, sys
from edgerun_bundles.provenance import capture, run_folder
left = int(sys.argv[1])
def counted(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call
os.fsync, os.rename, os.replace, os.mkdir = map(counted, (os.fsync, os.rename, os.replace, os.mkdir))
capture.describe_environment = lambda **_: None
from edgerun_bundles.provenance.tracking import track
with track(params={"a": 1}, capture_code=lambda _: {"bundle": b"git"}) as run:
    run.log(loss=1)
"""


@pytest.mark.slow
def test_a_run_killed_at_any_moment_is_whole_or_not_there(here):
    for moment in range(40):
        status = subprocess.run([sys.executable, "-c", KILLED_AT, str(moment)], check=False).returncode
        history = runs()
        assert history.problems == ()
        for run in history.runs:
            assert run.provenance.parameters == {"a": 1}
            assert run.run.status in {"interrupted", "finished", "recorded"}
            whole_provenance(run)
        if status == 0:
            break
    else:
        pytest.fail("it never ended")
    assert moment > 8


def test_a_line_that_was_cut_off_is_counted_and_the_others_are_read(here):
    with track() as run:
        run.log(a=1)
    with (run.folder / "log.jsonl").open("ab") as file:
        file.write(b'{"points": {"a": [1, 2]}}\n\n[3]\n{"points": 7}\n{"points": {"a": [2, 3]}}\n{"poi')
    found = kept()
    assert found.metrics.series["a"].value == (1, 2, 3)
    assert found.run.problems == ("3 lines of the log are damaged",)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "predicate": 3}', b"[" * 10**5]
)
def test_a_run_that_cannot_be_read_is_named_and_the_others_are_listed(here, content):
    track(metrics={"a": 1})
    broken = track(metrics={"a": 1})
    (broken.folder / "run.json").write_bytes(content)
    history = runs()
    assert len(history.runs) == 1
    assert broken.id in history.problems[0]


@pytest.mark.parametrize("content", [b"", b"{}", b"{", b'{"ended": 3, "status": "finished", "exit_status": 0}'])
def test_an_end_that_cannot_be_read_hides_nothing(here, content):
    with track(params={"a": 1}) as run:
        pass
    (run.folder / "end.json").write_bytes(content)
    assert kept().run.status == "interrupted"
    assert "the end of the run cannot be read" in kept().run.problems[0]


def test_a_forked_child_does_not_end_its_parents_run(here):
    with track() as run:
        child = os.fork()
        if not child:
            run.__exit__(None, None, None)
            os._exit(0)
        os.waitpid(child, 0)
        assert only_run().run.status == "running"
    assert only_run().run.status == "finished"


def test_many_threads_may_log_into_one_run(here):
    with track() as run:

        def log(name):
            for i in range(200):
                run.log({name: i})

        threads = [threading.Thread(target=log, args=(f"m{i}",)) for i in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert {name: len(course.value) for name, course in kept().metrics.series.items()} == dict.fromkeys(
        ["m0", "m1", "m2", "m3"], 200
    )


PARALLEL = """
import sys
from edgerun_bundles.provenance import capture
capture.describe_environment = lambda **_: None
from edgerun_bundles.provenance.tracking import track
for i in range(5):
    with track(params={"i": i}, capture_code=lambda _: {}) as run:
        run.log(a=i)
"""


def test_runs_at_the_same_time_do_not_disturb_each_other(here):
    started = [subprocess.Popen([sys.executable, "-c", PARALLEL]) for _ in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    assert len({run.id for run in runs().runs}) == 20
    assert {run.run.status for run in runs().runs} == {"finished"}


def test_runs_inside_runs_are_runs_of_their_own(here):
    with track(params={"a": 1}) as outer:
        with track(params={"a": 2}) as inner:
            assert current_run() is inner
        assert current_run() is outer
    assert len(runs().runs) == 2


def test_a_secret_on_the_command_line_is_left_out(here, monkeypatch):
    given = [
        "python",
        "t.py",
        "--hf-token",
        "abc",
        "--api-key=abc",
        "password=abc",
        "--pad-token",
        "x",
        "https://u:abc@h/p",
    ]
    monkeypatch.setattr(sys, "orig_argv", given)
    track(metrics={"a": 1})
    assert kept().run.argv == (
        "python",
        "t.py",
        "--hf-token",
        "(left out)",
        "--api-key=(left out)",
        "password=(left out)",
        "--pad-token",
        "x",
        "https://h/p",
    )


def test_a_home_folder_is_not_taken_for_a_project(here, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: here)
    track(metrics={"a": 1})
    assert kept().code is None
    assert "git init" in kept().run.problems[0]


# Limits.


def limited(**limits):
    return Run(limits=LIMITS._replace(**limits)).start()


def test_points_past_the_limit_are_counted_and_the_last_value_is_kept(here):
    run = limited(series_points_max=3)
    for i in range(6):
        run.log(loss=i)
    run.finish()
    assert kept().metrics.series["loss"].value == (0, 1, 2)
    assert kept().metrics.values == {"loss": 5}
    assert kept().metrics.dropped == 3


def test_names_past_the_limit_are_counted(here):
    run = limited(metric_names_max=2)
    run.log(a=1, b=2, c=3)
    run.finish()
    assert kept().metrics.values == {"a": 1, "b": 2}
    assert kept().metrics.dropped == 1


def test_as_many_names_as_the_limit_are_all_kept(here):
    run = limited(metric_names_max=2)
    run.log(a=1, b=2)
    run.finish()
    assert kept().metrics.values == {"a": 1, "b": 2}
    assert kept().metrics.dropped == 0


def test_a_log_past_its_bytes_is_told(here, caplog):
    run = limited(log_max_bytes=200)
    for i in range(20):
        run.log(loss=i)
    run.finish()
    assert "log_max_bytes" in caplog.text
    assert kept().metrics.dropped > 0


def test_a_long_traceback_keeps_its_end(here):
    with pytest.raises(ValueError, match="the end"), limited(text_max_bytes=100):
        raise ValueError("x" * 10_000 + "the end")
    assert kept().run.error.endswith("the end\n")
    assert "left out" in kept().run.error


@pytest.mark.parametrize(("length", "is_whole"), [(100, True), (101, False)])
def test_a_tag_is_cut_one_past_the_limit(here, length, is_whole):
    Run(limits=LIMITS._replace(text_max_bytes=100), tags={"why": "x" * length}).start().finish()
    (tag,) = kept().run.tags.values()
    assert (tag == "x" * length) is is_whole


# What was run.


def test_a_combination_that_was_run_before_is_told_at_once_and_in_the_history(here, caplog):
    first = track(params={"a": 1, "b": 2}, metrics={"x": 1})
    track(params={"a": 1, "b": 3}, metrics={"x": 1})
    with caplog.at_level(logging.WARNING):
        again = track(params={"b": 2, "a": 1.0}, metrics={"x": 1})
    assert again.earlier == (first.id,)
    assert first.id in caplog.text
    assert repeated(runs().runs) == {again.id: first.id}


def test_runs_without_parameters_repeat_nothing(here):
    assert track(metrics={"x": 1}).earlier == track(metrics={"x": 1}).earlier == ()
    assert repeated(runs().runs) == {}


def test_a_run_is_found_by_either_end_of_its_id(here):
    run = track(metrics={"a": 1})
    last = track(metrics={"a": 1})
    assert find_run(run.id).id == find_run(run.id[-8:]).id == run.id
    assert find_run("latest").id == last.id
    for name in ("nothing", "20"):
        with pytest.raises(ProvenanceError, match="track list"):
            find_run(name)


def invoke(*arguments, code=0):
    group = Commands("bundle", commands=[track_commands()])
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == code, result.output
    return result.stdout


def test_the_list_shows_parameters_metrics_and_what_was_run_before(here):
    assert invoke("track", "list") == "no runs\n"
    first = track(params={"lr": 0.1}, metrics={"accuracy": 0.9}, name="svm")
    again = track(params={"lr": 0.1}, metrics={"accuracy": 0.8})
    lines = invoke("track", "list").splitlines()
    assert lines[0].split() == ["run", "status", "name", "parameters", "metrics", "same", "as"]
    assert lines[1].split() == [first.id, "recorded", "svm", "lr=0.1", "accuracy=0.9"]
    assert lines[2].split() == [again.id, "recorded", "lr=0.1", "accuracy=0.8", first.id]
    rows = [json.loads(line) for line in invoke("track", "list", "--json").splitlines()]
    assert [row["same_as"] for row in rows] == [None, first.id]
    assert rows[0]["metrics"] == {"accuracy": 0.9}


def test_show_tells_everything_of_a_run(here):
    run = track(params={"lr": 0.1})
    run.log_confusion_matrix((["gold", "black"], [[3, 1], [0, 4]]))
    with pytest.raises(ValueError, match="no"), run:
        raise ValueError("no\x1b[31m")
    shown = invoke("track", "show", "latest")
    assert re.search(r"parameter lr +0\.1\n", shown)
    assert re.search(r"status +failed, exit 1\n", shown)
    assert re.search(r" gold +3 +1 +4 +100 % +75 % +85\.71 %\n", shown)
    assert "ValueError: no\\x1b[31m" in shown
    assert json.loads(invoke("track", "show", run.id, "--json"))["parameters"] == {"lr": 0.1}


def test_an_interrupted_run_is_not_taken_for_a_running_one_of_the_same_number(here):
    process = run_folder.this_process()
    assert run_folder.is_alive(process)
    assert not run_folder.is_alive(process._replace(started="1"))
    assert not run_folder.is_alive(process._replace(boot="another"))
    assert run_folder.is_alive(process._replace(host="another", boot="another"))
    assert to_document(process)["pid"] == os.getpid()
