"""What others make of a repository that was published here: python-tuf's own client, over a folder, nginx and S3."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from edgerun.artifact import Descriptor, Digester, parse_manifest
from edgerun.errors import BundleError
from edgerun.update.channel import parse_channel
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.registry import transport
from edgerun_bundles.repository import rotation, trust
from edgerun_bundles.repository.channels import release
from edgerun_bundles.repository.pushing import utc_now
from edgerun_bundles.repository.rotation import Change, change_role
from edgerun_bundles.repository.stick import write_stick
from edgerun_bundles.repository.storage import open_source
from edgerun_bundles.repository.workplace import Offer, Workplace
from support.nginx import nginx_serving
from support.publishers import Client, files_in, files_of, founded, hand, laid


def over_http(url):
    """Fetch with nothing but the standard library."""

    def fetch(name):
        try:
            with urllib.request.urlopen(f"{url}/{name}", timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return None
            raise

    return fetch


@pytest.fixture(params=["folder", "nginx", "objects"])
def published(request, settings, people, tmp_path):
    """A repository that a publisher has worked in, and how a client fetches from it."""
    is_object = request.param == "objects"
    workplace = founded(request.getfixturevalue("bucket") if is_object else tmp_path / "repository", people)
    workplace.push(laid(tmp_path), [Offer("stable", 1_000_000, ())])
    workplace.push(laid(tmp_path, "1.1.0", 3.0), [Offer("canary", 1_000_000, ("lab",))])
    workplace.change(lambda draft: release(workplace.source, draft, "stable", "toy", "1.1.0", share_ppm=100_000))
    workplace.change(lambda draft: change_role(draft, "bundle-toy", Change(hand().keys)))
    if request.param != "nginx":
        yield workplace, files_of(workplace.source) if is_object else files_in(tmp_path / "repository")
        return
    (tmp_path / "nginx").mkdir()
    with nginx_serving(tmp_path / "repository", tmp_path / "nginx") as server:
        yield workplace, over_http(server.url)


@pytest.mark.slow
def test_a_plain_client_of_tuf_reads_channels_and_bundles(published, tmp_path):
    workplace, fetch = published
    client = Client(tmp_path / "client", workplace.root, fetch)
    stable = parse_channel(client.blob("channels/stable/toy"))
    assert [(found.version, found.share_ppm) for found in stable.releases] == [("1.1.0", 100_000), ("1.0.0", 1_000_000)]
    assert parse_channel(client.blob("channels/canary/toy")).releases[0].groups == ("lab",)
    for version in ("1.0.0", "1.1.0"):
        manifest = parse_manifest(client.blob(f"bundles/toy/{version}"))
        assert (manifest.name, manifest.version) == ("toy", version)
        for digest, size in manifest.blobs.items():
            digester = Digester()
            digester.update(fetch(f"blobs/sha256/{digest.removeprefix('sha256:')}"))
            digester.check(Descriptor("", digest, size), digest)
    assert not client.has("bundles/toy/9.9.9")
    assert not client.has("bundles/other/1.0.0")


@pytest.mark.slow
def test_a_workstation_pulls_over_nginx_and_cannot_publish_there(settings, people, tmp_path, monkeypatch):
    workplace = founded(tmp_path / "repository", people)
    layout = laid(tmp_path)
    workplace.push(layout)
    (tmp_path / "nginx").mkdir()
    with nginx_serving(tmp_path / "repository", tmp_path / "nginx") as server:
        trust.trust(server.url, workplace.root, None)
        reader = Workplace.open(server.url)
        assert reader.fetch("toy", "1.0.0", tmp_path / "back").manifest == layout.manifest
        source = open_source(server.url)
        assert source.size_of("metadata/none.json") is None
        assert source.size_of("metadata/timestamp.json") == len(source.read("metadata/timestamp.json", 2**20).content)
        (model,) = (layer for layer in layout.manifest.layers if layer.path == "models/m.onnx")
        name = f"blobs/sha256/{model.digest.removeprefix('sha256:')}"
        whole = b"".join(source.pieces(name))
        assert b"".join(source.pieces(name, 10)) == whole[10:]
        reader.keys = people.all
        with pytest.raises(RepositoryError, match="can only be read"):
            reader.push(layout)
        path = tmp_path / "repository" / name
        path.write_bytes(whole[:-1] + b"?")
        with pytest.raises(BundleError, match="has the digest"):
            reader.fetch("toy", "1.0.0", tmp_path / "again")
    monkeypatch.setattr(transport, "LIMITS", transport.LIMITS._replace(attempts_max=2))
    with pytest.raises(RepositoryError, match="cannot be reached"):
        reader.read()


@pytest.mark.slow
def test_a_device_joins_takes_what_its_channel_names_and_follows_a_rotation(settings, people, invoke, tmp_path):
    workplace = founded(tmp_path / "repository", people)
    first, second = laid(tmp_path), laid(tmp_path, "1.1.0", 3.0)
    workplace.push(first, [Offer("stable", 1_000_000, ())])
    (tmp_path / "root.json").write_bytes(workplace.root)
    (tmp_path / "nginx").mkdir()

    def device(*arguments):
        done = invoke("device", *arguments, "--store", tmp_path / "store", "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    with nginx_serving(tmp_path / "repository", tmp_path / "nginx") as server:
        device("join", server.url, "--root", tmp_path / "root.json", "--bundle", "toy")
        assert device("update")["digest"] == first.manifest.digest
        new = hand()
        state = workplace.read()
        changes = {role: Change(new.keys, frozenset(people.online.held)) for role in ("snapshot", "timestamp")}
        workplace.keys = people.all + new
        root = rotation.unsigned(rotation.changed_root(state, changes, utc_now()))
        workplace.store_root(state, rotation.sign_root(state, root, workplace.keys))
        workplace.push(second, [Offer("stable", 1_000_000, ())])
        assert device("update")["digest"] == second.manifest.digest
    write_stick(workplace.source, workplace.read(), workplace.root, [("toy", "1.1.0")], tmp_path / "stick.tar")
    device("join", tmp_path / "stick.tar", "--root", tmp_path / "root.json", "--bundle", "toy")
    assert device("update")["what"] == "current"


def test_metadata_is_small_enough_to_be_polled(workplace, tmp_path):
    workplace.push(laid(tmp_path), [Offer("stable", 1_000_000, ())])
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "repository/metadata").iterdir()}
    assert sizes["timestamp.json"] < 600
    state = workplace.read()
    assert sizes[f"{state.versions['snapshot']}.snapshot.json"] < 600


def test_a_version_takes_a_hundred_odd_bytes_of_its_bundles_role(workplace, tmp_path):
    sizes = []
    for number in range(3):
        workplace.push(laid(tmp_path, f"1.{number}.0", 2.0 + number))
        version = workplace.read().versions["bundle-toy"]
        sizes.append((tmp_path / f"repository/metadata/{version}.bundle-toy.json").stat().st_size)
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] < 250
