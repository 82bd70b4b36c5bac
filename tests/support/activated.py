"""Stores whose bundles tell their version, brought there as a device gets them: laid out, fetched, activated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgerun import bundle
from edgerun.store import FolderSource, Store
from edgerun_bundles.layout_write import write_layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GOLDEN = [{"inputs": {"x": [[1.0, 2.0]]}}]


def take(path: Any, limits: Any) -> None:
    """A rehearsal that finds nothing wrong."""


def lay_out(
    place: Path,
    version: str,
    models: Mapping[str, bytes],
    nodes: Mapping[str, Any] | None = None,
    golden: list[dict[str, Any]] | None = None,
    limits: Mapping[str, Any] | None = None,
) -> tuple[Path, str, int]:
    """Write and lay out a bundle; return the layout, and the digest and size of the manifest."""
    folder = place / f"bundle-{version}"
    (folder / "given").mkdir(parents=True)
    paths = {}
    for name, model in models.items():
        paths[name] = folder / "given" / f"{name}.onnx"
        paths[name].write_bytes(model)
    given = {"name": "kept", "version": version, "models": paths, "nodes": nodes or {}, "limits": limits or {}}
    route = next(reversed(nodes or models))
    bundle.write(folder / "bundle", **given, route=route, golden=GOLDEN if golden is None else golden)
    found = write_layout(folder / "bundle", folder / "layout").manifest
    return folder / "layout", found.digest, found.size


def activate(store: Store, layout: tuple[Path, str, int], rehearse: Any = take) -> str:
    """Fetch and activate a bundle; return its digest."""
    folder, digest, size = layout
    store.fetch(FolderSource(folder), digest, size)
    store.activate(digest, rehearse=rehearse)
    return digest


def install(store: Store, layout: tuple[Path, str, int]) -> str:
    """Make a bundle the current one, as if it had proven healthy."""
    digest = activate(store, layout)
    start = store.start()
    assert start is not None
    assert start.bundle.digest == digest
    start.confirm()
    return digest
