"""Running a bundle in a process of its own, to see whether it serves here, and how much time and memory it takes.

Whatever a bundle does to that process (crash, hang, take all memory) becomes a `BundleError` that says so; it never
harms the one that asks. Run as a program with a bundle's folder, this module prints one line of JSON.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun import bundle
from edgerun._shown import shown
from edgerun.errors import BundleError, EdgerunError
from edgerun.golden import check_golden

if TYPE_CHECKING:
    from edgerun.requirements import Allowance

TIMEOUT_S = 600
"""Seconds after which a process that loads and runs a bundle hangs."""

_REFUSED = 1
"""The exit code of a process that found something wrong; any other but 0 is a death."""

_FIRST_TO_KILL = "1000"
"""Of Linux's ``oom_score_adj``: where memory runs out this process goes, and not one that serves."""

_BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024


class Rehearsal(NamedTuple):
    """What a bundle took on this machine."""

    latency_s: float
    """The slowest golden example, through all its models; 0 where there are none."""

    memory_bytes: int
    """The memory of the whole process at its peak."""


def rehearse(source: str | os.PathLike[str], limits: Allowance, *, timeout_s: float = TIMEOUT_S) -> Rehearsal:
    """Load a bundle in a process of its own and reproduce its golden examples within limits.

    Args:
        source: the bundle's folder.
        limits: what it may take, as the bundle says.
        timeout_s: seconds that the process may take.

    Raises:
        BundleError: as measure(), or a limit is passed.
    """
    taken = measure(source, timeout_s=timeout_s)
    if limits.latency_s is not None and taken.latency_s > limits.latency_s:
        raise BundleError(f"a golden example took {taken.latency_s:.3g} s here; 'limits' allows {limits.latency_s} s")
    if limits.memory_bytes is not None and taken.memory_bytes > limits.memory_bytes:
        raise BundleError(f"it took {taken.memory_bytes} bytes of memory; 'limits' allows {limits.memory_bytes}")
    return taken


def measure(source: str | os.PathLike[str], *, timeout_s: float = TIMEOUT_S) -> Rehearsal:
    """Load a bundle in a process of its own and reproduce its golden examples.

    Args:
        source: the bundle's folder.
        timeout_s: seconds that the process may take.

    Raises:
        BundleError: it cannot be loaded, an example does not reproduce, or the process died, did not end, or said
            something else than what it took.
    """
    # -P: nothing of the folder that one is in
    command = [sys.executable, "-P", "-m", __name__, os.fspath(source), str(math.ceil(timeout_s))]
    try:
        done = subprocess.run(  # noqa: S603 - this module, and a path that is no option
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{source} was not loaded and run within {timeout_s:g} s: it hangs or is slow") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"no process could be started to run {source} in: {error}") from error
    if done.returncode:
        raise BundleError(_why(source, done.returncode, done.stderr.decode(errors="replace")))
    return _parse(source, done.stdout)


def _why(source: Any, code: int, said: str) -> str:
    """Return why a process ended badly."""
    lines = said.strip().splitlines()
    last = lines[-1][:1000] if lines else "it said nothing"
    if code == _REFUSED and lines:
        return last
    if code == -signal.SIGKILL:
        return f"the process that ran {source} was killed, most likely since memory ran out: {last}"
    if code < 0:
        return f"the process that ran {source} died of signal {-code} ({_signal_name(-code)}): {last}"
    return f"the process that ran {source} died with code {code}: {last}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals
        return "no name"


def _parse(source: Any, said: bytes) -> Rehearsal:
    """Return what a process says that the bundle took; it is believed to be honest, but not to be alone there."""
    try:
        found = json.loads(said)
        latency_s, memory_bytes = found["latency_s"], found["memory_bytes"]
        if type(latency_s) is float and math.isfinite(latency_s) and type(memory_bytes) is int:
            return Rehearsal(latency_s, memory_bytes)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    text = said[:200].decode(errors="replace")
    raise BundleError(f"the process that ran {source} said {shown(text)}, which is not what it took")


def run(folder: str) -> Rehearsal:
    """Load a bundle in this process and reproduce its golden examples.

    Raises:
        EdgerunError: it cannot be loaded, or an example does not reproduce.
    """
    found = bundle.read(folder)
    sessions = bundle.open_sessions(found.models, found.graph, threads=1)
    check_golden(sessions, found.golden)  # the first runs allocate, and count for memory only
    slowest = 0.0
    for example in found.golden:
        started = time.perf_counter()
        check_golden(sessions, [example])
        slowest = max(slowest, time.perf_counter() - started)
    return Rehearsal(slowest, peak_memory_bytes())


def peak_memory_bytes() -> int:
    """Return the memory of this process at its peak.

    On Linux getrusage() would tell the parent's peak where that is higher: a new program inherits it.
    """
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            status = file.read()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_OF_MAXRSS
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) * 1024


def _stand_in_front() -> None:
    """Be the first process to go where memory runs out. Where the system has no such thing, it chooses itself."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(_FIRST_TO_KILL)
    except OSError:
        return


def main() -> int:
    """Run the bundle that the command line names, for at most the seconds it says, and print what it took."""
    signal.alarm(int(sys.argv[2]) + 1)  # whoever asked may be gone: then nobody else ends this process
    _stand_in_front()
    try:
        print(json.dumps(run(sys.argv[1])._asdict()))
    except EdgerunError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
