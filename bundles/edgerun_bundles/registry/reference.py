"""Where in which registry a bundle is: ``oci://host[:port]/name[:tag][@digest]``. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from edgerun.artifact import check_digest
from edgerun.errors import InputError

SCHEME = "oci://"

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::([0-9]{1,5}))?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
NAME_MAX_BYTES = 255


class Reference(NamedTuple):
    """One manifest in one registry."""

    host: str
    """The host with its port, as a URL has them."""

    name: str
    """The repository."""

    tag: str | None = None
    """The tag, if one was given."""

    digest: str | None = None
    """The digest, if one was given; what is pulled must have it."""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{SCHEME}{self.host}/{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine, so that nobody else sees what is sent."""
        host = re.sub(r":\d+$", "", self.host).strip("[]")
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host.lower() == "localhost"


def parse_reference(text: str) -> Reference:
    """Read a reference.

    Raises:
        InputError: it is none.
    """
    if not text.startswith(SCHEME):
        raise InputError(f"{text!r} must start with {SCHEME}")
    rest, at, digest = text.removeprefix(SCHEME).partition("@")
    host, slash, path = rest.partition("/")
    name, colon, tag = path.partition(":")
    found = _HOST.fullmatch(host)
    if not slash or found is None or int(found[2] or 1) not in range(1, 65536):
        raise InputError(f"{text!r}: {host!r} is no host, as in {SCHEME}host:5000/name:tag")
    if not _NAME.fullmatch(name) or len(name) > NAME_MAX_BYTES:
        raise InputError(
            f"{text!r}: {name!r} is no repository: lower-case words, with . _ - between, and / between them"
        )
    if colon and not _TAG.fullmatch(tag):
        raise InputError(f"{text!r}: {tag!r} is no tag: letters, digits, and . _ - within, at most 128")
    if at:
        check_digest(digest, f"{text!r}: the digest")
    return Reference(host, name, tag or None, digest or None)


def tag_of_version(version: str) -> str:
    """Return the tag of a bundle's version: a tag cannot have the ``+`` that a version can."""
    return version.replace("+", "_")
