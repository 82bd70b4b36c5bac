"""What a bundle was made from comes back as it was, through an archive and a registry, and what cannot is said."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from edgerun_bundles.archive import read_archive, write_archive
from edgerun_bundles.attached import attachments, provenances
from edgerun_bundles.layout_write import manifest_of_folder, write_layout
from edgerun_bundles.provenance import capture_code
from edgerun_bundles.provenance.canonical import digest
from edgerun_bundles.provenance.data import Data
from edgerun_bundles.provenance.mlflow_runs import read_mlflow_run
from edgerun_bundles.provenance.notebooks import Notebook
from edgerun_bundles.provenance.statement import Provenance, code_document
from edgerun_bundles.restoring import restore
from support import models
from support.pipes import Pipe
from support.repositories import by_git, commit_all, evidence, files, git, project, pushed, write

EDGERUN = Path(sys.executable).with_name("edgerun")


@pytest.fixture
def definition(tmp_path):
    """Put a definition with its model into a folder."""

    def definition(folder):
        write(folder, "model.onnx", models.steady(2))
        write(folder, "bundle.toml", b'name = "toy"\nversion = "1.0.0"\n[models]\nchampion = "model.onnx"\n')
        return folder

    return definition


@pytest.fixture
def attach(make_bundle, tmp_path):
    """A layout of a bundle with a provenance as it is told, through an archive."""

    def attach(provenance, blobs=None, name="toy"):
        folder = make_bundle(name)
        kept = attachments(manifest_of_folder(folder), provenance, blobs or {}, tmp_path / f"{name}-provenance")
        layout = write_layout(folder, tmp_path / f"{name}-layout", kept)
        write_archive(layout, tmp_path / f"{name}.tar")
        return provenances(read_archive(tmp_path / f"{name}.tar", tmp_path / f"{name}-read"))[0]

    return attach


def run(*arguments, cwd):
    """The command as a user runs it: its exit code, stdout and stderr."""
    done = subprocess.run(
        [EDGERUN, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def odd_changes(repo):
    """Every kind of change that a snapshot must carry."""
    write(repo, "staged.txt", b"staged\r\n")
    git(repo, "add", "staged.txt")
    write(repo, "untracked.bin", bytes(range(256)))
    write(repo, "program.sh", b"#!/bin/sh\n", mode=0o755)
    write(repo, "naïve name.txt", b"x")
    (repo / "link").symlink_to("untracked.bin")
    (repo / "dangling").symlink_to("nowhere")


def unpushed(repo):
    write(repo, "more.py", b"more = 1\n")
    commit_all(repo, "Not pushed")
    write(repo, "more.py", b"more = 2\n")


def detached(repo):
    git(repo, "checkout", "--quiet", "--detach")
    odd_changes(repo)


def with_submodule(repo):
    inner = pushed(project(repo.parent / "inner"), repo.parent / "inner.git")
    git(repo, "submodule", "--quiet", "add", str(repo.parent / "inner.git"), "sub")
    commit_all(repo, "Add a submodule")
    write(repo / "sub", "changed.py", b"inside\n")
    assert inner.exists()


@pytest.mark.parametrize("change", [odd_changes, unpushed, detached, with_submodule, lambda repo: None])
def test_the_tree_that_was_built_from_comes_back_by_its_hash(repo, definition, invoke, tmp_path, change):
    definition(repo)
    change(repo)
    scratch = tmp_path / "by-git"
    scratch.mkdir()
    expected = by_git(repo, scratch)
    before = evidence(tmp_path / "work")
    done = invoke("bundle", "build", repo, "-o", tmp_path / "toy.tar")
    assert done.exit_code == 0, done.output
    done = invoke("bundle", "restore", tmp_path / "toy.tar", tmp_path / "back", "--json")
    assert done.exit_code == 0, done.output
    assert evidence(tmp_path / "work") == before, "build or restore left traces"
    said = json.loads(done.stdout)
    assert said["code"]["tree"] == expected.tree
    found = {
        name: content for name, content in files(tmp_path / "back" / "code").items() if not name.startswith(b"sub/")
    }
    assert found == files(repo, expected.names)
    if change is with_submodule:
        assert (tmp_path / "back/code/sub/changed.py").read_bytes() == b"inside\n"


def test_a_folder_without_git_comes_back_too(definition, invoke, tmp_path):
    folder = definition(tmp_path / "plain")
    write(folder, "train.py", b"train = 1\n")
    assert invoke("bundle", "build", folder, "-o", tmp_path / "toy.tar").exit_code == 0
    assert invoke("bundle", "restore", tmp_path / "toy.tar", tmp_path / "back").exit_code == 0
    assert files(tmp_path / "back" / "code") == files(folder)


def test_what_went_through_a_registry_comes_back_the_same(repo, definition, invoke, registry, tmp_path):
    definition(repo)
    odd_changes(repo)
    target = f"oci://{registry.host}/restored"
    assert invoke("bundle", "build", repo, "-o", tmp_path / "toy.tar").exit_code == 0
    assert invoke("bundle", "push", tmp_path / "toy.tar", target).exit_code == 0
    assert invoke("bundle", "pull", f"{target}:1.0.0", "-o", tmp_path / "back.tar", "--provenance").exit_code == 0
    done = invoke("bundle", "restore", tmp_path / "back.tar", tmp_path / "back", "--json")
    assert json.loads(done.stdout)["code"]["tree"] == capture_code(repo).tree


def test_restore_gives_notebook_lock_parameters_metrics_and_the_place_of_data(repo, definition, invoke, tmp_path):
    definition(repo)
    write(repo, "rows.csv", b"a,b\n1,2\n")
    cell = {"cell_type": "code", "source": "1 + 1", "execution_count": 1, "metadata": {}, "outputs": []}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    write(repo, "explore.ipynb", json.dumps(notebook).encode())
    write(repo, "params.json", b'{"C": 0.5}')
    options = (
        "--parameters",
        repo / "params.json",
        "--metric",
        "accuracy=0.75",
        "--data",
        f"train={repo / 'rows.csv'}",
    )
    done = invoke("bundle", "build", repo, "-o", tmp_path / "toy.tar", "--notebook", repo / "explore.ipynb", *options)
    assert done.exit_code == 0, done.output
    code, stdout, _ = run("bundle", "restore", tmp_path / "toy.tar", "back", cwd=tmp_path)
    assert code == 0
    back = tmp_path / "back"
    assert (back / "notebooks/explore.ipynb").read_bytes() == (repo / "explore.ipynb").read_bytes()
    assert json.loads((back / "parameters.json").read_text()) == {"C": 0.5}
    assert json.loads((back / "metrics.json").read_text())["values"] == {"accuracy": 0.75}
    (data,) = json.loads((back / "data.json").read_text())
    assert (data["uri"], data["sha256"]) == ("rows.csv", digest((repo / "rows.csv").read_bytes()))
    assert "numpy==" in (back / "requirements.lock.txt").read_text()
    assert json.loads((back / "provenance.json").read_text())["subject"][0]["name"] == "toy@1.0.0"
    for said in ("the data train is not kept", "the machine is not restored", "train: rows.csv, 8 bytes, 1 rows of 2"):
        assert said in stdout


def test_commits_that_no_remote_gives_come_from_a_clone_or_are_told(repo, origin, definition, invoke, tmp_path):
    definition(repo)
    assert invoke("bundle", "build", repo, "-o", tmp_path / "toy.tar").exit_code == 0
    gone = origin.rename(tmp_path / "gone.git")
    code, stdout, stderr = run("bundle", "restore", tmp_path / "toy.tar", "back", cwd=tmp_path)
    assert (code, stderr) == (3, "")
    assert "FAILED" in stdout
    assert "name a clone" in stdout
    assert {path.name for path in (tmp_path / "back").iterdir()} >= {"requirements.lock.txt", "parameters.json"}
    assert not (tmp_path / "back/code").exists()
    assert run("bundle", "restore", tmp_path / "toy.tar", "from-clone", "--clone", repo, cwd=tmp_path)[0] == 0
    assert run("bundle", "restore", tmp_path / "toy.tar", tmp_path / "from-here", cwd=repo)[0] == 0
    assert files(tmp_path / "from-here" / "code") == files(tmp_path / "from-clone" / "code")
    assert gone.exists()


def test_a_model_is_restored_from_what_trained_it(attach, repo, invoke, tmp_path):
    document, blobs = code_document(capture_code(repo))
    write(repo, "later.py", b"later\n")
    later, more = code_document(capture_code(repo))
    attach(Provenance(code=later, models={"champion": Provenance(code=document, parameters={"a": 1})}), blobs | more)
    done = invoke("bundle", "restore", tmp_path / "toy.tar", tmp_path / "back", "--model", "champion")
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "back/code/later.py").exists()
    assert json.loads((tmp_path / "back/parameters.json").read_text()) == {"a": 1}
    done = invoke("bundle", "restore", tmp_path / "toy.tar", tmp_path / "whole")
    assert "given back with --model: champion" in done.stdout
    assert (tmp_path / "whole/code/later.py").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--model", "other"), "does not say how a model 'other' came to be"), ((), "holds something else")],
)
def test_what_cannot_be_is_told_in_one_line_and_nothing_is_written(attach, invoke, tmp_path, options, said):
    attach(Provenance(parameters={"a": 1}))
    dest = tmp_path / "dest"
    if not options:
        write(dest, "mine.txt", b"mine")
    before = files(dest)
    done = invoke("bundle", "restore", tmp_path / "toy.tar", dest, *options)
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
    assert files(dest) == before


def test_a_bundle_without_provenance_says_so(make_bundle, invoke, tmp_path):
    folder = make_bundle()
    for command in (("restore", folder, tmp_path / "x"), ("check-env", folder)):
        done = invoke("bundle", *command)
        assert done.exit_code == 1
        assert "toy@1.0.0 has no provenance with it" in done.stderr


@pytest.mark.parametrize(
    "path", ["../../evil.ipynb", "/etc/evil.ipynb", "..", "", "a\\b.ipynb", "\x1b.ipynb", "x" * 300]
)
def test_a_notebook_of_a_hostile_name_stays_in_the_folder(attach, tmp_path, path):
    content = b"{}"
    notebook = Notebook(path, digest(content), len(content), "0" * 64, 0, (), top_to_bottom=False)
    attached = attach(Provenance(notebooks=(notebook, notebook)), {digest(content): content})
    around = {found for found in tmp_path.rglob("*") if found.name != "dest"}
    restored = restore(attached, attached.provenance, tmp_path / "a" / "b" / "dest")
    written = {tmp_path / "a" / "b" / "dest" / name for name in restored.notebooks}
    assert len(written) == 2
    assert all(found.read_bytes() == content and found.parent.name == "notebooks" for found in written)
    outside = {found for found in tmp_path.rglob("*") if not found.is_relative_to(tmp_path / "a")}
    assert outside <= around


def test_code_of_which_another_tool_knew_the_commit_alone_is_named(attach, tmp_path):
    run_folder = tmp_path / "mlruns" / "0" / "abc"
    write(run_folder, "meta.yaml", b"run_id: abc\nstatus: 3\nstart_time: 0\n")
    write(run_folder, "tags/mlflow.source.git.commit", b"a" * 40)
    attached = attach(read_mlflow_run(run_folder))
    restored = restore(attached, attached.provenance, tmp_path / "back")
    assert restored.code is None
    assert restored.failed == ()
    assert restored.not_restored[0].startswith(f"of the code only its commit is known: {'a' * 40}")
    assert "the environment was not captured" in restored.not_restored


def test_data_without_a_place_is_told(attach, tmp_path):
    attached = attach(Provenance(data=(Data("train", "file", "0" * 64, 1),)))
    restored = restore(attached, attached.provenance, tmp_path / "back")
    assert "the data train is not kept; it was at a place unknown" in restored.not_restored


def test_two_builds_of_one_bundle_show_the_later_one(make_bundle, tmp_path, invoke, repo, definition):
    definition(repo)
    for name in ("a", "b"):
        invoke("bundle", "build", repo, "-o", tmp_path / f"{name}.tar", "--metric", f"{name}=1")
    first, second = (read_archive(tmp_path / f"{name}.tar", tmp_path / name) for name in ("a", "b"))
    for blob in (first.folder / "blobs/sha256").iterdir():
        (second.folder / "blobs/sha256" / blob.name).write_bytes(blob.read_bytes())
    both = second._replace(referrers=(*first.referrers, *second.referrers))
    write_archive(both, tmp_path / "both.tar")
    assert [found.provenance.metrics.values for found in provenances(both)] == [{"b": 1}, {"a": 1}]
    done = invoke("bundle", "verify", tmp_path / "both.tar")
    assert "whole provenance of 2 builds" in done.stdout


def test_ctrl_c_while_restoring_leaves_nothing(repo, definition, invoke, tmp_path):
    definition(repo)
    assert invoke("bundle", "build", repo, "-o", tmp_path / "toy.tar").exit_code == 0
    pipe, scratch = tmp_path / "asked", tmp_path / "scratch"
    scratch.mkdir()
    script = f'#!/bin/sh\ncase "$*" in *fetch*) echo x >{pipe}; sleep 60;; esac\nexec {shutil.which("git")} "$@"\n'
    write(tmp_path, "bin/git", script.encode(), mode=0o755)
    with Pipe(pipe) as asked:
        process = subprocess.Popen(
            [EDGERUN, "bundle", "restore", tmp_path / "toy.tar", "back"],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a background job ignores it
        )
        asked.wait_for_word()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr.strip()) == (130, "", "edgerun: interrupted")
    assert not (tmp_path / "back").exists()
    assert [*scratch.iterdir()] == []
