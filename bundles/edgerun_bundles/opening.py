"""Whatever a bundle comes as (a folder, a tar, a layout, a pin), made into a folder that `EdgeRunner.open` serves.

A pin is NAME@VERSION of a repository that this workstation trusts; a file or folder of that name goes first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from edgerun.artifact import DESCRIPTION, check_name, check_version
from edgerun.errors import BundleError
from edgerun_bundles.archive import read_archive
from edgerun_bundles.layout import Layout, is_layout, read_layout, unpack


class Whole(NamedTuple):
    """A bundle's folder, and the layout that it came in."""

    folder: Path
    layout: Layout | None
    """None where the bundle was given as a folder."""


def open_bundle(source: str | os.PathLike[str], scratch: str | os.PathLike[str], repository: str | None = None) -> Path:
    """Return a bundle's folder.

    Args:
        source: a bundle's folder, which is returned as it is; an OCI layout, a tar of one, or NAME@VERSION of a
            repository, which is verified and unpacked.
        scratch: a folder of the caller's, where it is unpacked; it must outlive the bundle.
        repository: the repository's place; None is that of EDGERUN_REPOSITORY, or the default.

    Raises:
        BundleError: it is none of these, or something in it is not what it should be.
        InputError: it is a pin, and no repository is chosen.
        RepositoryError: it is a pin, and cannot be had.
    """
    return open_whole(source, scratch, repository).folder


def open_whole(source: str | os.PathLike[str], scratch: str | os.PathLike[str], repository: str | None = None) -> Whole:
    """Return a bundle's folder with its layout, where its provenance is; else as `open_bundle`.

    Raises:
        BundleError: as `open_bundle`.
        InputError: as `open_bundle`.
        RepositoryError: as `open_bundle`.
    """
    path = Path(source)
    if (path / DESCRIPTION).is_file():
        return Whole(path, None)
    layout = open_packed(path, scratch, repository)
    return Whole(unpack(layout, Path(scratch) / "bundle"), layout)


def open_packed(
    source: str | os.PathLike[str], scratch: str | os.PathLike[str], repository: str | None = None
) -> Layout:
    """Return the layout of a tar, of a folder that holds one, or of a pin, with every blob verified.

    Raises:
        BundleError: it is none of these, or something in it is not what it should be.
        InputError: as `open_bundle`.
        RepositoryError: as `open_bundle`.
    """
    path = Path(source)
    pin = parse_pin(os.fspath(source))
    if pin is not None and not path.exists():
        from edgerun_bundles.repository.workplace import Workplace  # noqa: PLC0415 - the TUF library is slow to load

        return Workplace.open(repository).fetch(*pin, Path(scratch) / "layout")
    if is_layout(path):
        return read_layout(path)
    if path.is_file():
        return read_archive(path, Path(scratch) / "layout")
    what = "holds no bundle" if path.is_dir() else "is neither a file nor a folder"
    raise BundleError(f"{path} {what}; give a bundle's folder, its .tar, its OCI layout or NAME@VERSION")


def parse_pin(text: str) -> tuple[str, str] | None:
    """Return the name and version of ``NAME@VERSION``; None where a text is no such thing."""
    name, at, version = text.partition("@")
    try:
        return (check_name(name), check_version(version)) if at else None
    except BundleError:
        return None
