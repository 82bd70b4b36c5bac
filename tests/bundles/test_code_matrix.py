"""The git matrix: every kind of change is captured and restored to the byte, and no repository feels it.

Each test makes one kind, and `seen` does the rest: the whole folder, git's own files included, has the same bytes,
modes and times afterwards, and the tree is the one that plain git finds with its filters off.
"""

from __future__ import annotations

import os
import shutil

import pytest

from edgerun_bundles.provenance import capture_code, restore_code
from support.repositories import (
    commit_all,
    evidence,
    files,
    git,
    new_repository,
    project,
    seen,
    text,
    write,
)

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def check(repo, tmp_path):
    """Capture the repository, restore it, and give the snapshot."""
    return lambda: seen(repo, tmp_path / "scratch", untouched=tmp_path / "work").snapshot


# Changes of files.


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


# Where HEAD is.


def test_unpushed_commits_travel_along(repo, check):
    write(repo, "new.py", b"x = 1\n")
    commit_all(repo, "Add a module")
    write(repo, "new.py", b"x = 2\n")
    head = commit_all(repo, "Größer")
    write(repo, "new.py", b"x = 3\n")
    snapshot = check()
    assert snapshot.unpushed_count == 2
    assert snapshot.unpushed[0] == (head, "Größer", "2026-03-01T12:00:00+02:00")
    assert snapshot.prerequisites == (text(repo, "rev-parse", "origin/main"),)


def test_a_clean_tree_with_unpushed_commits_is_their_bundle(repo, check):
    write(repo, "new.py", b"x = 1\n")
    commit_all(repo)
    snapshot = check()
    assert not snapshot.is_dirty
    assert snapshot.bundle is not None


def test_the_bundle_is_one_that_git_takes_into_a_clone(repo, tmp_path):
    write(repo, "new.py", b"x = 1\n")
    head = commit_all(repo)
    write(repo, "README.md", b"changed\n")
    snapshot = capture_code(repo)
    git(tmp_path, "clone", "--quiet", str(tmp_path / "work" / "origin.git"), "clone")
    (tmp_path / "code.bundle").write_bytes(snapshot.bundle)
    git(tmp_path / "clone", "fetch", "--quiet", str(tmp_path / "code.bundle"), "refs/edgerun/snapshot")
    assert text(tmp_path / "clone", "rev-parse", "FETCH_HEAD^{tree}") == snapshot.tree
    assert text(tmp_path / "clone", "rev-parse", "FETCH_HEAD^") == head


def test_a_merge_of_unpushed_branches_stands_on_more_than_one_commit(repo, check):
    git(repo, "checkout", "--quiet", "-b", "side")
    write(repo, "side.py", b"1\n")
    commit_all(repo)
    git(repo, "push", "--quiet", "origin", "side")
    git(repo, "checkout", "--quiet", "main")
    write(repo, "main.py", b"2\n")
    commit_all(repo)
    git(repo, "push", "--quiet", "origin", "main")
    git(repo, "merge", "--quiet", "--no-edit", "side")
    write(repo, "README.md", b"changed\n")
    snapshot = check()
    assert len(snapshot.prerequisites) == 2
    assert snapshot.unpushed_count == 1


def test_a_detached_head(repo, check):
    git(repo, "checkout", "--quiet", "--detach")
    write(repo, "README.md", b"changed\n")
    snapshot = check()
    assert snapshot.branch is None
    assert snapshot.commit


def test_a_branch_with_slashes(repo, check):
    git(repo, "checkout", "--quiet", "-b", "ada/try/größer")
    assert check().branch == "ada/try/größer"


def test_no_remote_means_that_everything_is_in_the_bundle(tmp_path):
    repo = project(tmp_path / "repo")
    write(repo, "README.md", b"changed\n")
    snapshot = seen(repo, tmp_path / "scratch").snapshot
    assert snapshot.prerequisites == ()
    assert snapshot.remotes == ()
    assert snapshot.unpushed_count == 1


def test_no_commits_yet(tmp_path):
    repo = new_repository(tmp_path / "repo")
    write(repo, "staged.py", b"1\n")
    git(repo, "add", "staged.py")
    write(repo, "untracked.py", b"2\n")
    snapshot = seen(repo, tmp_path / "scratch").snapshot
    assert (snapshot.commit, snapshot.branch, snapshot.is_dirty) == (None, "main", True)


def test_nothing_at_all(tmp_path):
    seen(new_repository(tmp_path / "repo"), tmp_path / "scratch")


def test_no_git(tmp_path):
    folder = tmp_path / "folder"
    write(folder, "train.py", b"1\r\n")
    write(folder, "sub/run.sh", b"2\n", mode=0o755)
    (folder / "link").symlink_to("train.py")
    snapshot = seen(folder, tmp_path / "scratch").snapshot
    assert not snapshot.has_git
    assert (snapshot.commit, snapshot.branch, snapshot.remotes) == (None, None, ())
    assert snapshot.prerequisites == ()


def test_no_git_leaves_out_what_tools_make_again(tmp_path):
    write(tmp_path / "folder", "train.py", b"1\n")
    write(tmp_path / "folder", "__pycache__/train.pyc", b"2\n")
    write(tmp_path / "folder", ".venv/bin/python", b"3\n")
    snapshot = capture_code(tmp_path / "folder")
    assert snapshot.ignored == (".venv/", "__pycache__/")
    assert restore_code(snapshot, tmp_path / "restored").files == 1


def test_an_empty_folder_without_git(tmp_path):
    (tmp_path / "folder").mkdir()
    seen(tmp_path / "folder", tmp_path / "scratch")


