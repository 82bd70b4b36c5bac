"""Whatever a working tree looks like: capture and restore give the same tree, the same bytes, and leave no trace."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.repositories import commit_all, git, new_repository, pushed, seen

NAME = st.one_of(
    st.sampled_from([b"a", b"b", b"c", b"d.py"]),
    st.binary(min_size=1, max_size=6).map(lambda name: name.replace(b"/", b"-").replace(b"\0", b"+")),
).filter(lambda name: name not in (b".", b"..") and not name.lower().startswith((b".git", b"git~")))
PATH = st.lists(NAME, min_size=1, max_size=3).map(b"/".join)
CONTENT = st.one_of(
    st.binary(max_size=60), st.lists(st.sampled_from([b"one\n", b"two\r\n", b"\r", b"$Id$\n"])).map(b"".join)
)
FILE = st.tuples(st.sampled_from(["file", "program"]), CONTENT)
LINK = st.tuples(st.just("link"), st.binary(min_size=1, max_size=20).map(lambda target: target.replace(b"\0", b"0")))
TREE = st.dictionaries(PATH, st.one_of(FILE, LINK), max_size=8)
STEP = st.tuples(TREE, st.sampled_from(["none", "add", "add some", "commit", "push", "reset"]))


def put(folder: Path, tree: dict[bytes, tuple[str, bytes]]) -> None:
    """Make a folder hold just this, as far as its names can stand beside each other."""
    for path in folder.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, (kind, content) in tree.items():
        path = folder / name.decode("utf-8", "surrogateescape")
        try:
            if path.parent.resolve() != folder.resolve().joinpath(*path.parent.relative_to(folder).parts):
                continue  # behind a link
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "link":
                path.symlink_to(content.decode("utf-8", "surrogateescape"))
            else:
                path.write_bytes(content)
                path.chmod(0o755 if kind == "program" else 0o644)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue


def step(folder: Path, names: list[bytes], action: str) -> None:
    match action:
        case "add":
            git(folder, "add", "--all")
        case "add some":
            half = [name for name in names[::2] if (folder / name.decode("utf-8", "surrogateescape")).is_file()]
            git(folder, "--literal-pathspecs", "add", "--force", "--", *half) if half else None
        case "commit":
            commit_all(folder)
        case "push":
            commit_all(folder)
            git(folder, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")
        case "reset":
            git(folder, "reset", "--quiet")


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=1, max_size=4))
def test_any_sequence_of_trees_is_captured_and_restored(steps):
    with tempfile.TemporaryDirectory() as name:
        folder = new_repository(Path(name) / "repo")
        commit_all(folder)
        pushed(folder, Path(name) / "origin.git")
        for tree, action in steps:
            put(folder, tree)
            step(folder, [*tree], action)
        seen(folder, Path(name) / "scratch")


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREE)
def test_any_folder_without_git_is_captured_and_restored(tree):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "folder"
        folder.mkdir()
        put(folder, tree)
        seen(folder, Path(name) / "scratch")
