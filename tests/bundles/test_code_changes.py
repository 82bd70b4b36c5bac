"""The git matrix, files: every kind of change is captured and restored to the byte.

Each test makes one kind, and `seen` does the rest: the whole folder, git's own files included, has the same bytes,
modes and times afterwards, and the tree is the one that plain git finds with its filters off.
"""

from __future__ import annotations

import os
import shutil

import pytest

from edgerun_bundles.provenance import capture_code
from support.repositories import (
    git,
    text,
    write,
)

pytestmark = pytest.mark.usefixtures("home")


def test_a_clean_pushed_tree_needs_no_bundle(repo, check):
    snapshot = check()
    assert snapshot.bundle is None
    assert snapshot.prerequisites == (snapshot.commit,) == (text(repo, "rev-parse", "HEAD"),)
    assert not snapshot.is_dirty
    assert snapshot.is_exact


def test_an_unstaged_change(repo, check):
    write(repo, "README.md", b"# Digits, changed\n")
    snapshot = check()
    assert snapshot.is_dirty
    assert snapshot.unpushed == ()
    assert len(snapshot.bundle) < 1000


def test_a_staged_change(repo, check):
    write(repo, "README.md", b"# Digits, staged\n")
    git(repo, "add", "README.md")
    assert check().staged_apart == ()


def test_a_file_changed_again_after_it_was_staged_is_as_on_disk_and_the_staged_one_is_named(repo, check):
    write(repo, "README.md", b"staged\n")
    git(repo, "add", "README.md")
    write(repo, "README.md", b"on disk\n")
    assert check().staged_apart == ("README.md",)


def test_an_untracked_file_and_an_empty_one(repo, check):
    write(repo, "new/deep/module.py", b"x = 1\n")
    write(repo, "new/__init__.py")
    check()


def test_a_binary_change(repo, check):
    write(repo, "data/image.bin", os.urandom(5000))
    check()


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o744])
def test_a_file_that_became_a_program(repo, check, mode):
    (repo / "train.py").chmod(mode)
    assert check().is_dirty


def test_a_program_that_became_a_plain_file(repo, check):
    (repo / "run.sh").chmod(0o644)
    assert check().is_dirty


def test_symbolic_links_that_are_new_changed_dangling_or_lead_to_folders(repo, check):
    (repo / "latest").unlink()
    (repo / "latest").symlink_to("README.md")
    (repo / "dangling").symlink_to("../nowhere/at all")
    (repo / "folder").symlink_to("data")
    check()


def test_a_file_that_became_a_link_and_a_link_that_became_a_file(repo, check):
    (repo / "README.md").unlink()
    (repo / "README.md").symlink_to("train.py")
    (repo / "latest").unlink()
    write(repo, "latest", b"a file now\n")
    check()


def test_a_folder_that_became_a_link_to_one_with_the_same_names(repo, check):
    (repo / "data").rename(repo / "moved")
    (repo / "data").symlink_to("moved")
    check()


def test_a_file_that_became_a_folder_and_a_folder_that_became_a_file(repo, check):
    (repo / "README.md").unlink()
    write(repo, "README.md/inside", b"1")
    shutil.rmtree(repo / "data")
    write(repo, "data", b"a file now\n")
    check()


def test_deletions_staged_or_not(repo, check):
    (repo / "README.md").unlink()
    git(repo, "rm", "--quiet", "train.py")
    git(repo, "rm", "--quiet", "--cached", "run.sh")
    check()


def test_a_new_file_that_was_staged_and_then_deleted_is_named(repo, check):
    write(repo, "new.py", b"x = 1\n")
    git(repo, "add", "new.py")
    (repo / "new.py").unlink()
    assert check().staged_apart == ("new.py",)


def test_renames(repo, check):
    git(repo, "mv", "train.py", "fit.py")
    (repo / "README.md").rename(repo / "LIESMICH.md")
    check()


def test_everything_deleted(repo, check):
    for path in [each for each in repo.iterdir() if each.name != ".git"]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    check()


def test_names_with_spaces_newlines_quotes_and_bytes_that_are_no_text(repo, check):
    for name in (
        b"a b",
        b"new\nline",
        b'quo"te',
        b"back\\slash",
        b"tab\there",
        b"\xff\xfe",
        "naïve 日".encode(),
        b"-n",
    ):
        write(repo, name, b"content of " + name)
        write(repo, b"folder " + name + b"/inside", name)
    write(repo, b":(glob)*", b"looks like a pathspec")
    check()


def test_an_intent_to_add(repo, check):
    write(repo, "later.py", b"x = 2\n")
    git(repo, "add", "--intent-to-add", "later.py")
    snapshot = check()
    assert snapshot.is_dirty
    assert snapshot.staged_apart == ()


def test_ignored_files_are_only_named(repo, check):
    write(repo, "run.log", b"a")
    write(repo, "build/out.o", b"b")
    write(repo, "README.md", b"changed")
    snapshot = check()
    assert snapshot.ignored == ("build/", "run.log")
    assert snapshot.is_exact


def test_a_tracked_file_that_is_ignored_too_is_captured(repo, check):
    write(repo, "kept.log", b"1")
    git(repo, "add", "--force", "kept.log")
    write(repo, "kept.log", b"2")
    assert check().ignored == ()


def test_what_the_repository_and_the_user_exclude_is_ignored(repo, tmp_path, tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("settings")
    write(home, ".gitconfig", b"[core]\n\texcludesFile = ~/mine\n")
    write(home, "mine", b"*.swp\n")
    write(repo, ".git/info/exclude", b"scratch/\n")
    write(repo, "a.swp", b"1")
    write(repo, "scratch/b", b"2")
    monkeypatch.setenv("HOME", str(home))
    assert capture_code(repo).ignored == ("a.swp", "scratch/")


def test_an_excludes_file_in_its_usual_place_counts(repo, tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("settings")
    write(home, "git/ignore", b"*.swp\n")
    write(repo, "a.swp", b"1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    assert capture_code(repo).ignored == ("a.swp",)
