"""Secrets never travel: not as files, not inside commits, not in the address of a remote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_bundles.provenance import SECRET_NAMES, LeftOut, capture_code, restore_code
from edgerun_bundles.provenance.plan import SECRET
from edgerun_bundles.provenance.remote_urls import absolute, without_credentials
from edgerun_bundles.provenance.secret_names import secret_matcher
from support.repositories import commit_all, files, git, new_repository, text, write

PASSWORD = b"hunter2-and-a-long-tail"


def carried(snapshot, folder):
    """Every byte that a snapshot brings, unpacked."""
    git(folder, "init", "--quiet", "--bare", "unpacked.git")
    there = folder / "unpacked.git"
    for prerequisite in snapshot.prerequisites:
        git(there, "fetch", "--quiet", snapshot.remotes[0].url, prerequisite)
    known = {*git(there, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()}
    (folder / "code.bundle").write_bytes(snapshot.bundle)
    git(there, "fetch", "--quiet", str(folder / "code.bundle"), "refs/edgerun/snapshot")
    names = {*git(there, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()} - known
    return b"".join(git(there, "cat-file", "--batch", stdin=name) for name in names)


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.production",
        "prod.env",
        "deep/down/.ENV",
        "server.pem",
        "server.key",
        "id_rsa",
        "id_rsa.old",
        "id_ed25519",
        "store.p12",
        ".netrc",
        "credentials.json",
        "aws-credentials.json",
        ".aws/config",
        ".ssh/config",
        "secrets.yaml",
        ".git-credentials",
        "service-account-1.json",
    ],
)
def test_these_names_are_secret(name):
    assert secret_matcher()(name.encode())


@pytest.mark.parametrize(
    "name", ["environment.py", "train.py", "keys.py", "keyboard.txt", "env/bin", "pem.md", "a.lock"]
)
def test_these_names_are_not(name):
    assert not secret_matcher()(name.encode())


def test_a_name_that_is_no_text_can_be_secret_too():
    assert secret_matcher()(b"\xff\xfe/\xff.pem")


def test_the_documented_patterns_are_in_force():
    assert all(secret_matcher()(pattern.replace("*", "x").encode()) for pattern in SECRET_NAMES)


def test_an_untracked_secret_is_named_and_not_carried(repo, tmp_path):
    write(repo, "conf/.env", PASSWORD)
    write(repo, "README.md", b"changed")
    snapshot = capture_code(repo)
    assert snapshot.left_out == (LeftOut("conf/.env", SECRET),)
    assert not snapshot.is_exact
    assert snapshot.is_dirty
    assert PASSWORD not in carried(snapshot, tmp_path)
    restored = restore_code(snapshot, tmp_path / "restored")
    assert restored.not_restored == (f"conf/.env was left out: {SECRET}",)
    assert not (tmp_path / "restored" / "conf").exists()


def test_an_untracked_secret_alone_needs_no_bundle(repo):
    write(repo, ".env", PASSWORD)
    assert capture_code(repo).bundle is None


def test_a_staged_secret_is_not_carried(repo, tmp_path):
    write(repo, ".env", PASSWORD)
    write(repo, "README.md", b"changed")
    git(repo, "add", "--all")
    snapshot = capture_code(repo)
    assert snapshot.left_out_count == 1
    assert PASSWORD not in carried(snapshot, tmp_path)


def test_a_link_with_a_secret_name_is_not_carried(repo):
    (repo / "id_rsa").symlink_to("/home/ada/.ssh/id_rsa")
    assert capture_code(repo).left_out == (LeftOut("id_rsa", SECRET),)


def test_further_names_can_be_secret(repo):
    write(repo, "api.token", PASSWORD)
    assert capture_code(repo).is_exact
    assert capture_code(repo, secrets=["*.TOKEN"]).left_out == (LeftOut("api.token", SECRET),)


def test_a_changed_secret_that_is_pushed_stays_as_pushed(repo, tmp_path):
    write(repo, "test.pem", b"a public example\n")
    commit_all(repo)
    git(repo, "push", "--quiet")
    write(repo, "test.pem", PASSWORD)
    write(repo, "README.md", b"changed")
    snapshot = capture_code(repo)
    assert snapshot.left_out == (LeftOut("test.pem", SECRET),)
    assert PASSWORD not in carried(snapshot, tmp_path)
    restore_code(snapshot, tmp_path / "restored")
    assert (tmp_path / "restored" / "test.pem").read_bytes() == b"a public example\n"


def test_an_unchanged_secret_that_is_pushed_is_no_secret(repo):
    write(repo, "test.pem", b"a public example\n")
    commit_all(repo)
    git(repo, "push", "--quiet")
    assert capture_code(repo).is_exact


def test_a_deleted_secret_is_deleted(repo, tmp_path):
    write(repo, "test.pem", b"a public example\n")
    commit_all(repo)
    git(repo, "push", "--quiet")
    (repo / "test.pem").unlink()
    snapshot = capture_code(repo)
    assert snapshot.is_exact
    restore_code(snapshot, tmp_path / "restored")
    assert not (tmp_path / "restored" / "test.pem").exists()


def test_an_unpushed_commit_that_holds_a_secret_stays_at_home(repo, tmp_path):
    write(repo, "sub/.env", PASSWORD)
    write(repo, "new.py", b"x = 1\n")
    commit_all(repo, "Add too much")
    snapshot = capture_code(repo)
    assert PASSWORD not in carried(snapshot, tmp_path)
    assert "sub/.env" in snapshot.history_left_out
    assert snapshot.left_out == (LeftOut("sub/.env", SECRET),)
    assert [commit.subject for commit in snapshot.unpushed] == ["Add too much"]
    restored = restore_code(snapshot, tmp_path / "restored")
    assert any("1 unpushed commits are only named" in sentence for sentence in restored.not_restored)
    assert (tmp_path / "restored" / "new.py").read_bytes() == b"x = 1\n"


@pytest.mark.parametrize("name", [b".env", b"odd\nname.pem", b"tab\t.key"])
def test_a_secret_that_was_committed_and_removed_again_stays_at_home_too(repo, tmp_path, name):
    write(repo, name, PASSWORD)
    commit_all(repo)
    (repo / name.decode()).unlink()
    write(repo, "new.py", b"x = 1\n")
    commit_all(repo)
    snapshot = capture_code(repo)
    assert PASSWORD not in carried(snapshot, tmp_path)
    assert snapshot.is_exact
    assert snapshot.tree == text(repo, "rev-parse", "HEAD^{tree}")


def test_a_secret_in_a_merge_alone_stays_at_home(repo, tmp_path):
    git(repo, "checkout", "--quiet", "-b", "side")
    write(repo, "side.py", b"1\n")
    commit_all(repo)
    git(repo, "checkout", "--quiet", "main")
    write(repo, "main.py", b"1\n")
    commit_all(repo)
    git(repo, "merge", "--quiet", "--no-commit", "side")
    write(repo, ".env", PASSWORD)
    commit_all(repo)
    git(repo, "rm", "--quiet", ".env")
    commit_all(repo)
    assert PASSWORD not in carried(capture_code(repo), tmp_path)


def test_a_secret_in_a_folder_without_git_is_not_carried(home, tmp_path):
    write(tmp_path / "folder", ".env", PASSWORD)
    write(tmp_path / "folder", "a.py", b"1\n")
    snapshot = capture_code(tmp_path / "folder")
    assert PASSWORD not in carried(snapshot, tmp_path)
    assert snapshot.left_out == (LeftOut(".env", SECRET),)


def test_secrets_of_a_nested_repository_are_not_carried(repo, tmp_path):
    inner = new_repository(repo / "inner")
    write(inner, "a.py", b"1\n")
    write(inner, ".env", PASSWORD)
    (nested,) = capture_code(repo).nested
    assert nested.snapshot.left_out == (LeftOut(".env", SECRET),)
    assert PASSWORD not in carried(nested.snapshot, tmp_path)


def test_a_nested_repository_with_a_secret_name_is_not_looked_at(repo):
    inner = new_repository(repo / ".aws")
    write(inner, "a.py", b"1\n")
    snapshot = capture_code(repo)
    assert snapshot.nested == ()
    assert snapshot.left_out == (LeftOut(".aws", SECRET),)


def test_a_sparse_secret_that_is_staged_is_not_carried(repo, tmp_path):
    write(repo, "sub/.env", PASSWORD)
    git(repo, "add", "sub/.env")
    git(repo, "update-index", "--skip-worktree", "sub/.env")
    (repo / "sub" / ".env").unlink()
    write(repo, "README.md", b"changed")
    assert PASSWORD not in carried(capture_code(repo), tmp_path)


# The addresses of remotes.


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://ada:secret@example.org/a.git", "https://example.org/a.git"),
        ("https://secret@example.org:8443/a.git", "https://example.org:8443/a.git"),
        ("https://x-access-token:secret@example.org/a.git", "https://example.org/a.git"),
        ("https://ada:se@cret@example.org/a.git", "https://example.org/a.git"),
        ("https://ada:sec/ret@example.org/a.git", "https://example.org/a.git"),
        ("https://example.org/a.git?private_token=secret", "https://example.org/a.git"),
        ("https://example.org/a.git#secret", "https://example.org/a.git"),
        ("https://example.org:8443/@ada/a.git", "https://example.org:8443/@ada/a.git"),
        ("http://ada:secret@[::1]:80/a.git", "http://[::1]:80/a.git"),
        ("codecommit::https://secret@example.org/a", "codecommit::https://example.org/a"),
        ("ssh://git@example.org:22/a.git", "ssh://git@example.org:22/a.git"),
        ("ssh://git:secret@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("git:secret@example.org:a/b.git", "git@example.org:a/b.git"),
        ("example.org:a/b.git", "example.org:a/b.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("/srv/a@b/c:d.git", "/srv/a@b/c:d.git"),
        ("file:///srv/git/a.git", "file:///srv/git/a.git"),
        ("ext::sh -c secret", "ext::(a command, left out)"),
    ],
)
def test_an_address_is_kept_without_what_lets_somebody_in(url, kept):
    assert without_credentials(url) == kept


@given(
    scheme=st.sampled_from(["https", "http", "ftp", "git+https"]),
    user=st.text("abc:/@%.-", max_size=8),
    path=st.text("abc/.", max_size=8),
)
def test_no_password_survives_wherever_it_stands(scheme, user, path):
    assert "SECRET" not in without_credentials(f"{scheme}://{user}:SECRET@example.org/{path}")
    token = user.replace("/", "")  # with a slash in it, it is a host's name and no token
    assert "SECRET" not in without_credentials(f"{scheme}://SECRET{token}@example.org/{path}")


def test_a_relative_address_is_made_one_that_works_from_anywhere(tmp_path):
    assert absolute("../origin.git", tmp_path / "repo") == str(tmp_path / "origin.git")
    assert absolute("git@example.org:a", tmp_path) == "git@example.org:a"
    assert absolute("https://example.org/a", tmp_path) == "https://example.org/a"


def test_the_remotes_of_a_snapshot_hold_no_password_not_even_one_from_the_settings(repo, home):
    write(home, ".gitconfig", b'[url "https://ada:hunter2@example.org/"]\n\tinsteadOf = work:\n')
    git(repo, "remote", "add", "backup", "https://ada:hunter2@example.com/a.git")
    git(repo, "remote", "add", "work", "work:b.git")
    snapshot = capture_code(repo)
    assert [remote.name for remote in snapshot.remotes] == ["origin", "backup", "work"]
    assert [remote.url for remote in snapshot.remotes[1:]] == [
        "https://example.com/a.git",
        "https://example.org/b.git",
    ]


def test_a_relative_remote_can_be_restored_from_elsewhere(repo, tmp_path):
    git(repo, "remote", "set-url", "origin", "../origin.git")
    write(repo, "README.md", b"changed\n")
    snapshot = capture_code(repo)
    restore_code(snapshot, tmp_path / "restored")
    assert files(tmp_path / "restored")[b"README.md"] == ("file", b"changed\n")
