"""Odd disks: pipes, closed folders, files that change meanwhile, and repositories with a part missing."""

from __future__ import annotations

import os
import shutil

import pytest

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import capture_code, restore_code, working_tree
from support.repositories import evidence, files, new_repository, write

pytestmark = pytest.mark.usefixtures("home")


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
