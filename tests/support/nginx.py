"""Debian's nginx as a process of the tests: it serves a folder as it lies, on a port of its own, and counts bytes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from support.docker_registry import START_S, free_port, wait_until_it_listens

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = """
daemon off;
worker_processes 1;
error_log stderr {level};
pid {work}/pid;
{user}
events {{}}
http {{
    default_type application/octet-stream;
    log_format wire escape=json
        '{{"uri": "$uri", "status": $status, "request": $request_length, "answer": $bytes_sent, '
        '"connection": $connection}}';
    access_log {work}/wire wire;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    {server}
}}
"""
SERVER = """server {{
        listen 127.0.0.1:{port} {tls};
        location / {{ root {folder}; {more} }}
    }}"""
DOCUMENTED = Path(__file__).parents[2] / "docs" / "collector.md"


class Exchange(NamedTuple):
    """A request and its answer, in bytes on the wire with all headers, as nginx counted them."""

    uri: str
    status: int
    request: int
    answer: int
    connection: int

    @property
    def bytes(self) -> int:
        return self.request + self.answer


class Nginx(NamedTuple):
    """An nginx that runs."""

    url: str
    port: int
    work: Path

    def exchanges(self) -> list[Exchange]:
        """What it answered since it was last asked. The log has a line when the whole answer was sent."""
        log = self.work / "wire"
        lines = log.read_text().splitlines()
        os.truncate(log, 0)
        return [Exchange(**json.loads(line)) for line in lines]


@contextmanager
def nginx_serving(folder: Path, work: Path, *, tls: tuple[Path, Path] | None = None, more: str = "") -> Iterator[Nginx]:
    """Serve a folder until the block ends.

    Args:
        folder: what is served.
        work: an empty folder for nginx's own files.
        tls: a certificate and its key, for TLS.
        more: directives for the folder.
    """
    port = free_port()
    server = SERVER.format(
        port=port,
        tls=f"ssl; ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]}" if tls else "",
        folder=folder,
        more=more,
    )
    with _running(server, port, work):
        yield Nginx(f"{'https' if tls else 'http'}://127.0.0.1:{port}", port, work)


@contextmanager
def nginx_as_documented(url: str, work: Path, tls: tuple[Path, Path]) -> Iterator[Nginx]:
    """Stand in front of a collector until the block ends, set up as docs/collector.md says.

    Args:
        url: of the collector.
        work: an empty folder for nginx's own files; ``errors`` there has its warnings.
        tls: a certificate and its key.
    """
    (server,) = re.findall(r"^```nginx\n(.*?)^```", DOCUMENTED.read_text(), re.MULTILINE | re.DOTALL)
    port = free_port()
    here = {"listen 443 ": f"listen 127.0.0.1:{port} ", " chain.pem;": f" {tls[0]};", " key.pem;": f" {tls[1]};",
            "http://127.0.0.1:8750;": f"{url};"}  # fmt: skip
    for said, meant in here.items():
        assert server.count(said) == 1, f"the document does not say {said!r} once"
        server = server.replace(said, meant)
    with _running(server, port, work, level="warn"):
        yield Nginx(f"https://127.0.0.1:{port}", port, work)


@contextmanager
def _running(server: str, port: int, work: Path, *, level: str = "error") -> Iterator[None]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert program, "nginx is missing: apt-get install nginx-light"
    user = "user root;" if os.geteuid() == 0 else ""  # pytest's folders are closed to others
    config = CONFIG.format(work=work, user=user, level=level, server=server)
    (work / "nginx.conf").write_text(config)
    with (work / "errors").open("w") as errors:
        process = subprocess.Popen([program, "-p", str(work), "-c", str(work / "nginx.conf")], stderr=errors)
    try:
        wait_until_it_listens(port, process)
        yield
    finally:
        process.terminate()
        process.wait(START_S)
