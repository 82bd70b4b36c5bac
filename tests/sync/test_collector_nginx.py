"""A repository behind nginx with TLS, set up as docs/collector.md says: publishers and devices notice nothing of it."""

from __future__ import annotations

import hashlib
import os
import select
import subprocess
from collections import Counter

import pytest
import requests

from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.limits import LIMITS as BUNDLE_LIMITS
from edgerun_bundles.referrers import PROVENANCE_TYPE, Attachment
from edgerun_sync.limits import LIMITS
from support.nginx import nginx_as_documented
from support.publishers import laid
from sync.test_fleet_repository import EDGERUN, fleet_at, served

pytestmark = pytest.mark.slow
LARGE_BYTES = 40 * 2**20


@pytest.fixture
def fronted(tmp_path, self_signed):
    """A fleet whose collector is reached through nginx, and nginx; whoever speaks to it trusts its certificate."""
    (work := tmp_path / "nginx").mkdir()
    with fleet_at(tmp_path) as behind, nginx_as_documented(behind.url, work, self_signed) as front:
        trusting = {**behind.environment, "REQUESTS_CA_BUNDLE": str(self_signed[0])}
        yield behind._replace(url=front.url, environment=trusting), front


def held_back(front):
    """What nginx says that it wrote on its disk before it passed it on."""
    return [line for line in (front.work / "errors").read_text().splitlines() if "temporary file" in line]


def test_a_bundle_goes_through_nginx_to_a_device_and_a_push_that_broke_off_goes_on(fronted, tmp_path, self_signed):
    fleet, front = fronted
    fleet.run("bundle", "repository", "init", fleet.place, "--keys", tmp_path / "keys", "--json")
    assert fleet.push(laid(tmp_path).folder, "--channel", "stable")["published"]
    store = tmp_path / "store"
    fleet.enroll(store, "--bundle", "toy", "--name", "pump-7", "--ca", self_signed[0])
    assert "1.0.0" in fleet.sync(store)["bundle"]
    assert served(store) == "1.0.0"
    front.exchanges()

    (tmp_path / "large").write_bytes(os.urandom(LARGE_BYTES))
    (tmp_path / "statement").write_text("{}")
    more = [Attachment(PROVENANCE_TYPE, tmp_path / "statement"), Attachment("text/plain", tmp_path / "large")]
    layout = write_layout(laid(tmp_path, "1.1.0", 3.0).folder.parent / "bundle", tmp_path / "layout", more)
    parts = tmp_path / "data" / "uploads" / "parts"
    with subprocess.Popen(
        [EDGERUN, "bundle", "push", layout.folder, fleet.place], env=fleet.environment, cwd=tmp_path
    ) as publisher:
        while publisher.poll() is None and not (parts.is_dir() and len([*parts.iterdir()]) > 1):
            select.select([], [], [], 0.005)
        publisher.kill()
    kept = sum(path.stat().st_size for path in parts.iterdir())
    assert kept > 0
    front.exchanges()
    assert fleet.push(layout.folder, "--channel", "stable")["published"]
    large = hashlib.sha256((tmp_path / "large").read_bytes()).hexdigest()
    sent = sum(one.request for one in front.exchanges() if one.uri.endswith(large))
    arrives_yet = BUNDLE_LIMITS.upload_chunk_bytes  # the part that was under way may still become whole
    assert LARGE_BYTES - kept - arrives_yet <= sent < LARGE_BYTES - kept / 2, "what was there is not sent again"

    assert "1.1.0" in fleet.sync(store)["bundle"]
    assert served(store) == "1.1.0"
    assert Counter(one.status // 100 for one in front.exchanges())[2] > 3
    assert held_back(front) == []


def test_bodies_and_ranges_pass_nginx_as_the_service_takes_them(fronted, self_signed):
    """`upload_part_max_bytes`, which the document's nginx must let through."""
    fleet, front = fronted
    session = requests.Session()
    session.trust_env, session.verify = False, str(self_signed[0])
    session.headers["Authorization"] = f"Bearer {fleet.admin}"
    body = os.urandom(LIMITS.upload_part_max_bytes)
    url = f"{fleet.place}/blobs/sha256/{hashlib.sha256(body).hexdigest()}"
    assert session.put(url, data=body + b"0", timeout=30).status_code == 413
    assert session.put(url, data=body, timeout=30).status_code == 201
    assert session.put(url, data=iter([body[:9], body[9:]]), timeout=30).status_code == 201
    answer = session.get(url, headers={"Range": "bytes=5-9"}, timeout=30)
    assert (answer.status_code, answer.content) == (206, body[5:10])
    head = session.head(url, timeout=30)
    assert (head.headers["ETag"], head.headers["Allow"]) == (answer.headers["ETag"], "GET, HEAD, PUT")
    assert session.get(url, headers={"If-None-Match": head.headers["ETag"]}, timeout=30).status_code == 304
    with session.get(url, timeout=30, stream=True) as slow:
        assert slow.raw.read(2**20) == body[: 2**20]
        assert session.get(url, timeout=30).content == body  # while this reader stands still
        assert slow.raw.read() == body[2**20 :]
    session.close()
    assert held_back(front) == []
