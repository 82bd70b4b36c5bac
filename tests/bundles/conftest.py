"""What the tests of the workstation share: repositories, bundles made on the spot, a registry, and the command."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from edgerun import bundle
from edgerun.cli import main
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.provenance import environment
from edgerun_bundles.referrers import PROVENANCE_TYPE, Attachment
from edgerun_bundles.registry import Reference, Transport, push
from edgerun_bundles.repository.storage import open_storage
from support import models
from support.docker_registry import Listening, registry_running
from support.publishers import Team, founded, team
from support.registry import at, serving
from support.repositories import project, pushed, seen
from support.seaweedfs import BUCKET, SeaweedFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from edgerun_bundles.repository.storage import Storage
    from edgerun_bundles.repository.workplace import Workplace

AB = {"ab": {"kind": "random_split", "weights": {"champion": 90, "challenger": 10}, "split_key": "user"}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that needs a server starts one."""
    for item in items:
        if {"registry", "guarded", "seaweedfs", "objects", "nginx"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def make_bundle(tmp_path) -> Callable[..., Path]:
    """Write a bundle's folder: two models under a split, or what is told."""

    def make(place: str = "bundle", *, contents: tuple[bytes, bytes] | None = None, **fields) -> Path:
        outside = tmp_path / f"{place}-models"
        outside.mkdir()
        files = {}
        for name, content in zip(
            ("champion", "challenger"), contents or (models.steady(2), models.steady(3)), strict=True
        ):
            files[name] = outside / f"{name}.onnx"
            files[name].write_bytes(content)
        given = {"name": "toy", "version": "1.0.0", "models": files, "nodes": AB, "route": "ab"}
        given |= {"golden": [{"inputs": {"x": [[1.0, 0.5]]}}], **fields}
        bundle.write(tmp_path / place, **given)
        return tmp_path / place

    return make


@pytest.fixture
def layout(make_bundle, tmp_path):
    """The layout of such a bundle."""
    return write_layout(make_bundle(), tmp_path / "layout")


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Run the command in this process."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, [*map(str, arguments)])

    return run


@pytest.fixture(scope="module")
def packages_read_once() -> Iterator[None]:
    """Read once which packages are installed: it takes as long as the rest of a build, and has tests of its own."""
    found, read = {}, environment.installed_packages

    def once(**given):
        key = repr(given)
        if key not in found:
            found[key] = read(**given)
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "installed_packages", once)
        yield


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[Listening]:
    """Debian's docker-registry on a port of its own."""
    with registry_running(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture
def seaweedfs(object_server, monkeypatch) -> SeaweedFS:
    """The same, as the environment names it."""
    for name, value in object_server.environment().items():
        monkeypatch.setenv(name, value)
    return object_server


@pytest.fixture
def bucket(seaweedfs) -> str:
    """A place in it where nobody was."""
    return f"s3://{BUCKET}/{secrets.token_hex(4)}"


@pytest.fixture
def objects(bucket) -> Storage:
    """The storage of such a place."""
    return open_storage(bucket)


@pytest.fixture
def settings(monkeypatch, tmp_path_factory) -> Path:
    """A workstation that trusts nothing yet."""
    folder = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    for name in ("EDGERUN_REPOSITORY", "EDGERUN_KEYS", "EDGERUN_KEY_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    return folder / "edgerun"


@pytest.fixture
def people() -> Team:
    """The founders of a repository."""
    return team()


@pytest.fixture
def workplace(settings, people, tmp_path) -> Workplace:
    """A repository in a folder, with everybody's keys at hand."""
    return founded(tmp_path / "repository", people)


@pytest.fixture
def skopeo() -> Callable[..., str]:
    """Run skopeo, and return what it prints."""
    program = shutil.which("skopeo")
    assert program, "skopeo is missing: apt-get install skopeo"

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [program, "--insecure-policy", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def fake():
    """A registry that does as told."""
    with serving() as found:
        yield found


@pytest.fixture
def waits():
    """The seconds that a transport would have waited."""
    return []


@pytest.fixture
def connect(waits):
    """Connect to a registry, waiting for nothing."""
    opened = []

    def connect(host, credentials=None):
        opened.append(Transport(Reference(host, "any"), credentials, sleep=waits.append))
        return opened[-1]

    yield connect
    for found in opened:
        found.__exit__()


@pytest.fixture
def attached(make_bundle, tmp_path):
    """A layout with provenance."""
    statement, lock = tmp_path / "statement", tmp_path / "lock"
    statement.write_text("{}")
    lock.write_text("numpy==2")
    provenance = [Attachment(PROVENANCE_TYPE, statement), Attachment("text/plain", lock)]
    return write_layout(make_bundle("attached"), tmp_path / "attached-layout", provenance)


@pytest.fixture
def stored(fake, connect, layout):
    """A registry that has a bundle."""
    push(layout, at(fake.host), connect(fake.host))
    fake.requests.clear()
    return fake


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
