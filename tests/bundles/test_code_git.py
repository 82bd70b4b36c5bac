"""How git is called: in a known environment, in time, and with a sentence where it cannot be."""

from __future__ import annotations

import os
import shutil

import pytest

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import capture_code, git, restore_code, working_tree
from support.repositories import commit_all, evidence, files, new_repository, project, text, write
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


# Odd disks.


def test_a_pipe_in_place_of_a_file_is_named_and_not_waited_for(repo):
    (repo / "README.md").unlink()
    os.mkfifo(repo / "README.md")
    os.mkfifo(repo / "untracked")
    (each,) = capture_code(repo).left_out
    assert each == ("README.md", "neither a file nor a symbolic link")


def test_a_folder_that_its_repository_ignores_is_captured_as_one_without_git(repo, tmp_path):
    write(repo, "build/deep/train.py", b"1\n")
    snapshot = capture_code(repo / "build" / "deep")
    assert not snapshot.has_git
    restore_code(snapshot, tmp_path / "restored")
    assert files(tmp_path / "restored") == {b"train.py": ("file", b"1\n")}


def test_a_scratch_folder_inside_the_repository_is_not_part_of_it(repo, monkeypatch):
    write(repo, "README.md", b"changed\n")
    expected = capture_code(repo)
    (repo / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(repo / "tmp"))
    assert capture_code(repo)._replace(ignored=(), ignored_count=0) == expected
    assert [*(repo / "tmp").iterdir()] == []


def test_folders_that_git_cannot_open_are_read_from_its_warnings():
    said = (
        "warning: could not open directory 'a b/c/': Permission denied\n"
        "warning: could not open directory 'it's/': Permission denied\n"
    )
    reason = "cannot be read: Permission denied"
    assert working_tree.unreadable(said) == {b"a b/c": reason, b"it's": reason}


def test_files_and_folders_that_may_not_be_read_are_named(repo, monkeypatch):
    write(repo, "closed.py", b"2\n")
    closed = {os.fsencode(repo / "closed.py"), os.fsencode(repo / "data" / "table.csv")}

    def guarded(function):
        def call(path, *arguments, **options):
            if path in closed:
                raise PermissionError(13, "Permission denied", path)
            return function(path, *arguments, **options)

        return call

    monkeypatch.setattr(os, "open", guarded(os.open))
    monkeypatch.setattr(os, "lstat", guarded(os.lstat))
    names = {each.name: each.reason for each in capture_code(repo).left_out}
    assert names == dict.fromkeys(["closed.py", "data/table.csv"], "cannot be read: Permission denied")


@pytest.mark.parametrize("what", ["gone", "grown"])
def test_a_file_that_changes_during_the_capture_is_named(repo, monkeypatch, what):
    write(repo, "new.py", b"1\n")
    write(repo, "other.py", b"2\n")
    real = working_tree.Disk.content

    def content(disk, path, max_bytes):
        if path == b"new.py" and what == "gone":
            (repo / "new.py").unlink(missing_ok=True)
        elif path == b"new.py":
            return bytes(max_bytes)
        return real(disk, path, max_bytes)

    monkeypatch.setattr(working_tree.Disk, "content", content)
    snapshot = capture_code(repo)
    (each,) = snapshot.left_out
    assert each.name == "new.py"
    assert "while it was captured" in each.reason
    assert not snapshot.is_exact


def test_a_capture_that_fails_leaves_no_trace_either(repo, monkeypatch, tmp_path):
    write(repo, "README.md", b"changed\n")
    before = evidence(tmp_path)
    monkeypatch.setattr(working_tree.Disk, "content", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        capture_code(repo)
    assert evidence(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"damaged", b"0" * 40])
def test_a_damaged_branch_is_not_taken_for_one_without_commits(repo, content):
    write(repo, ".git/refs/heads/main", content)
    with pytest.raises(ProvenanceError):
        capture_code(repo)


def test_a_damaged_head_is_not_taken_for_a_folder_without_git(repo):
    write(repo, ".git/HEAD", b"")
    with pytest.raises(ProvenanceError, match="its git repository cannot be read"):
        capture_code(repo)


def test_a_repository_that_was_copied_without_its_objects_is_refused(repo):
    shutil.rmtree(repo / ".git" / "objects")
    (repo / ".git" / "objects").mkdir()
    with pytest.raises(ProvenanceError):
        capture_code(repo)


def test_two_repositories_can_be_captured_from_threads(repo, tmp_path):
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - this one test needs it

    write(repo, "README.md", b"changed\n")
    write(new_repository(tmp_path / "second"), "a.py", b"1\n")
    folders = [repo, tmp_path / "second"] * 4
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(capture_code, folders)]
    assert found[::2] == [found[0]] * 4
    assert found[1::2] == [found[1]] * 4
