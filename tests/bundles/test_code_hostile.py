"""Hostile snapshots: whatever a bundle holds, nothing is written outside of the destination, and nothing runs."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance import NestedSnapshot, Remote, capture_code, restore_code
from edgerun_bundles.provenance.bundle_header import read_header
from support.repositories import files, git, new_repository, write

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def forge(tmp_path):
    """A repository in which any object can be made."""
    git(tmp_path, "init", "--quiet", "--bare", "forge.git")
    return tmp_path / "forge.git"


@pytest.fixture
def template(tmp_path):
    """A snapshot of a folder without git, to be given another bundle."""
    write(tmp_path / "template", "a.py", b"1\n")
    return capture_code(tmp_path / "template")


def an_object(forge, kind, content):
    return git(forge, "hash-object", "-t", kind, "-w", "--stdin", "--literally", stdin=content).decode().strip()


def a_tree(forge, *entries):
    """Make a tree of (mode, name, hash), in the order given."""
    rows = [b"%b %b\0%b" % (mode.encode(), name, bytes.fromhex(digest)) for mode, name, digest in entries]
    return an_object(forge, "tree", b"".join(rows))


def forged(forge, template, tree, **changes):
    commit = git(forge, "commit-tree", tree, "-m", "Evil").decode().strip()
    git(forge, "update-ref", "refs/edgerun/snapshot", commit)
    bundle = git(forge, "bundle", "create", "-", "refs/edgerun/snapshot")
    return template._replace(tree=tree, bundle=bundle, **changes)


def is_refused(snapshot, tmp_path, match, limits=LIMITS):
    before = files(tmp_path)
    with pytest.raises(ProvenanceError, match=match):
        restore_code(snapshot, tmp_path / "inside" / "restored", limits=limits)
    assert files(tmp_path) == before
    assert [*(tmp_path / "inside").iterdir()] == []


def nested_entry(forge, path, digest):
    """The entry of a tree that leads to a file by way of folders with these names."""
    *folders, name = path
    entry = ("100644", name, digest)
    for folder in reversed(folders):
        entry = ("40000", folder, a_tree(forge, entry))
    return entry


@pytest.mark.parametrize(
    "path",
    [
        [b"..", b"evil"],
        [b"a", b"..", b"..", b"evil"],
        [b".", b"evil"],
        [b"../evil"],
        [b"a/../../evil"],
        [b"/tmp/evil"],
        [b"a//b"],
        [b"a/"],
        [b".git", b"config"],
        [b".git"],
        [b"sub", b".GIT", b"hooks", b"post-checkout"],
        [b".git ", b"config"],
        [b".git. .", b"config"],
        [b".git::$INDEX_ALLOCATION", b"config"],
        [b"git~1", b"config"],
        [".g\u200cit".encode(), b"config"],
        ["\ufeff.Git".encode(), b"config"],
    ],
    ids=repr,
)
def test_a_path_that_leads_elsewhere_or_into_git_is_refused(forge, template, tmp_path, path):
    blob = an_object(forge, "blob", b"evil\n")
    tree = a_tree(forge, nested_entry(forge, path, blob))
    is_refused(forged(forge, template, tree), tmp_path, "the code's tree is refused")


@pytest.mark.parametrize("mode", ["100644", "120000", "40000", "160000"])
@pytest.mark.parametrize("name", [b"..", b".git"])
def test_such_a_path_is_refused_whatever_is_there(forge, template, tmp_path, mode, name):
    kind, content = ("tree", b"") if mode == "40000" else ("blob", b"x")
    digest = an_object(forge, kind, content)
    if mode == "40000":
        digest = a_tree(forge, ("100644", b"x", an_object(forge, "blob", b"x")))
    is_refused(forged(forge, template, a_tree(forge, (mode, name, digest))), tmp_path, "the code's tree is refused")


def test_nothing_is_written_through_a_symbolic_link(forge, template, tmp_path):
    outside = an_object(forge, "blob", bytes(tmp_path))
    below = a_tree(forge, ("100644", b"evil", an_object(forge, "blob", b"evil\n")))
    for entries in (
        [("120000", b"d", outside), ("40000", b"d", below)],
        [("40000", b"d", below), ("120000", b"d", outside)],
    ):
        is_refused(forged(forge, template, a_tree(forge, *entries)), tmp_path, "lies below d, which is no folder")


def test_a_name_that_is_there_twice_is_refused(forge, template, tmp_path):
    entry = ("100644", b"a", an_object(forge, "blob", b"1\n"))
    is_refused(forged(forge, template, a_tree(forge, entry, entry)), tmp_path, "'a' is there twice")


def test_a_file_below_a_submodule_is_refused(forge, template, tmp_path):
    below = a_tree(forge, ("100644", b"evil", an_object(forge, "blob", b"evil\n")))
    tree = a_tree(forge, ("160000", b"d", "0" * 39 + "1"), ("40000", b"d", below))
    is_refused(forged(forge, template, tree), tmp_path, "lies below d")


@pytest.mark.parametrize("mode", ["10644", "60000", "777"])
def test_a_mode_that_is_none_of_gits_makes_an_empty_folder_that_is_named(forge, template, tmp_path, mode):
    tree = a_tree(forge, (mode, b"a", an_object(forge, "blob", b"1\n")))
    restored = restore_code(forged(forge, template, tree), tmp_path / "restored")
    assert files(tmp_path / "restored") == {}
    assert restored.not_restored[0].startswith("a is empty")


def test_names_too_long_for_the_disk_are_refused(forge, template, tmp_path):
    blob = an_object(forge, "blob", b"1\n")
    is_refused(forged(forge, template, a_tree(forge, ("100644", b"x" * 300, blob))), tmp_path, "cannot be written")
    deep = a_tree(forge, nested_entry(forge, [b"x" * 200] * 30, blob))
    is_refused(forged(forge, template, deep), tmp_path, "is 6029 bytes long")


@pytest.mark.parametrize(
    ("target", "reason"),
    [(b"x" * 4096, "a symbolic link of 4096 bytes"), (b"", "cannot be written"), (b"a\0b", "cannot be written")],
    ids=["long", "empty", "null"],
)
def test_a_link_that_no_disk_can_hold_is_refused(forge, template, tmp_path, target, reason):
    tree = a_tree(forge, ("120000", b"link", an_object(forge, "blob", target)))
    is_refused(forged(forge, template, tree), tmp_path, reason)


def test_a_link_to_the_outside_is_made_as_it_was_and_not_followed(forge, template, tmp_path):
    write(tmp_path, "victim", b"untouched")
    tree = a_tree(forge, ("120000", b"link", an_object(forge, "blob", b"../victim")))
    restore_code(forged(forge, template, tree), tmp_path / "restored")
    assert files(tmp_path / "restored") == {b"link": ("link", b"../victim")}
    assert (tmp_path / "victim").read_bytes() == b"untouched"


def test_a_tree_of_trees_that_names_more_files_than_there_are_atoms_is_refused_at_once(forge, template, tmp_path):
    tree = a_tree(forge, ("100644", b"x", an_object(forge, "blob", b"1\n")))
    for _ in range(40):
        tree = a_tree(forge, *(("40000", b"%d" % number, tree) for number in range(10)))
    limits = LIMITS._replace(listing_max_bytes=2**20)
    is_refused(forged(forge, template, tree), tmp_path, "ls-tree gave more than 1,048,576 bytes", limits)


def test_small_files_that_unpack_to_more_than_a_limit_are_refused(forge, template, tmp_path):
    blob = an_object(forge, "blob", bytes(1000))
    tree = a_tree(forge, ("100644", b"a", blob), ("100644", b"b", blob))
    snapshot = forged(forge, template, tree)
    limits = LIMITS._replace(restored_max_bytes=1999)
    is_refused(snapshot, tmp_path, "2,000 bytes, and restored_max_bytes is 1,999", limits)
    assert restore_code(snapshot, tmp_path / "restored", limits=LIMITS._replace(restored_max_bytes=2000)).files == 2


def test_the_limit_of_bytes_counts_nested_repositories_too(tmp_path):
    write(tmp_path / "folder", "a", bytes(1000))
    write(new_repository(tmp_path / "folder" / "inner"), "b", bytes(1000))
    snapshot = capture_code(tmp_path / "folder")
    limits = LIMITS._replace(restored_max_bytes=2000)
    assert restore_code(snapshot, tmp_path / "fits", limits=limits).not_restored == ()
    restored = restore_code(snapshot, tmp_path / "does not", limits=limits._replace(restored_max_bytes=1999))
    assert "inner: this repository is not restored" in restored.not_restored[0]


def test_a_tree_other_than_the_snapshot_says_is_refused(forge, template, tmp_path):
    tree = a_tree(forge, ("100644", b"a", an_object(forge, "blob", b"1\n")))
    snapshot = forged(forge, template, tree)
    is_refused(snapshot._replace(tree=template.tree), tmp_path, f"has the tree {tree}, not {template.tree}")


def test_a_file_that_is_missing_in_the_bundle_is_named(forge, template, tmp_path):
    kept = an_object(forge, "blob", b"kept\n")
    lost = hashlib.sha1(b"blob 5\0lost\n").hexdigest()
    tree = a_tree(forge, ("100644", b"a", kept), ("100644", b"lost.py", lost))
    commit = git(forge, "commit-tree", tree, "-m", "Evil").decode().strip()
    names = "\n".join([commit, tree, kept, ""]).encode()
    pack = git(forge, "pack-objects", "--stdout", stdin=names)
    bundle = b"# v2 git bundle\n%b refs/edgerun/snapshot\n\n%b" % (commit.encode(), pack)
    is_refused(template._replace(tree=tree, bundle=bundle), tmp_path, f"lost.py: its content \\({lost}\\) is missing")


def test_a_damaged_bundle_is_refused_whatever_byte_is_wrong(template, tmp_path):
    for position in range(0, len(template.bundle), 7):
        damaged = bytearray(template.bundle)
        damaged[position] ^= 0x55
        target = tmp_path / "restored"
        try:
            restore_code(template._replace(bundle=bytes(damaged)), target)
        except ProvenanceError:
            assert not target.exists()
        else:
            assert files(target) == {b"a.py": ("file", b"1\n")}, position  # a byte of the reference's name
            (target / "a.py").unlink()
            target.rmdir()


@pytest.mark.parametrize("length", [0, 5, 16, 60, 100])
def test_a_bundle_that_is_cut_short_is_refused(template, tmp_path, length):
    is_refused(template._replace(bundle=template.bundle[:length]), tmp_path, "bundle|pack")


DIGEST = b"1" * 40


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"# v9 git bundle\n", "not a git bundle of version 2 or 3"),
        (b"# v3 git bundle\n@filter=blob:none\n", "needs b'@filter=blob:none'"),
        (b"# v3 git bundle\n@object-format=md5\n", "needs b'@object-format=md5'"),
        (b"# v2 git bundle\n\n", "has 0 references instead of one"),
        (b"# v2 git bundle\n%b a\n%b b\n\n" % (DIGEST, DIGEST), "has 2 references instead of one"),
        (b"# v2 git bundle\n--upload-pack=touch x\n\n", "names '-upload-pack=touch'"),
        (b"# v2 git bundle\n-%b\n--all a\n\n" % DIGEST, "names '-all'"),
        (b"# v2 git bundle\n%b a\n" % (b"f" * 39), "where a sha1 hash belongs"),
        (b"# v3 git bundle\n@object-format=sha256\n%b a\n\n" % (b"f" * 64), "has sha256 hashes, its snapshot sha1"),
        (b"# v2 git bundle\n" + b"x" * 5000, "cut short"),
    ],
)
def test_a_head_that_is_not_of_our_kind_is_refused(template, tmp_path, head, reason):
    is_refused(template._replace(bundle=head), tmp_path, reason)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_bundle_of_ours_or_refused(content):
    for data in (content, b"# v2 git bundle\n" + content, b"# v3 git bundle\n@" + content):
        try:
            header = read_header(data)
        except ProvenanceError:
            continue
        assert len(header.tip) in (40, 64)
        assert 0 < header.pack_offset <= len(data)


@pytest.mark.parametrize("tree", ["", "--all", "HEAD", "f" * 39, "F" * 40, "f" * 40 + "\n"])
def test_a_tree_that_is_no_hash_is_refused(template, tmp_path, tree):
    is_refused(template._replace(tree=tree), tmp_path, "where a sha1 hash belongs")
    is_refused(template._replace(object_format="--bare"), tmp_path, "where a --bare hash belongs")


def test_a_snapshot_without_a_bundle_names_one_commit(template, tmp_path):
    is_refused(template._replace(bundle=None), tmp_path, "does not name one commit")
    is_refused(template._replace(bundle=None, prerequisites=("--all",)), tmp_path, "names '--all'")


@pytest.mark.parametrize("url", ["ext::touch WITNESS", "--upload-pack=touch WITNESS", "-c", "fd::17", "x::y"])
def test_an_address_that_is_a_command_is_not_run(template, tmp_path, url):
    witness = tmp_path / "ran"
    hostile = template._replace(
        bundle=None, prerequisites=("1" * 40,), remotes=(Remote("origin", url.replace("WITNESS", str(witness))),)
    )
    is_refused(hostile, tmp_path, "could not be had from")
    with pytest.raises(ProvenanceError):
        restore_code(hostile, tmp_path / "restored", remote=hostile.remotes[0].url)
    assert not witness.exists()


@pytest.mark.parametrize("path", ["../out", "/tmp/out", "a/../../out", "", ".", ".git", "a.py", "a.py/in", "x/.GIT/y"])
def test_a_nested_repository_anywhere_but_inside_is_refused(template, tmp_path, path):
    hostile = template._replace(nested=(NestedSnapshot(path, template),))
    is_refused(hostile, tmp_path, "the code's tree is refused")


def test_a_nested_repository_behind_a_link_is_refused(forge, template, tmp_path):
    tree = a_tree(forge, ("120000", b"link", an_object(forge, "blob", bytes(tmp_path))))
    hostile = forged(forge, template, tree, nested=(NestedSnapshot("link/in", template),))
    is_refused(hostile, tmp_path, "lies below link")
    is_refused(hostile._replace(nested=(NestedSnapshot("link", template),)), tmp_path, "is a file, and a repository")


def test_repositories_nested_without_end_are_refused(template, tmp_path):
    snapshot = template
    for _ in range(LIMITS.nested_depth_max + 1):
        snapshot = template._replace(nested=(NestedSnapshot("in", snapshot),))
    (sentence,) = restore_code(snapshot, tmp_path / "restored").not_restored
    assert "deeper inside others than nested_depth_max" in sentence
    assert restore_code(snapshot.nested[0].snapshot, tmp_path / "fits").not_restored == ()
