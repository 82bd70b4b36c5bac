"""A process that writes a log until it is killed, and says on its standard output which rows it was promised.

``python log_process.py FOLDER DURABILITY SEED``
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from random import Random

sys.path.insert(0, os.fspath(Path(__file__).parents[1]))

from edgerun.log.clocks import system_clocks
from edgerun.log.policy import LogPolicy
from edgerun.log.writer import LogWriter
from support.logs import SOURCES, batch_of, call, label


def main(folder: str, durability: str, seed: int) -> None:
    random, count = Random(seed), seed * 10**6
    policy = LogPolicy(durability=durability, segment_bytes=4000, seal_s=0.02)
    writer = LogWriter(folder, policy=policy)
    print("open", writer.epoch, flush=True)
    clocks = system_clocks()
    waiting: list[str] = []
    while True:
        calls, labels = random.choice([(1, 0), (3, 1), (0, 2), (40, 0)])
        rows = [call(count + i, time_us=count + i) for i in range(calls)]
        rows += [label(count + i) for i in range(labels)]
        count += max(calls, labels)
        writer.write(batch_of(rows), [], SOURCES)
        waiting += [
            f"call {row.sequence}" if row.sequence is not None else f"label {row.value['value']}" for row in rows
        ]
        writer.seal_due(clocks.monotonic_us())
        if is_sealed := random.random() < 0.1:
            writer.seal()
        if is_sealed or durability != "seal":
            os.write(1, ("\n".join(waiting) + "\n.\n").encode())
            waiting.clear()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
