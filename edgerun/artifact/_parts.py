"""The parts of a manifest: digests, paths, descriptors, and the kinds of files. Pure; everything is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from edgerun._shown import shown
from edgerun.errors import BundleError
from edgerun.limits import LIMITS, Limits

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PATH = re.compile(r"[!-9;-\[\]-~ ]+")
"""Printable ASCII, without the colon and the backslash, which other systems read as more than a name."""


class Kind(NamedTuple):
    """One kind of the files of a bundle."""

    paths: re.Pattern[str]
    """Where such a file lies."""

    media_type: str
    """Of its layer."""

    limit: str | None = None
    """The limit on its bytes, by its name in Limits; None where only the bundle has one."""


_KINDS = (
    Kind(re.compile(r"bundle\.json"), "application/vnd.cncf.model.weight.config.v1.raw", "bundle_json_max_bytes"),
    Kind(re.compile(r"golden[^/]*\.json"), "application/vnd.cncf.model.dataset.v1.raw"),
    Kind(re.compile(r"profile[^/]*\.bin"), "application/vnd.cncf.model.dataset.v1.raw", "profile_max_bytes"),
    Kind(re.compile(r"models/[^/]+\.onnx"), "application/vnd.cncf.model.weight.v1.raw"),
)


class Descriptor(NamedTuple):
    """Which blob is meant: what it is, its digest, its size in bytes."""

    media_type: str
    """The media type, such as ``application/octet-stream``."""

    digest: str
    """``sha256:`` and 64 hexadecimal digits."""

    size: int
    """Bytes."""


class Layer(NamedTuple):
    """One file of a bundle and the blob that holds it."""

    path: str
    """Where the file lies in the bundle."""

    media_type: str
    """The kind of the file, which its path determines."""

    digest: str
    """``sha256:`` and 64 hexadecimal digits."""

    size: int
    """Bytes."""


def check_digest(value: Any, where: str) -> str:
    """Return a digest.

    Raises:
        BundleError: it is no SHA-256 in the one way to write it.
    """
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise BundleError(f"{where} must be 'sha256:' and 64 lower-case hexadecimal digits, got {shown(value)}")
    return value


def hex_of(digest: str) -> str:
    """Return the digits of a digest: the name of its blob's file."""
    return digest.removeprefix("sha256:")


def check_path(path: Any, limits: Limits = LIMITS) -> str:
    """Return the path of a file of a bundle.

    Raises:
        BundleError: it is absolute, climbs, is too long, or has a character that some system reads as more than a name.
    """
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise BundleError(f"the path {shown(path)} must be printable ASCII without colon and backslash")
    if len(path) > limits.path_max_bytes:
        raise BundleError(f"the path {shown(path)} has {len(path)} bytes; at most {limits.path_max_bytes}")
    if {"", ".", ".."} & {*path.split("/")}:
        raise BundleError(f"the path {shown(path)} must be relative, without empty parts, '.' and '..'")
    return path


def media_type_of(path: str) -> str:
    """Return the media type of a file of a bundle.

    Raises:
        BundleError: no file of a bundle lies there.
    """
    return kind_of(path).media_type


def kind_of(path: str) -> Kind:
    """Return the kind of a file of a bundle.

    Raises:
        BundleError: no file of a bundle lies there.
    """
    for kind in _KINDS:
        if kind.paths.fullmatch(path):
            return kind
    raise BundleError(
        f"the path {shown(path)} is no file of a bundle: "
        "there are bundle.json, golden*.json, profile*.bin and models/*.onnx"
    )


def take_object(value: Any, where: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return an object that has exactly the fields that it may have.

    Raises:
        BundleError: it is no object, or a field is missing or unknown.
    """
    if not isinstance(value, Mapping):
        raise BundleError(f"{where} must be an object, got {shown(value)}")
    for field in needed:
        if field not in value:
            raise BundleError(f"{where}: the field {field!r} is missing")
    for field in value:
        if field not in needed and field not in optional:
            raise BundleError(f"{where}: unknown field {shown(field)}; known: {', '.join((*needed, *optional))}")
    return value


def parse_descriptor(value: Mapping[str, Any], where: str, limits: Limits = LIMITS) -> Descriptor:
    """Read the three fields that every descriptor has.

    Raises:
        BundleError: one is missing or wrong.
    """
    media_type, size = value.get("mediaType"), value.get("size")
    if not isinstance(media_type, str):
        raise BundleError(f"{where}: 'mediaType' must be a text, got {shown(media_type)}")
    if type(size) is not int or not 0 <= size <= limits.layer_max_bytes:
        raise BundleError(f"{where}: 'size' must be from 0 to {limits.layer_max_bytes} bytes, got {shown(size)}")
    return Descriptor(media_type, check_digest(value.get("digest"), f"{where}: 'digest'"), size)


def check_annotations(value: Any, where: str) -> Mapping[str, str]:
    """Return annotations, which are texts by name.

    Raises:
        BundleError: they are something else.
    """
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise BundleError(f"{where} must be an object of texts, got {shown(value)}")
    return value