@pytest.mark.parametrize("operation", ["merge", "rebase", "cherry-pick"])
def test_conflicts_of_an_operation_under_way_are_captured_as_on_disk(repo, check, operation):
    git(repo, "checkout", "--quiet", "-b", "side")
    write(repo, "README.md", b"side\n")
    (repo / "run.sh").unlink()
    commit_all(repo)
    git(repo, "checkout", "--quiet", "main")
    write(repo, "README.md", b"main\n")
    write(repo, "run.sh", b"changed\n", mode=0o755)
    commit_all(repo)
    git(repo, operation, "side", fails=True)
    assert b"UU README.md" in git(repo, "status", "--porcelain")
    snapshot = check()
    assert snapshot.operation == operation
    assert snapshot.is_dirty


# Where git keeps its files.


def test_a_worktree(repo, tmp_path):
    added = tmp_path / "work" / "added"
    git(repo, "worktree", "add", "--quiet", "-b", "side", str(added))
    write(added, "README.md", b"changed in the worktree\n")
    write(repo, "README.md", b"changed in the main one\n")
    snapshot = seen(added, tmp_path / "scratch", untouched=tmp_path / "work").snapshot
    assert snapshot.branch == "side"


def test_a_worktree_of_a_bare_repository(repo, tmp_path):
    added = tmp_path / "work" / "added"
    git(tmp_path / "work" / "origin.git", "worktree", "add", "--quiet", str(added), "main")
    write(added, "README.md", b"changed\n")
    seen(added, tmp_path / "scratch", untouched=tmp_path / "work")


def test_a_git_folder_somewhere_else(tmp_path):
    folder = tmp_path / "repo"
    new_repository(folder, f"--separate-git-dir={tmp_path / 'elsewhere'}")
    write(folder, "a.py", b"1\n")
    commit_all(folder)
    write(folder, "a.py", b"2\n")
    write(folder, "b.py", b"3\n")
    before = evidence(tmp_path)
    snapshot = capture_code(folder)
    assert evidence(tmp_path) == before
    restore_code(snapshot, tmp_path / "restored")
    assert files(tmp_path / "restored") == {b"a.py": ("file", b"2\n"), b"b.py": ("file", b"3\n")}


def test_objects_that_are_borrowed_from_another_clone(repo, tmp_path):
    git(tmp_path / "work", "clone", "--quiet", "--shared", str(repo), "first")
    git(tmp_path / "work", "clone", "--quiet", "--shared", "first", "second")
    second = tmp_path / "work" / "second"
    write(second, "README.md", b"changed\n")
    seen(second, tmp_path / "scratch", untouched=tmp_path / "work")


def test_a_shallow_clone(repo, tmp_path):
    write(repo, "new.py", b"1\n")
    commit_all(repo)
    git(repo, "push", "--quiet")
    shallow = tmp_path / "work" / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path}/work/origin.git", str(shallow))
    write(shallow, "README.md", b"changed\n")
    commit_all(shallow)
    write(shallow, "train.py", b"changed\n")
    snapshot = seen(shallow, tmp_path / "scratch", untouched=tmp_path / "work").snapshot
    assert snapshot.unpushed_count == 1
    assert len(snapshot.bundle) < 2000


def test_a_shallow_clone_without_a_remote_keeps_its_tree_but_no_history(repo, tmp_path):
    write(repo, "new.py", b"1\n")
    commit_all(repo)
    git(repo, "push", "--quiet")
    shallow = tmp_path / "work" / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path}/work/origin.git", str(shallow))
    git(shallow, "remote", "remove", "origin")
    write(shallow, "train.py", b"changed\n")
    snapshot = seen(shallow, tmp_path / "scratch", untouched=tmp_path / "work").snapshot
    assert "shallow" in snapshot.history_left_out
    assert snapshot.prerequisites == ()


@pytest.mark.parametrize("what", ["blob:none", "tree:0"])
def test_a_partial_clone_fetches_nothing(repo, tmp_path, what):
    write(repo, "train.py", b"changed\n")
    commit_all(repo)
    git(repo, "push", "--quiet")
    git(tmp_path / "work" / "origin.git", "config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "work" / "partial"
    git(tmp_path, "clone", "--quiet", f"--filter={what}", f"file://{tmp_path}/work/origin.git", str(partial))
    write(partial, "README.md", b"changed\n")
    seen(partial, tmp_path / "scratch", untouched=tmp_path / "work")


def test_hashes_of_256_bits(tmp_path):
    repo = new_repository(tmp_path / "work" / "repo", "--object-format=sha256")
    write(repo, "a.py", b"1\n")
    commit_all(repo)
    git(repo, "init", "--quiet", "--bare", "--object-format=sha256", str(tmp_path / "work" / "origin.git"))
    git(repo, "remote", "add", "origin", str(tmp_path / "work" / "origin.git"))
    git(repo, "push", "--quiet", "origin", "main")
    write(repo, "b.py", b"2\n")
    snapshot = seen(repo, tmp_path / "scratch", untouched=tmp_path / "work").snapshot
    assert len(snapshot.tree) == 64


def test_a_subfolder_stands_for_its_whole_repository(repo, tmp_path):
    write(repo, "README.md", b"changed\n")
    snapshot = seen(repo, tmp_path / "scratch", untouched=tmp_path / "work", captured=repo / "data").snapshot
    assert snapshot.subfolder == "data"


def test_a_repository_in_a_folder_with_a_strange_name(tmp_path):
    folder = tmp_path / 'a:b "c"\nd \\e'
    project(folder)
    write(folder, "README.md", b"changed\n")
    seen(folder, tmp_path / "scratch")


# Repositories inside repositories.


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
