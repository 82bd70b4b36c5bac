"""How git is called: in a known environment, in time, and with a sentence where it cannot be."""

from __future__ import annotations

import os

import pytest

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import capture_code, git, restore_code
from support.repositories import commit_all, project, text, write
from support.repositories import git as plain_git

pytestmark = pytest.mark.usefixtures("home")


def test_no_variable_of_the_caller_leads_git_astray(repo, tmp_path, monkeypatch):
    other = project(tmp_path / "other")
    write(other, "other.py", b"1\n")
    write(repo, "README.md", b"changed\n")
    expected = capture_code(repo)
    witness = tmp_path / "ran"
    program = write(tmp_path, "program", f"#!/bin/sh\ntouch {witness}\n".encode(), mode=0o755)
    for name, value in {
        "GIT_DIR": other / ".git",
        "GIT_WORK_TREE": other,
        "GIT_INDEX_FILE": other / ".git" / "index",
        "GIT_OBJECT_DIRECTORY": other / ".git" / "objects",
        "GIT_COMMON_DIR": other / ".git",
        "GIT_NAMESPACE": "x",
        "GIT_CEILING_DIRECTORIES": tmp_path,
        "GIT_EXTERNAL_DIFF": program,
        "GIT_PAGER": program,
        "GIT_EDITOR": program,
        "GIT_ASKPASS": program,
        "GIT_SSH_COMMAND": program,
        "GIT_TRACE": tmp_path / "trace",
        "GIT_TRACE2_EVENT": tmp_path / "trace2",
        "GIT_AUTHOR_NAME": "Somebody",
        "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z",
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_TEMPLATE_DIR": other,
        "GIT_QUARANTINE_PATH": other,
        "GIT_LITERAL_PATHSPECS": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": program,
        "GIT_CONFIG_PARAMETERS": f"'core.pager={program}'",
        "LC_ALL": "de_DE.UTF-8",
        "LANGUAGE": "de",
    }.items():
        monkeypatch.setenv(name, str(value))
    assert capture_code(repo) == expected
    restore_code(expected, tmp_path / "restored")
    assert not witness.exists()
    assert not (tmp_path / "trace").exists()
    assert not (tmp_path / "trace2").exists()


def test_no_setting_of_the_user_changes_a_snapshot(repo, home, tmp_path):
    write(repo, "README.md", b"changed\r\n")
    expected = capture_code(repo)
    witness = tmp_path / "ran"
    program = write(tmp_path, "program", f"#!/bin/sh\ntouch {witness}\nexit 1\n".encode(), mode=0o755)
    write(
        home,
        ".gitconfig",
        f"""
[core]
    autocrlf = true
    safecrlf = true
    eol = crlf
    quotePath = true
    pager = {program}
    fsmonitor = {program}
    hooksPath = {program}
    sshCommand = {program}
    compression = 0
    bigFileThreshold = 1
    logAllRefUpdates = always
[commit]
    gpgSign = true
[gpg]
    program = {program}
[log]
    showSignature = true
    date = relative
[pack]
    threads = 7
    window = 0
[init]
    defaultObjectFormat = sha256
    templateDir = {tmp_path}
[diff]
    external = {program}
    renames = copies
[trace2]
    eventTarget = {tmp_path}/trace2
[fetch]
    prune = true
    fsckObjects = true
[bundle]
    version = 3
[i18n]
    logOutputEncoding = latin1
    commitEncoding = latin1
[extensions]
    nonsense = true
[submodule]
    recurse = true
[gc]
    auto = 1
[format]
    pretty = fuller
[url "/nowhere/"]
    pushInsteadOf = {repo.parent}/
""".encode(),
    )
    assert capture_code(repo) == expected
    restore_code(expected, tmp_path / "restored")
    assert not witness.exists()
    assert not (tmp_path / "trace2").exists()


