"""The one place that calls the ``git`` command, always in an environment that is known.

No ``GIT_*`` variable of the caller gets in, no hook, monitor, signature, pager, prompt, maintenance or optional lock
gets a chance, and every call ends in time. A `Git` says where git runs: in the user's repository, where only
commands that write nothing are ever run, or in a scratch repository of ours, which no settings of the user reach.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from typing import IO, TYPE_CHECKING, NamedTuple

from edgerun_bundles.errors import ProvenanceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

TIMEOUT_S = 600.0
"""Seconds that one call may take; the largest are a fetch and the packing of a history."""

OUTPUT_MAX_BYTES = 2**28
CHUNK_BYTES = 2**20

_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.attributesFile": os.devnull,
    "core.autocrlf": "false",
    "core.safecrlf": "false",
    "core.askPass": "",
    "commit.gpgSign": "false",
    "log.showSignature": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    "fastimport.unpackLimit": "0",  # unpacking would renew the times of equal objects in the user's repository
    "pack.threads": "1",  # so that the same objects make the same bytes
    "i18n.logOutputEncoding": "UTF-8",
}

_VARIABLES = {
    "LC_ALL": "C",
    "LANGUAGE": "",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",  # it answers nothing
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",  # not ext, which runs any command
    "GIT_TRACE2": "0",
    "GIT_TRACE2_EVENT": "0",
    "GIT_TRACE2_PERF": "0",
}


class Git(NamedTuple):
    """Where and how git runs."""

    folder: Path
    variables: Mapping[str, str]
    """Environment variables on top of those that every call has."""


class Outcome(NamedTuple):
    """What one call gave."""

    code: int
    output: bytes
    message: str
    """What git said on standard error."""
    is_cut: bool
    """Whether git was stopped because it wrote more than it may; the output is then empty."""


def in_repository(folder: Path, *, ceiling: Path | None = None) -> Git:
    """Git as the user has set it up, for commands that only read; it looks for the repository below the ceiling."""
    return Git(folder, {"GIT_CEILING_DIRECTORIES": str(ceiling)} if ceiling else {})


def isolated(git_dir: Path, folder: Path, *, work_tree: Path | None = None) -> Git:
    """Git in a repository of ours, with none of the user's settings."""
    variables = {
        "GIT_DIR": str(git_dir),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "HOME": str(git_dir),
        "XDG_CONFIG_HOME": str(git_dir),
    }
    return Git(folder, variables | ({"GIT_WORK_TREE": str(work_tree)} if work_tree else {}))


def with_user_settings(git: Git) -> Git:
    """Git in the same repository of ours, with what the user has set for all of theirs."""
    kept = {name: value for name, value in git.variables.items() if name in ("GIT_DIR", "GIT_WORK_TREE")}
    return Git(git.folder, kept)


def run(
    git: Git, *arguments: str | bytes, stdin: Iterable[bytes] = (), output_max_bytes: int = OUTPUT_MAX_BYTES
) -> bytes:
    """Run a command and return what it writes.

    Raises:
        ProvenanceError: it failed, took too long, or wrote more than it may.
    """
    outcome = call(git, *arguments, stdin=stdin, output_max_bytes=output_max_bytes)
    return _checked(git, arguments, outcome, output_max_bytes).output


def run_with_messages(git: Git, *arguments: str | bytes) -> tuple[bytes, str]:
    """Run a command and return what it writes, and what it says besides.

    Raises:
        ProvenanceError: it failed, took too long, or wrote more than it may.
    """
    outcome = _checked(git, arguments, call(git, *arguments), OUTPUT_MAX_BYTES)
    return outcome.output, outcome.message


def call(
    git: Git, *arguments: str | bytes, stdin: Iterable[bytes] = (), output_max_bytes: int = OUTPUT_MAX_BYTES
) -> Outcome:
    """Run a command, whose failure is an answer too.

    Raises:
        ProvenanceError: git is not installed, or did not end in time.
    """
    with started(git, *arguments, stdin=stdin) as (process, messages):
        output = bytearray()
        while chunk := _output_of(process).read(CHUNK_BYTES):
            output += chunk
            if len(output) > output_max_bytes:
                return Outcome(-1, b"", "", is_cut=True)
        code = process.wait()
        messages.seek(0)
        return Outcome(code, bytes(output), messages.read().decode("utf-8", "replace").strip(), is_cut=False)


@contextlib.contextmanager
def started(
    git: Git, *arguments: str | bytes, stdin: Iterable[bytes] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Give a running command and the file of its messages; at the end of the block it does not run any more.

    Raises:
        ProvenanceError: git is not installed, or did not end in time.
    """
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = ["git", "--no-pager", "--literal-pathspecs", *settings, *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    with tempfile.TemporaryFile() as messages:
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell, and what a user names stands behind "--" or is checked
                command,
                cwd=git.folder,
                env={**kept, **_VARIABLES, **git.variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                start_new_session=True,  # without a terminal nothing can ask, and its children can be stopped with it
            )
        except FileNotFoundError as error:
            missing = str(git.folder) if not git.folder.is_dir() else "the git command"
            raise ProvenanceError(f"{missing} is not there") from error
        except OSError as error:
            raise ProvenanceError(f"{git.folder}: git cannot be started there: {error}") from error
        watch = _Watch(process)
        feeder = _Feeder(process, stdin)
        watch.start()
        feeder.start()
        try:
            yield process, messages
        finally:
            watch.cancel()
            _stop(process)
            feeder.join()
            _output_of(process).close()
        if watch.is_late:
            raise ProvenanceError(f"{git.folder}: git {_shown(arguments)} took more than {TIMEOUT_S:g} s")
        feeder.check()


def _checked(git: Git, arguments: tuple[str | bytes, ...], outcome: Outcome, output_max_bytes: int) -> Outcome:
    if outcome.is_cut:
        raise ProvenanceError(f"{git.folder}: git {_shown(arguments)} gave more than {output_max_bytes:,} bytes")
    if outcome.code:
        raise ProvenanceError(f"{git.folder}: git {_shown(arguments)}: {outcome.message or outcome.code}")
    return outcome


class _Watch(threading.Timer):
    """Stops a command that takes too long."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(TIMEOUT_S, self._stop_late)
        self.daemon = True
        self.is_late = False
        self._process = process

    def _stop_late(self) -> None:
        self.is_late = True
        _stop(self._process)


class _Feeder(threading.Thread):
    """Writes what a command reads, since whoever writes and reads in turns may wait for ever."""

    def __init__(self, process: subprocess.Popen[bytes], chunks: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._process, self._chunks = process, chunks
        self._error: Exception | None = None

    def run(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            for chunk in self._chunks:
                pipe.write(chunk)
        except BrokenPipeError:
            pass  # git ended early, and says why
        except Exception as error:  # noqa: BLE001 - check() raises it where it can be caught
            self._error = error
            _stop(self._process)  # it must not take half of its input for the whole
        with contextlib.suppress(BrokenPipeError):
            pipe.close()

    def check(self) -> None:
        if self._error is not None:
            raise self._error


def _output_of(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _shown(arguments: tuple[str | bytes, ...]) -> str:
    return os.fsdecode(arguments[0])
