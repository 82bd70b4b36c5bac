"""The limits of a code snapshot, each at the limit and one past it, and what is left out first."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance import capture_code, restore_code
from support.repositories import commit_all, files, git, new_repository, text, write


@pytest.mark.parametrize("limit", Limits._fields)
def test_every_limit_is_tested(limit):
    tests = [path.read_text("utf-8") for path in Path(__file__).parents[1].rglob("test_*.py")]
    assert any(re.search(rf"\b{limit}\b", source) for source in tests)


def left_out(snapshot):
    return {each.name: each.reason for each in snapshot.left_out}


def test_a_file_of_code_file_max_bytes_is_captured_and_a_larger_one_is_named(repo, tmp_path):
    limits = LIMITS._replace(code_file_max_bytes=1000)
    write(repo, "fits.bin", bytes(1000))
    write(repo, "large.bin", bytes(1001))
    snapshot = capture_code(repo, limits=limits)
    assert left_out(snapshot) == {"large.bin": "1,001 bytes, and code_file_max_bytes is 1,000"}
    assert not snapshot.is_exact
    restore_code(snapshot, tmp_path / "restored")
    assert (tmp_path / "restored" / "fits.bin").exists()
    assert not (tmp_path / "restored" / "large.bin").exists()


def test_a_large_file_that_is_pushed_and_unchanged_is_no_burden(repo):
    write(repo, "large.bin", os.urandom(5000))
    commit_all(repo)
    git(repo, "push", "--quiet")
    snapshot = capture_code(repo, limits=LIMITS._replace(code_file_max_bytes=1000))
    assert (snapshot.bundle, snapshot.is_dirty, snapshot.is_exact) == (None, False, True)


@pytest.mark.parametrize("size", [5000, 6000])
def test_a_large_file_that_changed_stays_as_pushed(repo, tmp_path, size):
    before = os.urandom(5000)
    write(repo, "large.bin", before)
    commit_all(repo)
    git(repo, "push", "--quiet")
    write(repo, "large.bin", os.urandom(size))
    snapshot = capture_code(repo, limits=LIMITS._replace(code_file_max_bytes=1000))
    assert left_out(snapshot).keys() == {"large.bin"}
    assert snapshot.is_dirty
    restore_code(snapshot, tmp_path / "restored")
    assert (tmp_path / "restored" / "large.bin").read_bytes() == before


def test_files_are_captured_up_to_code_max_bytes_the_small_ones_first(repo, tmp_path):
    write(repo, "small.bin", bytes(10))
    write(repo, "middle.bin", bytes(1990))
    write(repo, "large.bin", bytes(2000))
    assert capture_code(repo, limits=LIMITS._replace(code_max_bytes=4000)).is_exact
    snapshot = capture_code(repo, limits=LIMITS._replace(code_max_bytes=3999))
    assert left_out(snapshot) == {"large.bin": "2,000 bytes, and code_max_bytes (3,999) is used up"}
    snapshot = capture_code(repo, limits=LIMITS._replace(code_max_bytes=1999))
    assert left_out(snapshot).keys() == {"large.bin", "middle.bin"}


def test_a_bundle_of_code_max_bytes_is_kept_and_with_one_byte_less_its_history_goes(repo, tmp_path):
    write(repo, "new.bin", os.urandom(4000))
    commit_all(repo, "Add noise")
    write(repo, "new.bin", os.urandom(4000))
    commit_all(repo, "Add other noise")
    whole = capture_code(repo)
    size = len(whole.bundle)
    assert capture_code(repo, limits=LIMITS._replace(code_max_bytes=size)) == whole
    snapshot = capture_code(repo, limits=LIMITS._replace(code_max_bytes=size - 1))
    assert snapshot.history_left_out.startswith("with it the bundle would be larger than code_max_bytes")
    assert snapshot.tree == whole.tree
    assert snapshot.is_exact
    assert len(snapshot.bundle) < 5000
    restored = restore_code(snapshot, tmp_path / "restored")
    assert any("Add" not in sentence and "2 unpushed commits" in sentence for sentence in restored.not_restored)


def test_content_that_fits_but_whose_bundle_does_not_gives_way(repo):
    for number in range(20):
        write(repo, f"{number}.bin", os.urandom(200))
    snapshot = capture_code(repo, limits=LIMITS._replace(code_max_bytes=4000))
    assert 0 < snapshot.left_out_count < 20
    assert len(snapshot.bundle) <= 4000


def test_where_not_even_the_names_fit_that_is_said(home, tmp_path):
    for number in range(100):
        write(tmp_path / "folder", f"{number:0100}.py", b"%d" % number)
    with pytest.raises(ProvenanceError, match=r"more than code_max_bytes \(1,100\)"):
        capture_code(tmp_path / "folder", limits=LIMITS._replace(code_max_bytes=1100))


def test_a_history_without_a_remote_that_is_too_large_is_left_out_and_the_files_are_kept(repo, tmp_path):
    git(repo, "remote", "remove", "origin")
    for _ in range(3):
        write(repo, "new.bin", os.urandom(5000))
        commit_all(repo)
    snapshot = capture_code(repo, limits=LIMITS._replace(code_max_bytes=14_000))
    assert snapshot.history_left_out
    assert snapshot.prerequisites == ()
    assert snapshot.tree == text(repo, "rev-parse", "HEAD^{tree}")
    restore_code(snapshot, tmp_path / "restored")
    assert files(tmp_path / "restored") == {
        name: found for name, found in files(repo).items() if not name.startswith(b".git/")
    }


def test_code_commits_max_commits_travel_and_of_more_only_the_tree(repo):
    for number in range(3):
        write(repo, "new.py", b"%d\n" % number)
        commit_all(repo)
    assert capture_code(repo, limits=LIMITS._replace(code_commits_max=3)).history_left_out == ""
    snapshot = capture_code(repo, limits=LIMITS._replace(code_commits_max=2))
    assert snapshot.history_left_out == "there are 3 unpushed commits, and code_commits_max is 2"
    assert snapshot.tree == text(repo, "rev-parse", "HEAD^{tree}")


def test_the_lists_hold_names_max_names_and_the_number_of_all(repo):
    for number in range(3):
        write(repo, f"{number}.log")
        write(repo, f"{number}.key")
        write(repo, f"{number}.py", b"1")
        git(repo, "add", f"{number}.py")
        write(repo, f"{number}.py", b"2")
        git(repo, "commit", "--quiet", "--allow-empty", "--message", "Nothing")
        git(repo, "reset", "--quiet", "--soft", "HEAD")
    for names_max, shown in ((3, 3), (2, 2)):
        snapshot = capture_code(repo, limits=LIMITS._replace(names_max=names_max))
        assert (len(snapshot.ignored), snapshot.ignored_count) == (shown, 3)
        assert (len(snapshot.left_out), snapshot.left_out_count) == (shown, 3)
        assert (len(snapshot.unpushed), snapshot.unpushed_count) == (shown, 3)


def test_the_list_of_staged_files_holds_names_max_names_too(repo):
    for number in range(3):
        write(repo, f"{number}.py", b"staged")
        git(repo, "add", f"{number}.py")
        write(repo, f"{number}.py", b"on disk")
    snapshot = capture_code(repo, limits=LIMITS._replace(names_max=2))
    assert (len(snapshot.staged_apart), snapshot.staged_apart_count) == (2, 3)


def test_nested_max_repositories_are_captured_and_further_ones_are_named(repo):
    for number in range(3):
        write(new_repository(repo / f"inner{number}"), "a.py", b"1\n")
    assert len(capture_code(repo, limits=LIMITS._replace(nested_max=3)).nested) == 3
    snapshot = capture_code(repo, limits=LIMITS._replace(nested_max=2))
    assert [nested.path for nested in snapshot.nested] == ["inner0", "inner1"]
    assert left_out(snapshot) == {"inner2": "a repository, and nested_max (2) others are captured"}


def test_repositories_are_captured_nested_depth_max_deep_and_deeper_ones_are_named(repo):
    write(new_repository(repo / "a"), "a.py", b"1\n")
    write(new_repository(repo / "a" / "b"), "b.py", b"1\n")
    assert capture_code(repo, limits=LIMITS._replace(nested_depth_max=2)).is_exact
    snapshot = capture_code(repo, limits=LIMITS._replace(nested_depth_max=1))
    assert not snapshot.is_exact
    assert left_out(snapshot.nested[0].snapshot) == {"b": "a repository deeper inside others than nested_depth_max"}


def test_nested_repositories_share_the_room_with_the_outer_one(repo):
    inner = new_repository(repo / "inner")
    write(inner, "a.bin", os.urandom(3000))
    write(repo, "b.bin", os.urandom(3000))
    assert capture_code(repo, limits=LIMITS._replace(code_max_bytes=8000)).is_exact
    snapshot = capture_code(repo, limits=LIMITS._replace(code_max_bytes=5000))
    assert left_out(snapshot).keys() == {"b.bin"}
    assert snapshot.bundle_bytes <= 5000


def test_a_list_of_listing_max_bytes_is_read_and_a_longer_one_is_refused(repo, tmp_path):
    snapshot = capture_code(repo)
    length = len(git(repo, "ls-tree", "-r", "-z", "HEAD"))
    restore_code(snapshot, tmp_path / "fits", limits=LIMITS._replace(listing_max_bytes=length))
    with pytest.raises(ProvenanceError, match=f"more than {length - 1:,} bytes"):
        restore_code(snapshot, tmp_path / "not", limits=LIMITS._replace(listing_max_bytes=length - 1))
