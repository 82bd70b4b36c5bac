"""Git repositories to capture, what may not change in them, and what plain git says that a working tree is."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.provenance import CodeSnapshot, RestoredCode, capture_code, restore_code

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "2026-03-01T12:00:00+02:00",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "2026-03-01T12:00:00+02:00",
}
ALLOW_FILE = ("-c", "protocol.file.allow=always")
AS_ON_DISK = "* -text -filter -ident -working-tree-encoding\n"
"""Attributes that let git take every file as it is."""


def git(folder: Path, *arguments: str | bytes, fails: bool = False, stdin: bytes = b"", **variables: str) -> bytes:
    """Run git as a user would, whose settings are the defaults."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *ALLOW_FILE, *arguments],
        cwd=folder,
        env={**clean, **ENVIRONMENT, **variables},
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert fails == bool(done.returncode), done.stderr
    return done.stdout


def text(folder: Path, *arguments: str) -> str:
    return git(folder, *arguments).decode().strip()


def new_repository(folder: Path, *options: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main", *options)
    return folder


def commit_all(folder: Path, message: str = "Change it") -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return text(folder, "rev-parse", "HEAD")


def write(folder: Path, name: str | bytes, content: bytes = b"", *, mode: int = 0o644) -> Path:
    path = folder / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def project(folder: Path) -> Path:
    """A repository with a few files of each kind and one commit."""
    new_repository(folder)
    write(folder, "train.py", b"".join(b"step_%d = %d\n" % (line, line * line) for line in range(200)))
    write(folder, "run.sh", b"#!/bin/sh\npython train.py\n", mode=0o755)
    write(folder, "README.md", b"# Digits\n")
    write(folder, "data/table.csv", b"a,b\n1,2\n")
    write(folder, "data/image.bin", bytes(range(256)) * 4)
    write(folder, ".gitignore", b"*.log\nbuild/\n")
    (folder / "latest").symlink_to("data/table.csv")
    commit_all(folder, "Begin")
    return folder


def pushed(folder: Path, origin: Path) -> Path:
    """Give a repository a remote that has all of its commits."""
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    git(folder, "remote", "add", "origin", str(origin))
    git(folder, "push", "--quiet", "--set-upstream", "origin", "HEAD")
    return folder


class Evidence(NamedTuple):
    """All that can be known of one path without reading its atime."""

    mode: int
    inode: int
    modified_ns: int
    changed_ns: int
    content: bytes


def evidence(folder: Path) -> dict[str, Evidence]:
    """Everything in a folder, its git folders included, down to the last time stamp."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        facts = path.lstat()
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path)] = Evidence(facts.st_mode, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, content)
    return found


def files(folder: Path, names: list[bytes] | None = None) -> dict[bytes, tuple[str, bytes]]:
    """What each file of a folder, or each that is named, is and holds."""
    paths = folder.rglob("*") if names is None else [folder / os.fsdecode(name) for name in names]
    found = {}
    for path in paths:
        name = os.fsencode(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.fsencode(path.readlink()))
        elif not path.is_dir():
            kind = "program" if path.stat().st_mode & stat.S_IXUSR else "file"
            found[name] = (kind, path.read_bytes())
    return found


class ByGit(NamedTuple):
    """A working tree in git's own eyes."""

    tree: str
    names: list[bytes]
    """Its files, without those of nested repositories."""


def by_git(folder: Path, scratch: Path) -> ByGit:
    """Add a copy of a working tree to a fresh index with every filter off, and say what came of it."""
    tracked = git(folder, "ls-files", "-z").split(b"\0") if (folder / ".git").exists() else []
    copy = scratch / "copy"
    shutil.copytree(folder, copy, symlinks=True)
    fresh = scratch / "fresh.git"
    object_format = text(folder, "rev-parse", "--show-object-format") if tracked else "sha1"
    git(scratch, "init", "--quiet", "--bare", f"--object-format={object_format}", str(fresh))
    (fresh / "info" / "attributes").write_text(AS_ON_DISK)
    if (folder / ".git" / "info" / "exclude").exists():
        shutil.copy(folder / ".git" / "info" / "exclude", fresh / "info" / "exclude")
    there = {"GIT_DIR": str(fresh), "GIT_WORK_TREE": str(copy), "GIT_LITERAL_PATHSPECS": "1"}
    git(copy, "-c", "core.safecrlf=false", "add", "--all", **there)
    forced = [name for name in {*tracked} - {b""} if is_there(copy, name)]
    if forced:
        command = ("add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul")
        git(copy, *command, stdin=b"\0".join(forced), **there)
    rows = [row for row in git(copy, "ls-files", "--stage", "-z", **there).split(b"\0") if row]
    names = [row.partition(b"\t")[2] for row in rows if not row.startswith(b"160000")]
    return ByGit(git(copy, "write-tree", "--missing-ok", **there).decode().strip(), names)


def is_there(folder: Path, name: bytes) -> bool:
    """Whether a file or a link is at a path, and not by way of a link."""
    path = folder / os.fsdecode(name)
    above = [each for each in path.parents if each.is_relative_to(folder)]
    return os.path.lexists(path) and not any(each.is_symlink() for each in above)


class Seen(NamedTuple):
    """One capture and its restore, both right."""

    snapshot: CodeSnapshot
    restored: RestoredCode
    folder: Path


def seen(folder: Path, scratch: Path, *, untouched: Path | None = None, captured: Path | None = None) -> Seen:
    """Capture a repository and restore it; see that nothing changed in it and that all of it came back.

    Args:
        folder: the top of its working tree.
        scratch: a folder outside of it.
        untouched: what must not change, if that is more than the folder.
        captured: the folder to name, if that is another one.
    """
    scratch.mkdir()
    expected = by_git(folder, scratch)
    before = evidence(untouched or folder)
    snapshot = capture_code(captured or folder)
    assert evidence(untouched or folder) == before, "the capture left traces"
    assert snapshot.tree == expected.tree
    restored = restore_code(snapshot, scratch / "restored")
    assert evidence(untouched or folder) == before, "the restore left traces"
    assert restored.tree == expected.tree
    inner = [os.fsencode(nested.path) + b"/" for nested in snapshot.nested]
    own = {name: found for name, found in files(scratch / "restored").items() if not name.startswith(tuple(inner))}
    assert own == files(folder, expected.names)
    return Seen(snapshot, restored, scratch / "restored")