def test_hooks_of_the_repository_do_not_run(repo, tmp_path):
    witness = tmp_path / "ran"
    for hook in ("reference-transaction", "post-index-change", "fsmonitor-watchman", "pre-commit", "post-commit"):
        write(repo, f".git/hooks/{hook}", f"#!/bin/sh\ntouch {witness}\n".encode(), mode=0o755)
    write(repo, "README.md", b"changed\n")
    restore_code(capture_code(repo), tmp_path / "restored")
    assert not witness.exists()


def test_without_git_that_is_said(repo, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProvenanceError, match="the git command is not there"):
        capture_code(repo)


def fake_git(tmp_path, monkeypatch, script):
    write(tmp_path, "bin/git", f"#!/bin/sh\n{script}\n".encode(), mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def test_a_git_that_does_not_end_is_stopped_with_its_children(repo, monkeypatch, tmp_path):
    fake_git(tmp_path, monkeypatch, "sleep 600 & wait")
    monkeypatch.setattr(git, "TIMEOUT_S", 0.2)
    with pytest.raises(ProvenanceError, match=r"git rev-parse took more than 0\.2 s"):
        capture_code(repo)


def test_a_git_that_reads_nothing_is_no_trap(tmp_path, monkeypatch):
    fake_git(tmp_path, monkeypatch, "exit 3")
    there = git.in_repository(tmp_path)
    assert git.call(there, "x", stdin=[bytes(2**20)] * 10).code == 3
    with pytest.raises(ProvenanceError, match="git x: 3"):
        git.run(there, "x")


def test_an_input_that_breaks_off_is_not_taken_for_the_whole(tmp_path):
    def chunks():
        yield b"half"
        raise ProvenanceError("the other half is gone")

    with pytest.raises(ProvenanceError, match="the other half is gone"):
        git.run(git.in_repository(tmp_path), "hash-object", "--stdin", stdin=chunks())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    write(tmp_path, "file")
    for name in ("missing", "file"):
        with pytest.raises(ProvenanceError, match=f"{name}: not a folder"):
            capture_code(tmp_path / name)


def test_a_bare_repository_and_a_git_folder_are_refused(repo, origin):
    for folder in (origin, repo / ".git", repo / ".git" / "objects"):
        with pytest.raises(ProvenanceError, match="name a folder with the files themselves"):
            capture_code(folder)


@pytest.mark.parametrize("content", [b"gitdir: /nowhere\n", b"nonsense\n"])
def test_a_broken_repository_is_refused_with_gits_reason(tmp_path, content):
    write(tmp_path, "repo/.git", content)
    with pytest.raises(ProvenanceError, match=r"its git repository cannot be read: fatal: .*git"):
        capture_code(tmp_path / "repo")


def test_a_damaged_index_is_refused_with_gits_reason(repo):
    write(repo, ".git/index", b"DIRC damaged")
    with pytest.raises(ProvenanceError, match="index"):
        capture_code(repo)


def test_a_missing_index_is_an_empty_one(repo):
    (repo / ".git" / "index").unlink()
    snapshot = capture_code(repo)
    assert snapshot.tree == text(repo, "rev-parse", "HEAD^{tree}")


def test_a_working_tree_somewhere_else_is_captured_there(repo, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    plain_git(repo, "config", "core.worktree", str(elsewhere))
    write(elsewhere, "other.py", b"1\n")
    snapshot = capture_code(elsewhere) if (elsewhere / ".git").exists() else None
    assert snapshot is None
    with pytest.raises(ProvenanceError, match="name a folder with the files themselves"):
        capture_code(repo)


def test_replaced_objects_are_seen_as_they_are(repo):
    head = text(repo, "rev-parse", "HEAD")
    tree = text(repo, "rev-parse", "HEAD^{tree}")
    write(repo, "README.md", b"another\n")
    other = commit_all(repo)
    plain_git(repo, "reset", "--quiet", "--hard", head)
    plain_git(repo, "replace", head, other)
    assert capture_code(repo).tree == tree


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_every_version_of_the_index_is_read(repo, version):
    plain_git(repo, "update-index", "--index-version", version)
    write(repo, "README.md", b"changed\n")
    plain_git(repo, "add", "--all")
    assert capture_code(repo).staged_apart == ()
