"""The head of a git bundle, read strictly: it comes from a file that anybody may have made.

The format is git's own (gitformat-bundle): a signature, capabilities (version 3), prerequisites, references, an empty
line, and a pack.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from edgerun_bundles.errors import ProvenanceError

_SIGNATURES = {b"# v2 git bundle": "sha1", b"# v3 git bundle": "sha1"}
_FORMATS = {b"@object-format=sha1": "sha1", b"@object-format=sha256": "sha256"}
_DIGITS = {"sha1": 40, "sha256": 64}
_LINE_MAX_BYTES = 4096


class BundleHeader(NamedTuple):
    """What a bundle says of itself."""

    object_format: str
    prerequisites: tuple[str, ...]
    tip: str
    """The commit of its one reference."""
    pack_offset: int


def read_header(bundle: bytes) -> BundleHeader:
    """Read the head of a bundle that has one reference.

    Raises:
        ProvenanceError: it is no such bundle.
    """
    line, offset = _line(bundle, 0)
    if line not in _SIGNATURES:
        raise ProvenanceError("the code's bundle is not a git bundle of version 2 or 3")
    object_format = _SIGNATURES[line]
    prerequisites, tips = [], []
    line, offset = _line(bundle, offset)
    while line:
        if line.startswith(b"@"):
            if line not in _FORMATS:
                raise ProvenanceError(f"the code's bundle needs {line[:80]!r}, which is not known here")
            object_format = _FORMATS[line]
        elif line.startswith(b"-"):
            prerequisites.append(checked_hash(line[1:].partition(b" ")[0].decode("latin-1"), object_format))
        else:
            tips.append(checked_hash(line.partition(b" ")[0].decode("latin-1"), object_format))
        line, offset = _line(bundle, offset)
    if len(tips) != 1:
        raise ProvenanceError(f"the code's bundle has {len(tips)} references instead of one")
    return BundleHeader(object_format, tuple(prerequisites), tips[0], offset)


def checked_hash(text: str, object_format: str) -> str:
    """Return a hash that is one.

    Raises:
        ProvenanceError: it is anything else, such as an option for a command.
    """
    if object_format not in _DIGITS or not re.fullmatch(f"[0-9a-f]{{{_DIGITS[object_format]}}}", text):
        raise ProvenanceError(f"the code's snapshot names {text[:80]!r} where a {object_format[:20]} hash belongs")
    return text


def _line(bundle: bytes, offset: int) -> tuple[bytes, int]:
    end = bundle.find(b"\n", offset, offset + _LINE_MAX_BYTES)
    if end < 0:
        raise ProvenanceError("the code's bundle is cut short, or is no git bundle")
    return bundle[offset:end], end + 1
