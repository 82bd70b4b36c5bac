"""TUF repositories as bundles/REPOSITORY.md lays them out, made with python-tuf's own API and none of edgerun_bundles.

The keys are in the hands of the test, which can play any owner, and any thief.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from edgerun.artifact import Layer, config_of, digest_of, hex_of, manifest_of, media_type_of
from edgerun.update.channel import Channel, Release, write_channel
from support import models

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

DAY = dt.timedelta(days=1)
NAME, CHANNEL = "cards", "stable"
PUBLISHER, OWNER = f"bundle-{NAME}", f"channel-{CHANNEL}"


def small_bundle(name: str = NAME, version: str = "1.0.0", factor: float = 2.0, **more: Any) -> dict[str, bytes]:
    """The files of a bundle that serves ``y = factor * x``."""
    example = {"inputs": {"x": [[1.0, 2.0]]}, "outputs": {"only": {"y": [[factor, 2 * factor]]}}}
    description = {
        "format": 1,
        "name": name,
        "version": version,
        "models": {"only": "models/only.onnx"},
        "route": "only",
        "nodes": {},
        "golden": "golden.json",
        **more,
    }
    return {
        "bundle.json": json.dumps(description).encode(),
        "golden.json": json.dumps([example]).encode(),
        "models/only.onnx": models.steady(factor),
    }


class TufRepository:
    """A repository in a folder, and everybody's keys.

    ``roles`` holds the metadata as its owners would change it next; ``publish`` signs and writes what changed.
    """

    def __init__(self, folder: Path, thresholds: Mapping[str, int] | None = None) -> None:
        self.folder = folder
        for inner in ("metadata", "blobs/sha256"):
            (folder / inner).mkdir(parents=True, exist_ok=True)
        thresholds = thresholds or {}
        self.keys: dict[str, list[CryptoSigner]] = {
            role: [CryptoSigner.generate_ed25519() for _ in range(thresholds.get(role, 1))]
            for role in ("root", "timestamp", "snapshot", "targets", PUBLISHER, OWNER)
        }
        self.expires = {role: dt.datetime.now(dt.UTC).replace(microsecond=0) + 30 * DAY for role in self.keys}
        root = Root(expires=self.expires["root"], consistent_snapshot=True)
        for role in ("root", "timestamp", "snapshot", "targets"):
            for key in self.keys[role]:
                root.add_key(key.public_key, role)
            root.roles[role].threshold = thresholds.get(role, 1)
        targets = Targets(expires=self.expires["targets"])
        targets.delegations = Delegations({}, {})
        for role, paths in ((PUBLISHER, f"bundles/{NAME}/*"), (OWNER, f"channels/{CHANNEL}/*")):
            targets.delegations.roles[role] = DelegatedRole(role, [], thresholds.get(role, 1), True, [paths])
            for key in self.keys[role]:
                targets.add_key(key.public_key, role)
        snapshot = Snapshot(expires=self.expires["snapshot"])
        snapshot.meta = {f"{role}.json": MetaFile(1) for role in ("targets", PUBLISHER, OWNER)}
        self.roles: dict[str, Any] = {
            "root": root,
            "targets": targets,
            PUBLISHER: Targets(expires=self.expires[PUBLISHER]),
            OWNER: Targets(expires=self.expires[OWNER]),
            "snapshot": snapshot,
            "timestamp": Timestamp(expires=self.expires["timestamp"]),
        }
        for role in self.roles:
            self.write(role)

    @property
    def root_file(self) -> Path:
        """The first root, as devices are given it."""
        return self.folder / "metadata" / "1.root.json"

    # What owners do.

    def add_bundle(self, files: Mapping[str, bytes], version: str = "1.0.0", name: str = NAME) -> str:
        """Put a bundle into the publishers' role; returns its digest. It counts once it is published."""
        layers = [
            Layer(path, media_type_of(path), self.add_blob(content), len(content)) for path, content in files.items()
        ]
        self.add_blob(config_of(name, version, layers))
        return self.add_manifest(manifest_of(name, version, layers), version, name)

    def add_manifest(self, manifest: bytes, version: str, name: str = NAME) -> str:
        digest = self.add_blob(manifest)
        self.roles[PUBLISHER].targets[f"bundles/{name}/{version}"] = target(f"bundles/{name}/{version}", manifest)
        return digest

    def set_channel(self, *releases: Release | str, name: str = NAME) -> None:
        """Say which versions who gets. It counts once it is published."""
        made = tuple(Release(release) if isinstance(release, str) else release for release in releases)
        self.set_document(write_channel(Channel(CHANNEL, name, made)), name)

    def set_document(self, document: bytes, name: str = NAME) -> None:
        self.add_blob(document)
        path = f"channels/{CHANNEL}/{name}"
        self.roles[OWNER].targets[path] = target(path, document)

    def add_blob(self, content: bytes) -> str:
        digest = digest_of(content)
        self.blob(digest).write_bytes(content)
        return digest

    def blob(self, digest: str) -> Path:
        return self.folder / "blobs" / "sha256" / hex_of(digest)

    def publish(self, *roles: str) -> None:
        """Sign the next version of these roles, and of snapshot and timestamp."""
        for role in roles:
            self.roles[role].version += 1
            self.write(role)
            if role != "root":
                self.roles["snapshot"].meta[f"{role}.json"] = MetaFile(self.roles[role].version)
        self.roles["snapshot"].version += 1
        self.write("snapshot")
        self.renew()

    def renew(self) -> None:
        """Sign the next timestamp."""
        timestamp = self.roles["timestamp"]
        timestamp.snapshot_meta = MetaFile(self.roles["snapshot"].version)
        timestamp.version += 1
        self.write("timestamp")

    def release(self, version: str = "1.0.0", factor: float = 2.0, **more: Any) -> str:
        """Publish a small bundle and give it to everybody; returns its digest."""
        digest = self.add_bundle(small_bundle(version=version, factor=factor, **more), version)
        self.set_channel(version)
        self.publish(PUBLISHER, OWNER)
        return digest

    def rotate_root(self, *roles: str, signers: Iterable[CryptoSigner] | None = None) -> None:
        """Publish a root with other keys for these roles, signed by the old and the new keys of root.

        Args:
            roles: whose keys are replaced; every file of these roles is signed anew.
            signers: who signs, instead.
        """
        root = self.roles["root"]
        old = self.keys["root"]
        for role in roles:
            for key in self.keys[role]:
                root.revoke_key(key.public_key.keyid, role)
            self.keys[role] = [CryptoSigner.generate_ed25519() for _ in self.keys[role]]
            for key in self.keys[role]:
                root.add_key(key.public_key, role)
        root.version += 1
        keys = {key.public_key.keyid: key for key in [*old, *self.keys["root"]]}
        self.write("root", [*keys.values()] if signers is None else signers)

    # What is written.

    def write(self, role: str, signers: Iterable[CryptoSigner] | None = None) -> Path:
        path = self.path(role)
        path.write_bytes(self.signed(role, signers))
        return path

    def signed(self, role: str, signers: Iterable[CryptoSigner] | None = None) -> bytes:
        """The file of a role, signed by its owners or by whoever else."""
        return signed(self.roles[role], self.keys[role] if signers is None else signers)

    def path(self, role: str) -> Path:
        number = "" if role == "timestamp" else f"{self.roles[role].version}."
        return self.folder / "metadata" / f"{number}{role}.json"


def signed(body: Any, signers: Iterable[CryptoSigner]) -> bytes:
    metadata = Metadata(body)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()


def target(path: str, content: bytes) -> TargetFile:
    return TargetFile.from_data(path, content, ["sha256"])
