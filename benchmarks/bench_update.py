"""Looks at a repository, against plain python-tuf and a plain download: ``pytest benchmarks/bench_update.py``.

The server is nginx, which also counts the bytes. Plain python-tuf refreshes its own folder with its own HTTP client and
neither compares floors nor judges time again, nor reads a channel; the plain download writes, hashes and syncs a file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import requests
from side_by_side import side_by_side
from tuf.ngclient import Updater

from edgerun.artifact import hex_of
from edgerun.store import Store, Subscription
from edgerun.update.client import update
from support.nginx import nginx_serving
from support.tuf_repository import NAME, OWNER, PUBLISHER, TufRepository, small_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from support.nginx import Nginx

MODEL_BYTES = 50_000_000


def published(repository: TufRepository, version: str, challenger: int, model: bytes) -> str:
    """Publish a bundle whose split has these weights; returns the digest of its model."""
    weights = {"champion": 100 - challenger, "challenger": challenger}
    files = small_bundle(
        version=version,
        models={"champion": "models/only.onnx", "challenger": "models/only.onnx"},
        route="ab",
        nodes={"ab": {"kind": "random_split", "weights": weights, "split_key": "session_id"}},
    )
    repository.add_bundle({**files, "models/only.onnx": model}, version)
    repository.set_channel(version)
    repository.publish(PUBLISHER, OWNER)
    return f"sha256:{hashlib.sha256(model).hexdigest()}"


@pytest.fixture
def repository(tmp_path: Path) -> TufRepository:
    return TufRepository(tmp_path / "repository")


@pytest.fixture
def server(tmp_path: Path, repository: TufRepository) -> Iterator[Nginx]:
    (tmp_path / "nginx").mkdir()
    with nginx_serving(repository.folder, tmp_path / "nginx") as found:
        yield found


def joined(folder: Path, repository: TufRepository, server: Nginx) -> Store:
    store = Store.create(folder, say=lambda event, **details: None)
    store.subscribe(Subscription(server.url, NAME), repository.root_file.read_bytes())
    return store


def look(store: Store) -> int:
    """Look once, and believe that what is fetched serves; returns the bytes of bundles that came."""
    return update(store, rehearse=lambda path, limits: None).received_bytes


def test_an_idle_look_against_a_refresh_of_plain_python_tuf(
    benchmark: BenchmarkFixture, tmp_path: Path, repository: TufRepository, server: Nginx
) -> None:
    published(repository, "1.0.0", 10, b"model")
    store = joined(tmp_path / "store", repository, server)
    look(store)
    (tmp_path / "plain").mkdir()
    root = repository.root_file.read_bytes()

    def refresh() -> None:
        Updater(str(tmp_path / "plain"), f"{server.url}/metadata/", bootstrap=root).refresh()

    server.exchanges()
    look(store)
    exchanges = server.exchanges()
    sent = sum(exchange.bytes for exchange in exchanges)
    comparison = side_by_side("an idle look against plain python-tuf", lambda: look(store), refresh, rounds=15)
    print(f"it takes {len(exchanges)} requests and {sent} bytes on the wire, headers included")
    benchmark.extra_info |= {"ratio": comparison.ratio, "bytes": sent}
    benchmark.pedantic(look, (store,), rounds=5)


def test_a_fetch_against_a_plain_download(
    benchmark: BenchmarkFixture, tmp_path: Path, repository: TufRepository, server: Nginx
) -> None:
    model = np.random.default_rng(7).bytes(MODEL_BYTES)
    digest = published(repository, "1.0.0", 10, model)
    numbers = iter(range(10**6))

    def fetch() -> None:
        folder = tmp_path / f"store{next(numbers)}"
        look(joined(folder, repository, server))
        shutil.rmtree(folder)

    def download() -> None:
        found = hashlib.sha256()
        url = f"{server.url}/blobs/sha256/{hex_of(digest)}"
        with requests.get(url, stream=True, timeout=60) as answer, (tmp_path / "plain").open("wb") as file:
            for piece in answer.iter_content(2**16):
                found.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        assert found.hexdigest() == hex_of(digest)

    title = "a bundle of 50 MB, fetched and verified twice, against a plain download"
    comparison = side_by_side(title, fetch, download, rounds=3)
    store = joined(tmp_path / "store", repository, server)
    look(store)
    published(repository, "1.1.0", 20, model)
    server.exchanges()
    look(store)
    sent = sum(exchange.bytes for exchange in server.exchanges())
    print(f"other weights alone are {sent} bytes on the wire, of a bundle of {MODEL_BYTES}")
    benchmark.extra_info |= {"ratio": comparison.ratio, "bytes": sent}
    benchmark.pedantic(fetch, rounds=1)
