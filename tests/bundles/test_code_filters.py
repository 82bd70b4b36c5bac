"""The git matrix, what git would change or believe: every byte on the disk is captured all the same.

Each test makes one kind, and `seen` does the rest: the whole folder, git's own files included, has the same bytes,
modes and times afterwards, and the tree is the one that plain git finds with its filters off.
"""

from __future__ import annotations

import os

import pytest

from edgerun_bundles.provenance import capture_code, restore_code
from support.repositories import (
    commit_all,
    evidence,
    files,
    git,
    text,
    write,
)

pytestmark = pytest.mark.usefixtures("home")


# Contents that git would change.


@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_line_endings_stay_as_on_disk_whatever_autocrlf_says(repo, check, setting):
    git(repo, "config", "core.autocrlf", setting)
    write(repo, "windows.txt", b"one\r\ntwo\r\n")
    write(repo, "mixed.txt", b"one\r\ntwo\n")
    write(repo, "README.md", b"# Digits\r\n")
    check()


def test_attributes_do_not_change_a_byte(repo, check):
    write(repo, ".gitattributes", b"* text=auto eol=lf\n*.id ident\n*.utf16 working-tree-encoding=UTF-16LE\n")
    write(repo, "a.txt", b"one\r\ntwo\r\n")
    write(repo, "b.id", b"$Id: 0123 $\n")
    write(repo, "c.utf16", "größe\n".encode("utf-16-le"))
    check()


def test_clean_filters_neither_run_nor_change_a_byte(repo, check, tmp_path):
    witness = tmp_path / "ran"
    git(repo, "config", "filter.upper.clean", f"touch {witness}; tr a-z A-Z")
    git(repo, "config", "filter.upper.required", "true")
    write(repo, ".gitattributes", b"*.py filter=upper\n")
    write(repo, "small.py", b"small letters\n")
    before = capture_code(repo)
    assert not witness.exists()
    assert check().tree == before.tree


def test_a_large_file_checked_out_by_lfs_is_captured_as_on_disk(repo, check):
    content = b"weights " * 1000
    write(repo, ".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n")
    write(repo, "model.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 8000\n")
    git(repo, "-c", "filter.lfs.clean=cat", "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Add the model")
    git(repo, "push", "--quiet")
    git(repo, "config", "filter.lfs.clean", "false")
    write(repo, "model.bin", content)
    check()


def test_a_file_of_the_same_size_and_time_as_before_is_still_found_to_differ(repo, check):
    before = (repo / "README.md").stat()
    write(repo, "README.md", b"# DIGITS\n")
    os.utime(repo / "README.md", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert check().is_dirty


# What the index says of files.


def test_a_file_that_git_was_told_to_assume_unchanged(repo, check):
    git(repo, "update-index", "--assume-unchanged", "train.py")
    write(repo, "train.py", b"changed all the same\n")
    assert check().is_dirty


def test_files_that_a_sparse_checkout_keeps_off_the_disk_count_as_committed(repo, tmp_path):
    git(repo, "sparse-checkout", "set", "--no-cone", "/train.py", "/README.md")
    assert not (repo / "data").exists()
    write(repo, "README.md", b"changed\n")
    before = evidence(tmp_path)
    snapshot = capture_code(repo)
    assert evidence(tmp_path) == before
    restore_code(snapshot, tmp_path / "restored")
    expected = {**committed_files(repo, tmp_path / "whole"), b"README.md": ("file", b"changed\n")}
    assert files(tmp_path / "restored") == expected


def test_a_sparse_index_of_folders_is_understood(repo, tmp_path):
    git(repo, "sparse-checkout", "set", "--cone", "--sparse-index", "nothing")
    snapshot = capture_code(repo)
    assert not snapshot.is_dirty
    assert snapshot.tree == text(repo, "rev-parse", "HEAD^{tree}")


def committed_files(repo, folder):
    git(folder.parent, "clone", "--quiet", str(repo), str(folder))
    return {name: found for name, found in files(folder).items() if not name.startswith(b".git/")}


def test_a_split_index_is_read_without_renewing_its_time(repo, check):
    git(repo, "update-index", "--split-index")
    write(repo, "new.py", b"x\n")
    git(repo, "add", "new.py")
    for shared in (repo / ".git").glob("sharedindex.*"):
        os.utime(shared, (1e9, 1e9))
    check()


def test_content_that_the_repository_already_has_is_read_without_renewing_its_time(repo, check):
    write(repo, "README.md", b"loose\n")
    write(repo, "other.md", b"packed\n")
    git(repo, "add", "other.md")
    commit_all(repo)
    git(repo, "repack", "-q", "-a", "-d")
    git(repo, "rm", "--quiet", "--cached", "other.md")
    git(repo, "hash-object", "-w", "README.md")
    for path in (repo / ".git" / "objects").rglob("*"):
        os.utime(path, (1e9, 1e9))
    check()


def test_an_untracked_cache_and_a_monitor_are_left_alone(repo, check, tmp_path):
    witness = tmp_path / "ran"
    git(repo, "update-index", "--untracked-cache")
    monitor = write(tmp_path, "monitor", f"#!/bin/sh\ntouch {witness}\n".encode(), mode=0o755)
    git(repo, "config", "core.fsmonitor", str(monitor))
    git(repo, "config", "core.untrackedCache", "true")
    write(repo, "new.py", b"x\n")
    capture_code(repo)
    assert not witness.exists()
    git(repo, "config", "--unset", "core.fsmonitor")
    check()


def test_a_disk_without_modes_has_those_of_the_index(repo, check):
    git(repo, "config", "core.fileMode", "false")
    (repo / "train.py").chmod(0o755)
    (repo / "run.sh").chmod(0o644)
    assert not capture_code(repo).is_dirty
