"""A device whose disk is full: it syncs twice, and says what came of it.

``python full_store.py FOLDER URL TOKEN``, in a mount namespace of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from edgerun.log.handover import segment_files
from edgerun.log.policy import LogPolicy
from edgerun.log.rows import Kind, Note
from edgerun.log.writer import LogWriter
from edgerun_sync.agent import Agent, SyncPolicy
from edgerun_sync.agent.enrolment import Enrolment, machine_hash, write_enrolment

BYTES = 512 * 1024


def main(folder: str, url: str, token: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "tmpfs", folder], check=True)
    write_enrolment(
        folder, Enrolment(url, "pump-7", token, machine=machine_hash(), instance="0" * 16, rotated_s=time.time())
    )
    writer = LogWriter(f"{folder}/log", policy=LogPolicy())
    writer.write(None, [Note(Kind.LABEL, number, {"id": f"a-{number}", "value": number}) for number in range(3000)])
    writer.close()
    with suppress(OSError), Path(folder, "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    for _ in range(2):
        before = len(segment_files(f"{folder}/log"))
        synced = Agent(folder, SyncPolicy(timeout_s=20)).sync()
        found = {"before": before, "segments": synced.uplink.segments, "problems": synced.problems}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
