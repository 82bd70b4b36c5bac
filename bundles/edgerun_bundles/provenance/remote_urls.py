"""The address of a remote as it may be written down: without passwords and tokens, and not relative to a folder."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ADDRESS = re.compile(r"(?P<scheme>(?:[\w.+-]+::)?[\w.+-]+://)(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_SSH = re.compile(r"(?:(?P<user>[^/]*)@)?(?P<host>[^/:@]*|\[[^]/]*\]):(?P<path>.*)", re.DOTALL)
_HOST = re.compile(r"(?:[^:@]*|\[[^]]*\])(?::\d+)?\Z")
_PLAIN_USER = re.compile(r"[\w.-]*")
_COMMAND = "ext::"


def without_credentials(url: str) -> str:
    """Return an address without what may let somebody in.

    Of HTTP and the like the whole user part goes, since a token often stands in the user's place, and so do
    queries. Of SSH the user stays, being part of the address, and a password goes.
    """
    if url.startswith(_COMMAND):
        return f"{_COMMAND}(a command, left out)"
    if found := _ADDRESS.fullmatch(url):
        scheme, authority, rest = found.group("scheme", "authority", "rest")
        before, at, after = rest.rpartition("@")
        if at and ":" in _HOST.sub("", authority) + before:
            return f"{scheme}{re.split('[?#]', after)[0]}"  # a password with a slash that nobody escaped
        user, _, host = authority.rpartition("@")
        if scheme.rpartition("::")[2] in ("ssh://", "git+ssh://", "ssh+git://"):
            return f"{scheme}{_user(user)}{host}{rest}"
        return f"{scheme}{host}{re.split('[?#]', rest)[0] if scheme != 'file://' else rest}"
    if found := _SSH.fullmatch(url):
        return f"{_user(found['user'] or '')}{found['host']}:{found['path']}"
    return url


def absolute(url: str, folder: Path) -> str:
    """Return an address that does not depend on where it is used: git reads a relative path from the repository."""
    is_path = not _ADDRESS.fullmatch(url) and ":" not in url.partition("/")[0]
    return os.path.normpath(folder / url) if is_path else url


def _user(user: str) -> str:
    name = user.partition(":")[0]
    return f"{name}@" if name and _PLAIN_USER.fullmatch(name) else ""
