"""The git matrix, repositories inside repositories: submodules and clones have snapshots of their own.

Each test makes one kind, and `seen` does the rest: the whole folder, git's own files included, has the same bytes,
modes and times afterwards, and the tree is the one that plain git finds with its filters off.
"""

from __future__ import annotations

import shutil

import pytest

from edgerun_bundles.provenance import capture_code, restore_code
from support.repositories import (
    commit_all,
    files,
    git,
    new_repository,
    seen,
    write,
)

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def library(tmp_path):
    """A repository to be a submodule."""
    folder = tmp_path / "work" / "library"
    new_repository(folder)
    write(folder, "library.py", b"1\n")
    commit_all(folder)
    return folder


@pytest.fixture
def with_submodule(repo, library):
    git(repo, "submodule", "--quiet", "add", str(library), "lib")
    commit_all(repo)
    git(repo, "push", "--quiet")
    return repo


def test_a_clean_submodule(with_submodule, check):
    snapshot = check()
    assert not snapshot.is_dirty
    (nested,) = snapshot.nested
    assert (nested.path, nested.snapshot.bundle) == ("lib", None)


def test_a_submodule_with_changes_and_a_commit_of_its_own(with_submodule, check, tmp_path):
    lib = with_submodule / "lib"
    write(lib, "library.py", b"2\n")
    head = commit_all(lib)
    write(lib, "library.py", b"3\r\n")
    write(lib, "new.py", b"4\n")
    snapshot = check()
    assert snapshot.is_dirty
    (nested,) = snapshot.nested
    assert nested.snapshot.commit == head
    assert nested.snapshot.is_dirty
    assert files(tmp_path / "scratch" / "restored" / "lib") == {
        b"library.py": ("file", b"3\r\n"),
        b"new.py": ("file", b"4\n"),
    }


def test_changes_inside_a_submodule_alone_make_the_outer_one_dirty_too(with_submodule, check):
    write(with_submodule / "lib", "new.py", b"4\n")
    snapshot = check()
    assert snapshot.is_dirty
    assert snapshot.bundle is None
    assert snapshot.bundle_bytes == len(snapshot.nested[0].snapshot.bundle)


def test_a_submodule_that_was_never_checked_out_stays_a_name(with_submodule, tmp_path):
    origin = str(tmp_path / "work" / "origin.git")
    git(tmp_path / "work", "clone", "--quiet", origin, "clone")
    snapshot = capture_code(tmp_path / "work" / "clone")
    assert not snapshot.is_dirty
    assert snapshot.nested == ()
    (sentence,) = restore_code(snapshot, tmp_path / "restored").not_restored
    assert sentence.startswith("lib is empty: it stands for commit ")
    assert [*(tmp_path / "restored" / "lib").iterdir()] == []


def test_a_submodule_that_was_removed(with_submodule, check):
    shutil.rmtree(with_submodule / "lib")
    assert check().is_dirty


def test_a_submodule_that_lost_its_repository_is_captured_as_files(with_submodule, tmp_path):
    (with_submodule / "lib" / ".git").unlink()
    snapshot = capture_code(with_submodule)
    assert not snapshot.nested[0].snapshot.has_git
    restore_code(snapshot, tmp_path / "restored")
    assert files(tmp_path / "restored" / "lib") == {b"library.py": ("file", b"1\n")}


def test_a_submodule_whose_repository_is_gone_is_named_with_the_reason(with_submodule, tmp_path):
    shutil.rmtree(with_submodule / ".git" / "modules")
    snapshot = capture_code(with_submodule)
    assert not snapshot.is_exact
    assert snapshot.left_out[0].name == "lib"
    assert "not a git repository" in snapshot.left_out[0].reason


def test_a_submodule_in_a_submodule(with_submodule, tmp_path, check):
    deeper = new_repository(tmp_path / "work" / "deeper")
    write(deeper, "deep.py", b"1\n")
    commit_all(deeper)
    git(with_submodule / "lib", "submodule", "--quiet", "add", str(deeper), "deep")
    write(with_submodule / "lib" / "deep", "deep.py", b"2\n")
    check()
    assert (tmp_path / "scratch" / "restored" / "lib" / "deep" / "deep.py").read_bytes() == b"2\n"


def test_an_untracked_repository_is_captured_with_its_own_snapshot(repo, check, tmp_path):
    inner = new_repository(repo / "tools" / "inner")
    write(inner, "tool.py", b"1\n")
    head = commit_all(inner)
    write(inner, "tool.py", b"2\n")
    (nested,) = check().nested
    assert (nested.path, nested.snapshot.commit) == ("tools/inner", head)
    assert files(tmp_path / "scratch" / "restored" / "tools") == {b"inner/tool.py": ("file", b"2\n")}


def test_an_untracked_repository_without_a_commit_is_captured_too(repo, tmp_path):
    inner = new_repository(repo / "inner")
    write(inner, "tool.py", b"1\n")
    snapshot = capture_code(repo)
    restored = restore_code(snapshot, tmp_path / "restored")
    assert restored.not_restored == ()
    assert (tmp_path / "restored" / "inner" / "tool.py").read_bytes() == b"1\n"


def test_an_ignored_repository_is_only_named(repo, check):
    inner = new_repository(repo / "build")
    write(inner, "a", b"1\n")
    commit_all(inner)
    snapshot = check()
    assert snapshot.nested == ()
    assert snapshot.ignored == ("build/",)


def test_a_repository_inside_a_folder_without_git(tmp_path):
    inner = new_repository(tmp_path / "folder" / "inner")
    write(inner, "a", b"1\n")
    commit_all(inner)
    write(tmp_path / "folder", "b", b"2\n")
    snapshot = seen(tmp_path / "folder", tmp_path / "scratch").snapshot
    assert [nested.path for nested in snapshot.nested] == ["inner"]
