"""Whatever a bundle comes as (a folder, a tar, a layout), made into a folder that `EdgeRunner.open` serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun.artifact import DESCRIPTION
from edgerun.errors import BundleError
from edgerun_bundles.archive import read_archive
from edgerun_bundles.layout import Layout, is_layout, read_layout, unpack

if TYPE_CHECKING:
    import os


class Whole(NamedTuple):
    """A bundle's folder, and the layout that it came in."""

    folder: Path
    layout: Layout | None
    """None where the bundle was given as a folder."""


def open_bundle(source: str | os.PathLike[str], scratch: str | os.PathLike[str]) -> Path:
    """Return a bundle's folder.

    Args:
        source: a bundle's folder, which is returned as it is; an OCI layout, or a tar of one, which is verified and
            unpacked.
        scratch: a folder of the caller's, where it is unpacked; it must outlive the bundle.

    Raises:
        BundleError: it is none of these, or something in it is not what it should be.
    """
    return open_whole(source, scratch).folder


def open_whole(source: str | os.PathLike[str], scratch: str | os.PathLike[str]) -> Whole:
    """Return a bundle's folder with its layout, where its provenance is; else as `open_bundle`.

    Raises:
        BundleError: as `open_bundle`.
    """
    path = Path(source)
    if (path / DESCRIPTION).is_file():
        return Whole(path, None)
    layout = open_packed(path, scratch)
    return Whole(unpack(layout, Path(scratch) / "bundle"), layout)


def open_packed(source: str | os.PathLike[str], scratch: str | os.PathLike[str]) -> Layout:
    """Return the layout of a tar, or of a folder that holds one, with every blob verified.

    Raises:
        BundleError: it is neither, or something in it is not what it should be.
    """
    path = Path(source)
    if is_layout(path):
        return read_layout(path)
    if path.is_file():
        return read_archive(path, Path(scratch) / "layout")
    what = "holds no bundle" if path.is_dir() else "is neither a file nor a folder"
    raise BundleError(f"{path} {what}; give a bundle's folder, its .tar or its OCI layout")
