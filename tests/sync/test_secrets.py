"""No secret is ever written down: a collector and an agent as loud as can be, through all that a device's life has."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests

from edgerun.log import LogPolicy
from edgerun.log.rows import Kind, Note
from edgerun.log.writer import LogWriter
from edgerun_sync.agent.enrolment import FILE, read_enrolment, write_enrolment
from edgerun_sync.limits import LIMITS
from edgerun_sync.names import SEGMENT_TYPE
from support.fleet import made
from support.otlp import receiving
from support.proxy import proxying
from support.served import until
from sync.test_service_http import digest_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
LOUD = (
    "import logging, sys; logging.basicConfig(level=logging.DEBUG, stream=sys.stderr); "
    "logging.Logger.setLevel = lambda *_: None; "
    "from edgerun.cli import main; main(prog_name='edgerun')"
)
"""The command, with every logger of every library at DEBUG, whatever it is told."""
RECEIVERS = "s3cr3t-of-the-receiver-of-metrics"


class Life:
    """Whoever writes down what all processes of a test say, and which secrets there are."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder, folder / "output"
        self.output.mkdir()
        self.secrets = {RECEIVERS}
        self._runs = 0

    def begin(self, *arguments: object, **environment: str) -> subprocess.Popen:
        """Start a command; what it says is kept, apart from what other runs say."""
        self._runs += 1
        files = [self.output / f"{self._runs}.{name}" for name in ("out", "err")]
        with files[0].open("wb") as out, files[1].open("wb") as err:
            command = [sys.executable, "-c", LOUD, *map(str, arguments)]
            return subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, **environment})

    def run(self, *arguments: object, fails: bool = False) -> str:
        """Run a command to its end; returns its stdout."""
        status = self.begin(*arguments).wait(120)
        said = (self.output / f"{self._runs}.err").read_text()
        assert (status != 0) == fails, said
        return (self.output / f"{self._runs}.out").read_text()

    def tell(self, token: str) -> str:
        """Add a secret."""
        self.secrets.add(token)
        return token

    def leaks(self, *told_once: Path) -> list[tuple[str, str]]:
        """Which secrets, or long parts of them, are in which files, but for those that may tell one."""
        found = []
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in told_once:
                content = path.read_bytes()
                for secret in self.secrets:
                    part = re.sub(r"^er1_[a-z]+_", "", secret)[:20]
                    if part.encode() in content or part.encode().hex().encode() in content:
                        found.append((path.relative_to(self.folder).as_posix(), secret))
        return found


def sealed(store: Path, labels: int) -> None:
    writer = LogWriter(f"{store}/log", policy=LogPolicy())
    writer.write(None, [Note(Kind.LABEL, n, {"id": f"{n:016x}-1", "value": n}) for n in range(labels)])
    writer.close()


def rotated_long_ago(store: Path) -> None:
    write_enrolment(str(store), read_enrolment(str(store))._replace(rotated_s=0.0))


