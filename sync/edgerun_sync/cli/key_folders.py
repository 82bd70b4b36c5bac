"""Folders of private keys that ``edgerun collector serve`` is given, opened when it starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from edgerun_bundles.repository.keys import KeyFolder

PASSPHRASE_VARIABLE = "EDGERUN_KEY_PASSPHRASE"  # noqa: S105 - the name of it


def opened_keys(folder: Path, option: str, advice: str = "") -> KeyFolder:
    """Open the keys of a folder now, so that a wrong passphrase is told at the start and not when they are needed.

    Args:
        folder: of the keys.
        option: that named it.
        advice: what to do where there is no private key.

    Raises:
        UsageError: there is no passphrase, or no private key.
        RepositoryError: a key cannot be opened.
    """
    from edgerun_bundles.repository.keys import KeyFolder  # noqa: PLC0415 - brings cryptography

    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    if passphrase is None:
        raise click.UsageError(f"{option} needs their passphrase in {PASSPHRASE_VARIABLE}")
    found = KeyFolder(folder, lambda _: passphrase.encode())
    if not found.signers([file.key.keyid for file in found.files]):
        raise click.UsageError(f"{folder} holds no private key{advice and f'; {advice}'}")
    return found
