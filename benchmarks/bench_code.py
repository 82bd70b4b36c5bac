"""Capturing code against git alone: ``pytest benchmarks/bench_code.py``.

The peer is what a script would do in the user's own repository: add everything to an index of its own and write the
tree. It writes objects there, and passes every file through filters; the capture does neither, and packs a bundle too.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from side_by_side import side_by_side

from edgerun_bundles.provenance import capture_code, restore_code

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

SIZES = {"100 files": (100, 5_000), "5,000 files of 10 kB": (5_000, 10_000)}


def git(folder: Path, *arguments: str, index: Path | None = None) -> bytes:
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    environment = os.environ if index is None else {**os.environ, "GIT_INDEX_FILE": str(index)}
    return subprocess.run(
        ["git", *settings, *arguments], cwd=folder, env=environment, check=True, capture_output=True
    ).stdout


def repository(folder: Path, files: int, file_bytes: int) -> Path:
    """A pushed repository with one changed file."""
    repo = folder / "repo"
    for number in range(files):
        path = repo / f"package{number % 50}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(file_bytes // 2).hex().encode())
    git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Begin")
    git(folder, "init", "--quiet", "--bare", "origin.git")
    git(repo, "remote", "add", "origin", str(folder / "origin.git"))
    git(repo, "push", "--quiet", "origin", "HEAD")
    (repo / "package0" / "module0.py").write_bytes(b"changed\n")
    return repo


@pytest.mark.parametrize("size", SIZES)
def test_capture_against_adding_everything(benchmark: BenchmarkFixture, tmp_path: Path, size: str) -> None:
    repo = repository(tmp_path, *SIZES[size])
    index = tmp_path / "index"

    def add_everything() -> bytes:
        index.unlink(missing_ok=True)
        git(repo, "add", "--all", index=index)
        return git(repo, "write-tree", index=index)

    snapshot = capture_code(repo)
    assert snapshot.tree == add_everything().decode().strip()
    comparison = side_by_side(
        f"capture_code against git add and write-tree, {size}", lambda: capture_code(repo), add_everything, rounds=9
    )
    print(f"the bundle is {snapshot.bundle_bytes} bytes, the patch {len(git(repo, 'diff', '--binary'))}")
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark.extra_info["bundle_bytes"] = snapshot.bundle_bytes
    benchmark.pedantic(capture_code, (repo,), rounds=3)


@pytest.mark.parametrize("size", SIZES)
def test_restore_against_a_clone(benchmark: BenchmarkFixture, tmp_path: Path, size: str) -> None:
    snapshot = capture_code(repository(tmp_path, *SIZES[size]))
    numbers = iter(range(10**6))
    origin = (tmp_path / "origin.git").as_uri()
    comparison = side_by_side(
        f"restore_code against git clone --depth=1, {size}",
        lambda: restore_code(snapshot, tmp_path / f"restored{next(numbers)}", remote=origin),
        lambda: git(tmp_path, "clone", "--quiet", "--depth=1", origin, f"clone{next(numbers)}"),
        rounds=5,
    )
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark.pedantic(lambda: restore_code(snapshot, tmp_path / f"restored{next(numbers)}"), rounds=3)
