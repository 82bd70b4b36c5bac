"""Restoring code: where the missing commits come from, what is refused, and what is said to be missing."""

from __future__ import annotations

import os
import shutil

import pytest

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import RestoredCode, capture_code, restore_code
from support.repositories import commit_all, files, git, new_repository, text, write


@pytest.fixture
def changed(repo):
    """A repository with one change that no commit has."""
    write(repo, "README.md", b"changed\n")
    return repo


def test_the_result_names_the_folder_the_tree_and_the_number_of_files(changed, tmp_path):
    snapshot = capture_code(changed)
    assert restore_code(snapshot, tmp_path / "a" / "b") == RestoredCode(
        folder=str(tmp_path / "a" / "b"), tree=snapshot.tree, files=7, not_restored=()
    )


def test_an_empty_folder_is_filled(changed, tmp_path):
    (tmp_path / "empty").mkdir()
    restore_code(capture_code(changed), tmp_path / "empty")
    assert (tmp_path / "empty" / "README.md").read_bytes() == b"changed\n"


def test_a_relative_destination_is_in_the_working_folder(changed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    restore_code(capture_code(changed), "here")
    assert (tmp_path / "here" / "README.md").exists()


def test_a_folder_in_use_a_file_and_a_link_are_refused(changed, tmp_path):
    snapshot = capture_code(changed)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "dangling").symlink_to("nowhere")
    write(tmp_path, "used/file")
    write(tmp_path, "plain")
    before = files(tmp_path)
    for name in ("used", "plain", "link", "dangling"):
        with pytest.raises(ProvenanceError, match="in use; code is restored into a new folder"):
            restore_code(snapshot, tmp_path / name)
    assert files(tmp_path) == before


def test_files_take_the_umask_as_any_new_file_does(changed, tmp_path):
    (changed / "run.sh").chmod(0o777)
    snapshot = capture_code(changed)
    before = os.umask(0o077)
    try:
        restore_code(snapshot, tmp_path / "restored")
    finally:
        os.umask(before)
    modes = {name: (tmp_path / "restored" / name).stat().st_mode & 0o777 for name in ("run.sh", "README.md", ".")}
    assert modes == {"run.sh": 0o700, "README.md": 0o600, ".": 0o700}


def test_a_bundle_that_suffices_asks_no_remote(changed, origin, tmp_path):
    git(changed, "remote", "remove", "origin")
    snapshot = capture_code(changed)
    shutil.rmtree(origin)
    assert restore_code(snapshot, tmp_path / "restored", remote="/nowhere").files == 7


def test_a_clone_serves_in_place_of_the_remote(changed, origin, tmp_path, monkeypatch):
    snapshot = capture_code(changed)
    git(tmp_path, "clone", "--quiet", str(origin), "clone")
    origin.rename(tmp_path / "gone")
    restore_code(snapshot, tmp_path / "first", remote=tmp_path / "clone")
    monkeypatch.chdir(tmp_path)
    restore_code(snapshot, tmp_path / "second", remote="clone")
    assert files(tmp_path / "first") == files(tmp_path / "second")


def test_a_file_address_serves_too(changed, origin, tmp_path):
    restore_code(capture_code(changed), tmp_path / "restored", remote=origin.as_uri())


def test_the_remotes_are_asked_in_turn(changed, origin, tmp_path):
    git(changed, "remote", "add", "mirror", str(tmp_path / "mirror.git"))
    snapshot = capture_code(changed)
    origin.rename(tmp_path / "mirror.git")
    restore_code(snapshot, tmp_path / "restored")


def test_a_commit_that_is_no_longer_at_the_tip_is_found(changed, origin, tmp_path):
    snapshot = capture_code(changed)
    commit_all(changed)
    git(changed, "push", "--quiet")
    restore_code(snapshot, tmp_path / "restored")


def test_a_server_that_gives_only_tips_is_asked_for_all_of_them(changed, home, tmp_path):
    snapshot = capture_code(changed)
    commit_all(changed)
    git(changed, "push", "--quiet")
    write(home, ".gitconfig", b"[protocol]\n\tversion = 0\n")
    restore_code(snapshot, tmp_path / "restored")


def test_the_short_forms_of_the_users_settings_are_understood(changed, origin, home, tmp_path):
    write(home, ".gitconfig", f'[url "{origin.parent}/"]\n\tinsteadOf = "work:"\n'.encode())
    restore_code(capture_code(changed), tmp_path / "restored", remote="work:origin.git")


