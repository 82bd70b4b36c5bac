"""The agent's own small files: replaced whole and durably, for their owner's eyes only."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from edgerun.disk import RealDisk
from edgerun_sync.errors import AgentError


def replace_file(path: str, content: bytes) -> None:
    """Write a file in place of what was there; its folder is there already.

    Raises:
        AgentError: it cannot be written; what was there stays.
    """
    folder = os.path.dirname(path)
    try:
        file, scratch = tempfile.mkstemp(prefix=".new-", dir=folder)
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(scratch, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(scratch)
            raise
        RealDisk().sync_folder(folder)
    except OSError as error:
        raise AgentError(f"{path} cannot be written: {error.strerror or error}") from error
