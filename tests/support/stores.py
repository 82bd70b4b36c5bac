"""Bundles that a store can hold, sources that give them, and what must hold of every store."""

from __future__ import annotations

import json
from contextlib import contextmanager
from hashlib import sha256
from typing import NamedTuple

from edgerun.artifact import Layer, digest_of, hex_of, manifest_of, media_type_of
from edgerun.errors import UpdateError
from edgerun.store import State, Store
from edgerun.testing import SimulatedDisk

FOLDER = "/device/store"


class Toy(NamedTuple):
    """A bundle that no runtime could load, in its blobs."""

    digest: str
    size: int
    blobs: dict[str, bytes]
    files: dict[str, bytes]

    @property
    def names(self) -> set[str]:
        return {hex_of(digest) for digest in self.blobs}


def toy(version: str = "1", *, model_bytes: int = 700, shared: bytes = b"shared" * 30, **fields: object) -> Toy:
    """A bundle of two models, of which all versions share one."""
    document = {
        "format": 1,
        "name": "toy",
        "version": version,
        "models": {"own": "models/own.onnx", "shared": "models/shared.onnx"},
        "route": "split",
        "nodes": {"split": {"kind": "random_split", "weights": {"own": 1, "shared": 1}}},
        **fields,
    }
    own = sha256(version.encode()).digest() * (model_bytes // 32 + 1)
    files = {
        "bundle.json": json.dumps(document).encode(),
        "models/own.onnx": own[:model_bytes],
        "models/shared.onnx": shared,
    }
    layers = [Layer(path, media_type_of(path), digest_of(data), len(data)) for path, data in files.items()]
    manifest = manifest_of("toy", version, layers)
    blobs = {digest_of(data): data for data in (manifest, *files.values())}
    return Toy(digest_of(manifest), len(manifest), blobs, files)


class MemorySource:
    """Gives blobs in small pieces, and tells which were asked for from where on.

    Attributes:
        asked: digest and offset of every blob that was opened.
        breaks_after: bytes after which it fails; None never.
    """

    def __init__(self, *bundles: Toy, piece_bytes: int = 300) -> None:
        self.blobs = {digest: data for bundle in bundles for digest, data in bundle.blobs.items()}
        self.asked: list[tuple[str, int]] = []
        self.breaks_after: int | None = None
        self._piece_bytes = piece_bytes

    @contextmanager
    def open(self, descriptor, offset):
        self.asked.append((descriptor.digest, offset))
        yield self._pieces(self.blobs[descriptor.digest][offset:])

    def _pieces(self, data):
        for at in range(0, len(data), self._piece_bytes):
            piece = data[at : at + self._piece_bytes]
            if self.breaks_after is not None:
                if self.breaks_after < len(piece):
                    raise UpdateError("the line broke")
                self.breaks_after -= len(piece)
            yield piece


def serves(path: str, limits: object) -> None:
    """Stands in for a rehearsal that goes well."""


def unheard(event: str, **details: object) -> None:
    """Stands in for the log."""


def new_store(disk: SimulatedDisk | None = None, **options: object) -> Store:
    return Store.create(FOLDER, device="d", disk=disk or SimulatedDisk(), say=unheard, **options)


def give(store: Store, bundle: Toy, source: MemorySource | None = None) -> None:
    """Fetch and activate a bundle."""
    store.fetch(source or MemorySource(bundle), bundle.digest, bundle.size)
    store.activate(bundle.digest, rehearse=serves)


def make_current(store: Store, bundle: Toy) -> None:
    give(store, bundle)
    with store.start() as start:
        start.confirm()


def metadata(version: int) -> tuple[dict[str, bytes], dict[str, int], str]:
    """Files of metadata, the versions of its roles and the SHA-256 of its root."""
    versions = {"root": 1, "timestamp": version, "snapshot": version}
    files = {f"{role}.json": json.dumps({"version": number}).encode() for role, number in versions.items()}
    return files, versions, sha256(files["root.json"]).hexdigest()


def publish(store: Store, disk: SimulatedDisk, version: int, seen_s: int = 0) -> None:
    """Publish metadata from a scratch folder."""
    files, versions, root = metadata(version)
    scratch = f"/scratch/{version}"
    disk.make_folder(scratch)
    for name, content in files.items():
        if name not in disk.sizes(scratch):
            file = disk.create(f"{scratch}/{name}")
            disk.write(file, 0, content)
            disk.close(file)
    store.publish_metadata(scratch, versions, root, seen_s or version)


def assert_sound(state: State) -> None:
    """What holds of every state."""
    kept = state.bundles
    candidate = state.candidate and state.candidate.digest
    assert state.current is None or state.current not in {state.previous, candidate}
    assert not {*kept} & {bad.digest for bad in state.bad}, "nothing bad is kept"
    assert state.previous is None or state.current is not None
    assert state.candidate is None or 0 <= state.candidate.starts_left <= 3
    assert (state.metadata == 0) == (state.root is None)
    bad = [bad.digest for bad in state.bad]
    assert len({*bad}) == len(bad) <= 16
    assert len(state.history) <= 32


def assert_whole(store: Store) -> None:
    """What holds of every store: each byte of what it keeps is right."""
    assert_sound(store.state())
    assert store.verify().damaged == ()
    assert [bundle and bundle.digest for bundle in (store.current(), store.previous())] == [
        store.state().current,
        store.state().previous,
    ]