def test_a_remote_that_is_gone_is_named_with_gits_reason(changed, origin, tmp_path):
    snapshot = capture_code(changed)
    origin.rename(tmp_path / "gone")
    with pytest.raises(
        ProvenanceError, match=rf"stands on {snapshot.commit}.*could not be had from .*origin.git \(.+\)"
    ):
        restore_code(snapshot, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
    assert [*tmp_path.glob(".edgerun*")] == []


def test_a_remote_that_never_had_the_commit_is_named(changed, tmp_path):
    other = new_repository(tmp_path / "other")
    commit_all(other)
    with pytest.raises(ProvenanceError, match=r"could not be had from .*other"):
        restore_code(capture_code(changed), tmp_path / "restored", remote=other)


def test_without_any_remote_to_ask_one_is_asked_for(changed, tmp_path):
    snapshot = capture_code(changed)._replace(remotes=())
    with pytest.raises(ProvenanceError, match="no remote is known: name one, or a clone"):
        restore_code(snapshot, tmp_path / "restored")


def test_a_submodule_that_cannot_be_had_is_named_and_its_folder_is_empty(repo, tmp_path):
    library = new_repository(tmp_path / "library")
    write(library, "library.py", b"1\n")
    commit_all(library)
    git(repo, "submodule", "--quiet", "add", str(library), "lib")
    write(repo, "README.md", b"changed\n")
    snapshot = capture_code(repo)
    shutil.rmtree(library)
    restored = restore_code(snapshot, tmp_path / "restored")
    (sentence,) = restored.not_restored
    assert sentence.startswith("lib: this repository is not restored: the code stands on ")
    assert [*(tmp_path / "restored" / "lib").iterdir()] == []
    assert (tmp_path / "restored" / "README.md").read_bytes() == b"changed\n"


def test_everything_that_was_not_captured_is_said_in_a_sentence(repo, tmp_path):
    write(repo, ".env", b"x")
    write(repo, "a.log", b"x")
    write(repo, "README.md", b"staged")
    git(repo, "add", "README.md")
    write(repo, "README.md", b"on disk")
    inner = new_repository(repo / "inner")
    write(inner, "server.key", b"x")
    restored = restore_code(capture_code(repo), tmp_path / "restored")
    assert restored.not_restored == (
        ".env was left out: its name says that it is secret",
        "what git ignores was not captured: a.log",
        "README.md was staged with another content than it had on disk; only what was on disk is here",
        "inner: server.key was left out: its name says that it is secret",
    )


def test_long_lists_are_cut_with_the_number_of_the_rest(repo, tmp_path):
    for number in range(25):
        write(repo, f"{number:02}.log", b"x")
    write(repo, "README.md", b"changed")
    (sentence,) = restore_code(capture_code(repo), tmp_path / "restored").not_restored
    assert sentence.endswith("18.log, 19.log, and 5 more")


def test_two_captures_of_the_same_files_are_the_same_bytes(changed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(changed, copy, symlinks=True)
    assert capture_code(copy) == capture_code(changed)


def test_no_hook_and_no_filter_of_the_user_runs(changed, home, tmp_path):
    witness = tmp_path / "ran"
    for hook in ("reference-transaction", "post-checkout", "post-index-change", "pre-auto-gc"):
        write(home, f"hooks/{hook}", f"#!/bin/sh\ntouch {witness}\n".encode(), mode=0o755)
    write(
        home,
        ".gitconfig",
        f"[core]\n\thooksPath = {home}/hooks\n\tautocrlf = true\n\tattributesFile = {home}/attributes\n"
        f'[filter "x"]\n\tsmudge = touch {witness}; cat\n\tclean = touch {witness}; cat\n'.encode(),
    )
    write(home, "attributes", b"* filter=x\n")
    write(changed, "lines.txt", b"a\nb\r\n")
    restore_code(capture_code(changed), tmp_path / "restored")
    assert not witness.exists()
    assert (tmp_path / "restored" / "lines.txt").read_bytes() == b"a\nb\r\n"


def test_what_git_would_compare_is_what_came_back(changed, origin, tmp_path):
    snapshot = capture_code(changed)
    restore_code(snapshot, tmp_path / "restored")
    git(tmp_path, "init", "--quiet", "restored")
    git(tmp_path / "restored", "add", "--all", "--force")
    assert text(tmp_path / "restored", "write-tree") == snapshot.tree
