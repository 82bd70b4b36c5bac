"""Tells bundles that were built from code: an untracked one is not captured.

A bundle carries its own provenance. Were it captured as code, each build beside the former ones would hold them all
again, and a handful of builds would fill the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgerun_bundles.provenance.working_tree import Disk

REASON = "a bundle that was built, and no code"
_SUFFIX = b".tar"
_FIRST_ENTRY = b"blobs/\0"
_MAGIC, _MAGIC_OFFSET = b"ustar", 257
_MARKER = b"/oci-layout"
_PARTS = (b"oci-layout", b"index.json", b"blobs/sha256/")


def built_bundles(disk: Disk, paths: Iterable[bytes]) -> dict[bytes, str]:
    """Return those of a working tree's paths that belong to archives or layouts of bundles, and why they are none."""
    given = list(paths)
    layouts = tuple(path.removesuffix(_MARKER) + b"/" for path in given if path.endswith(_MARKER))
    inside = (path for path in given for layout in layouts if _is_part(path, layout))
    return dict.fromkeys((*inside, *(path for path in given if _is_archive(disk, path))), REASON)


def _is_part(path: bytes, layout: bytes) -> bool:
    rest = path.removeprefix(layout)
    return rest != path and rest.startswith(_PARTS)


def _is_archive(disk: Disk, path: bytes) -> bool:
    if not path.endswith(_SUFFIX) or (disk.size(path) or 0) <= _MAGIC_OFFSET:
        return False
    try:
        head = disk.content(path, _MAGIC_OFFSET + len(_MAGIC))
    except OSError:  # the survey will meet it again, and say so
        return False
    return head.startswith(_FIRST_ENTRY) and head[_MAGIC_OFFSET:] == _MAGIC