def test_no_token_is_in_any_output_or_file_but_where_it_is_told_or_kept(tmp_path):
    life, data, store = Life(tmp_path), tmp_path / "data", tmp_path / "store"
    with receiving() as receiver:
        receiver.answer = lambda _: (401, {}, RECEIVERS.encode())
        options = ["--data", data, "--listen", "127.0.0.1:0", "--otlp-arms", "--otlp-every", "0.3"]
        headers = {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {RECEIVERS}"}
        collector = life.begin("collector", "serve", *options, "--otlp", receiver.url, **headers)
        out = life.output / "1.out"
        try:
            until(lambda: "collector at" in out.read_text() or collector.poll() is not None)
            url = re.search(r"collector at (http://[^,]+),", out.read_text())[1]
            admin = life.tell(re.search(r"er1_admin_\S+", out.read_text())[0])
            with proxying(url) as proxy:
                told = device_lives(life, data, store, proxy)
            provoke(life, url, admin, read_enrolment(str(store)).token)
            until(lambda: len(receiver.received) >= 4)
            revoke_and_sync(life, url, admin, store)
            (data / "segments").rename(data / "gone")
            (data / "segments").write_text("no folder: the store fails")
            assert put(url, life.tell(device_of(life, url, admin)), made("pump-9", 1)[0]).status_code == 503
        finally:
            collector.send_signal(signal.SIGINT)
            assert collector.wait(60) == 0
    log = (life.output / "1.err").read_text()
    statuses = {int(status) for status in re.findall(r'"status": (\d+)', log)}
    assert {201, 401, 403, 409, 413, 422, 503} <= statuses
    assert '"metrics could not be sent"' in log
    assert "DEBUG" in log, "the libraries were loud"
    assert len(life.secrets) >= 8
    assert (store / FILE).stat().st_mode & 0o077 == 0
    assert life.leaks(out, told, store / FILE) == []
    kept = [secret for secret in life.secrets if secret in (store / FILE).read_text()]
    assert len(kept) == 1, "the former ones are not kept"


def device_lives(life: Life, data: Path, store: Path, proxy) -> Path:
    """Enrol, hand over, get other tokens, meet errors; returns the file that an enrolment token was told in."""
    token = life.tell(json.loads(life.run("collector", "token", "--data", data, "--role", "enroll", "--json"))["token"])
    told = life.output / f"{life._runs}.out"
    life.run("device", "enroll", proxy.url, "--token", token, "--store", store, "--name", "pump-7", "--json")
    life.run("device", "enroll", proxy.url, "--token", token, "--store", f"{store}-2", fails=True)
    life.tell(read_enrolment(str(store)).token)
    for labels in (3, 4):
        sealed(store, labels)
        rotated_long_ago(store)
        life.run("agent", "--store", store, "--once")
        life.tell(read_enrolment(str(store)).token)
    for status in (401, 409, 503, 307):
        sealed(store, 5)
        proxy.answer(status, {"Retry-After": "0", "Location": "http://127.0.0.1:1/"}, times=1)
        assert life.begin("agent", "--store", store, "--once", "--json").wait(120) in {0, 1}
    life.run("agent", "status", "--store", store, "--json")
    return told


def provoke(life: Life, url: str, admin: str, token: str) -> None:
    """Make the service refuse in all ways, with secrets wherever a request has room for one."""
    (segment,) = made("pump-7", 1)[:1]
    wrong = life.tell("er1_device_" + "W" * 43)
    assert put(url, wrong, segment).status_code == 401
    assert put(url, token, made("pump-8", 1)[0]).status_code == 403
    assert put(url, token, segment, body=segment.body[:-9]).status_code == 422
    assert put(url, token, segment, body=bytes(LIMITS.segment_max_bytes + 1)).status_code == 413
    asks = [("DELETE", f"/v1/tokens/{admin}", None), ("GET", f"/v1/repository/metadata/{admin}", None),
            ("PUT", f"/v1/repository/blobs/sha256/{admin}", b"x"),
            ("POST", f"/v1/devices/{token}/checkin", token.encode()),
            ("GET", f"/v1/repository/metadata/timestamp.json?token={admin}", None), ("PATCH", f"/{admin}", None),
            ("POST", "/v1/tokens", f'{{"role": "{admin}"}}'.encode())]  # fmt: skip
    for method, path, body in asks:
        answer = requests.request(method, url + path, headers=bearer(admin), data=body, timeout=30)
        assert 400 <= answer.status_code < 500, (method, path)
    enroll = enrolment_token(life, url, admin)
    wish = {"machine": "cd" * 32, "edgerun": "0.1.0", "device": "pump-7"}
    assert requests.post(f"{url}/v1/enroll", headers=bearer(enroll), json=wish, timeout=30).status_code == 409


def revoke_and_sync(life: Life, url: str, admin: str, store: Path) -> None:
    assert requests.delete(f"{url}/v1/devices/pump-7", headers=bearer(admin), timeout=30).status_code == 204
    sealed(store, 6)
    enrolment = read_enrolment(str(store))
    write_enrolment(str(store), enrolment._replace(url=url))
    assert "token" in life.run("agent", "--store", store, "--once", "--json", fails=True)


def device_of(life: Life, url: str, admin: str) -> str:
    wish = {"machine": "ab" * 32, "edgerun": "0.1.0", "device": "pump-9"}
    enroll = enrolment_token(life, url, admin)
    return requests.post(f"{url}/v1/enroll", headers=bearer(enroll), json=wish, timeout=30).json()["token"]


def enrolment_token(life: Life, url: str, admin: str) -> str:
    answer = requests.post(f"{url}/v1/tokens", headers=bearer(admin), json={"role": "enroll"}, timeout=30)
    return life.tell(answer.json()["token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def put(url: str, token: str, segment, body: bytes | None = None) -> requests.Response:
    body = segment.body if body is None else body
    headers = {**bearer(token), "Content-Type": SEGMENT_TYPE, "If-None-Match": "*", "Content-Digest": digest_of(body)}
    path = f"/v1/devices/{segment.landed.device}/segments/{segment.landed.segment}"
    return requests.put(url + path, data=body, headers=headers, timeout=30)
