"""What the tests of the workstation share: repositories, a home without settings, and golden vectors."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.repositories import project, pushed, seen


@pytest.fixture
def vectors():
    """The golden vectors, which were made by others than the code under test."""
    return Path(__file__).parents[1] / "vectors"


@pytest.fixture
def home(monkeypatch, tmp_path_factory):
    """The user's home, with no settings of git's yet."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


@pytest.fixture
def origin(tmp_path):
    """Where the remote of `repo` is."""
    return tmp_path / "work" / "origin.git"


@pytest.fixture
def repo(home, tmp_path, origin):
    """A repository whose remote has everything."""
    return pushed(project(tmp_path / "work" / "repo"), origin)


@pytest.fixture
def check(repo, tmp_path):
    """Capture `repo`, restore it, see that both are right and left no trace, and give the snapshot."""
    return lambda: seen(repo, tmp_path / "scratch", untouched=tmp_path / "work").snapshot
