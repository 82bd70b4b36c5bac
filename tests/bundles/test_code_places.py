"""The git matrix, repositories: wherever HEAD is and wherever git keeps its files.

Each test makes one kind, and `seen` does the rest: the whole folder, git's own files included, has the same bytes,
modes and times afterwards, and the tree is the one that plain git finds with its filters off.
"""

from __future__ import annotations

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
