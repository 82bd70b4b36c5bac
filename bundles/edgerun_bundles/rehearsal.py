"""Running a bundle as a device would, in a process of its own, to see how much time and memory it takes.

Run as a program with a bundle's folder, it prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from edgerun import bundle
from edgerun.errors import BundleError, EdgerunError
from edgerun.golden import check_golden

TIMEOUT_S = 600
_BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024


class Rehearsal(NamedTuple):
    """What a bundle took on this machine."""

    latency_s: float
    """The slowest golden example, through all its models; 0 where there are none."""

    memory_bytes: int
    """The memory of the whole process at its peak."""


def rehearse(folder: Path) -> Rehearsal:
    """Load a bundle in a process of its own and reproduce its golden examples.

    Raises:
        BundleError: it cannot be loaded, an example does not reproduce, or the process died or did not end.
    """
    command = [sys.executable, "-P", "-m", __name__, str(folder)]  # -P: nothing of the folder that one is in
    try:
        done = subprocess.run(  # noqa: S603 - this module, and a path that is no option
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{folder} was not loaded and run within {TIMEOUT_S} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        why = said[-1] if said else "it said nothing"
        raise BundleError(why if done.returncode == 1 else f"the process that ran {folder} died: {why}")
    return Rehearsal(**json.loads(done.stdout))


def run(folder: Path) -> Rehearsal:
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
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_OF_MAXRSS
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) * 1024


def main() -> int:
    """Run the bundle that the command line names, and print what it took."""
    try:
        print(json.dumps(run(Path(sys.argv[1]))._asdict()))
    except EdgerunError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
