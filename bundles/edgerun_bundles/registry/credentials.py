"""Who somebody is to a registry: from the environment, or from where docker, podman and skopeo keep it.

A name and password are given for one host and go to no other; they are in no message and no repr.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOST, USER, WORD = "EDGERUN_REGISTRY_HOST", "EDGERUN_REGISTRY_USERNAME", "EDGERUN_REGISTRY_PASSWORD"
HELPER_TIMEOUT_S = 60

_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_REFRESH_USER = "<token>"
"""What a helper answers as the user where the secret is a refresh token."""


class Credentials(NamedTuple):
    """A name and password, or a refresh token that stands for them."""

    username: str
    """The name; empty with a refresh token."""

    password: str
    """The password; empty with a refresh token."""

    refresh_token: str = ""
    """What the token service takes instead of both."""

    def __repr__(self) -> str:
        return f"Credentials({self.username!r}, ...)"


def find_credentials(host: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """Return what is known for a registry; None if it is to be asked as nobody.

    Looked for, in this order: the three environment variables, ``$REGISTRY_AUTH_FILE``,
    ``$XDG_RUNTIME_DIR/containers/auth.json``, ``$DOCKER_CONFIG/config.json`` or ``~/.docker/config.json``.

    Raises:
        RegistryError: a file cannot be read or is malformed, or a helper that it names fails.
    """
    if environ.get(HOST) == host and USER in environ and WORD in environ:
        return Credentials(environ[USER], environ[WORD])
    for path in _files(environ):
        found = _from_file(path, host, environ)
        if found is not None:
            return found
    return None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    if "REGISTRY_AUTH_FILE" in environ:
        yield Path(environ["REGISTRY_AUTH_FILE"])
    if "XDG_RUNTIME_DIR" in environ:
        yield Path(environ["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"
    if "DOCKER_CONFIG" in environ:
        yield Path(environ["DOCKER_CONFIG"]) / "config.json"
    elif "HOME" in environ:
        yield Path(environ["HOME"]) / ".docker" / "config.json"


def _from_file(path: Path, host: str, environ: Mapping[str, str]) -> Credentials | None:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RegistryError(f"{path} cannot be read: {error}") from error
    helpers, auths = _table(document, "credHelpers"), _table(document, "auths")
    helper = helpers.get(host)
    if isinstance(helper, str):
        return _from_helper(path, helper, host, environ)
    for known, entry in auths.items():
        if _host_of(known) == host and isinstance(entry, dict) and entry:
            return _from_entry(path, host, entry)
    store = document.get("credsStore") if isinstance(document, dict) else None
    return _from_helper(path, store, host, environ) if isinstance(store, str) and store else None


def _table(document: Any, field: str) -> dict[str, Any]:
    found = document.get(field) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _host_of(known: str) -> str:
    """The host of an entry: some tools write a URL."""
    return re.sub(r"^https?://", "", known).partition("/")[0]


def _from_entry(path: Path, host: str, entry: Mapping[str, Any]) -> Credentials | None:
    if isinstance(entry.get("identitytoken"), str) and entry["identitytoken"]:
        return Credentials("", "", entry["identitytoken"])
    if not isinstance(entry.get("auth"), str):
        return None
    try:
        username, colon, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise RegistryError(f"{path}: the entry of {host} has an 'auth' that is no base64 of name:password")
    return Credentials(username, password.rstrip("\0"))


def _from_helper(path: Path, helper: str, host: str, environ: Mapping[str, str]) -> Credentials | None:
    """Ask the program that keeps the secret; it says so where it has none."""
    if not _HELPER.fullmatch(helper):
        raise RegistryError(f"{path}: {helper!r} is no name of a credential helper")
    command = [f"docker-credential-{helper}", "get"]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own configuration names the program
            command, input=host.encode(), capture_output=True, timeout=HELPER_TIMEOUT_S, check=False, env=dict(environ)
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise RegistryError(f"{path}: {command[0]} failed: {type(error).__name__}") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("Secret"), str):
        return None
    if answer.get("Username") == _REFRESH_USER:
        return Credentials("", "", answer["Secret"])
    return Credentials(str(answer.get("Username", "")), answer["Secret"])
