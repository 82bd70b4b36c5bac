"""What a snapshot weighs beside a patch, and what patches lose: they are what other trackers keep of a dirty tree."""

from __future__ import annotations

import pytest

from edgerun_bundles.provenance import capture_code, restore_code
from support.repositories import commit_all, files, git, text, write

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def changed(repo):
    """A repository with a change of every kind."""
    source = (repo / "train.py").read_bytes()
    write(repo, "train.py", source.replace(b"step_7 = 49\n", b"step_7 = 50\r\n"))
    write(repo, "data/image.bin", (repo / "data" / "image.bin").read_bytes() + b"\0\1\2")
    write(repo, "fresh.py", b"x = 1\n")
    (repo / "run.sh").chmod(0o644)
    (repo / "latest").unlink()
    (repo / "latest").symlink_to("README.md")
    git(repo, "mv", "README.md", "LIESMICH.md")
    return repo


def test_a_changed_line_takes_some_hundred_bytes(repo):
    source = (repo / "train.py").read_bytes()
    write(repo, "train.py", source.replace(b"step_7 = 49\n", b"step_7 = 50\n"))
    assert len(capture_code(repo).bundle) < 600


def test_a_change_of_every_kind_takes_about_a_kilobyte_as_a_whole_patch_does(changed):
    snapshot = capture_code(changed)
    git(changed, "add", "--all")
    patch = git(changed, "diff", "--binary", "--cached", "HEAD")
    assert len(snapshot.bundle) < 1000
    assert len(snapshot.bundle) < len(patch)


def test_the_patch_that_trackers_keep_cannot_be_applied_and_the_snapshot_is_whole(changed, origin, tmp_path):
    snapshot = capture_code(changed)
    patch = git(changed, "diff", "HEAD")  # as trackers take it: no binary content, and nothing untracked
    git(tmp_path, "clone", "--quiet", str(origin), "clone")
    git(tmp_path / "clone", "apply", stdin=patch, fails=True)
    assert b"fresh.py" not in patch
    restore_code(snapshot, tmp_path / "restored")
    assert {name: found for name, found in files(changed).items() if not name.startswith(b".git/")} == files(
        tmp_path / "restored"
    )


def test_a_small_change_stays_small_in_a_long_history(repo):
    for number in range(30):
        write(repo, f"module{number}.py", b"%d\n" % number * 500)
        commit_all(repo)
    git(repo, "push", "--quiet")
    write(repo, "module3.py", b"3\n" * 501)
    snapshot = capture_code(repo)
    assert snapshot.prerequisites == (text(repo, "rev-parse", "HEAD"),)
    assert len(snapshot.bundle) < 600
