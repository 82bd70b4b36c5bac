"""A bucket of a real S3 service: objects are made once, and rows come to stand in tables there as in a folder."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgerun_bundles.errors import PublishedMeanwhileError
from edgerun_bundles.repository.workplace import Offer
from edgerun_sync.collector.arrow.tables import KINDS
from edgerun_sync.collector.buckets import Bucket
from edgerun_sync.collector.committing import Committer
from edgerun_sync.collector.credentials import Role
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.landing import Landing, land
from edgerun_sync.errors import StorageError, TableError
from edgerun_sync.limits import LIMITS
from support.collection import commit_all, content, land_all, rows_in_tables
from support.collector import collecting
from support.fleet import pool
from support.proxy import proxying
from support.publishers import founded, laid, team

pytestmark = pytest.mark.slow
SEGMENTS = [segment for device in pool()[:3] for segment in device]


@pytest.fixture
def url(object_server, monkeypatch, request):
    for name, value in object_server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://bundles/{request.node.name[:40]}"


def test_an_object_is_made_once(url):
    bucket = Bucket(url)
    bucket.check()
    assert bucket.put_new("a/b", b"one")
    assert not bucket.put_new("a/b", b"two")
    assert bucket.get("a/b") == b"one"
    bucket.replace("a/b", b"three")
    assert bucket.get("a/b") == b"three"
    assert bucket.get("a/c") is None
    bucket.delete("a/b")
    bucket.delete("a/b")
    assert bucket.get("a/b") is None


def test_an_empty_object_is_there_and_keys_are_listed_in_order(url):
    bucket = Bucket(url)
    for key in ("inbox/1/b~2", "inbox/1/a~1", "inbox/10/c~3"):
        assert bucket.put_new(key, b"")
    assert bucket.get("inbox/1/b~2") == b""
    assert [*bucket.list("inbox/1/")] == ["inbox/1/a~1", "inbox/1/b~2"]
    assert [*bucket.list("nothing/")] == []


def test_one_of_many_that_make_an_object_at_once_is_told_that_it_did(url):
    bucket = Bucket(url)
    with ThreadPoolExecutor(8) as threads:
        for number in range(2):
            made = [*threads.map(lambda who, key=f"k/{number}": bucket.put_new(key, b"%d" % who), range(8))]
            assert sum(made) == 1
            assert bucket.get(f"k/{number}") == b"%d" % made.index(True)


def test_segments_are_landed_and_committed_in_a_bucket(url, tmp_path):
    data = open_data(url, lanes=2)
    land_all(data, *SEGMENTS)
    commit_all(data, LIMITS._replace(batch_segments_max=3))
    wanted = sorted(row for segment in SEGMENTS for row in segment.rows)
    assert sorted(rows_in_tables(data.tables)) == wanted
    digest = hashlib.sha256(SEGMENTS[0].body).hexdigest()
    assert land(data.objects, 2, SEGMENTS[0].landed, SEGMENTS[0].body, digest) is Landing.KNOWN
    assert data.tables.compact("events") > 1
    data.tables.vacuum("events", keep_hours=0)
    assert sorted(rows_in_tables(data.tables)) == wanted
    folder = open_data(str(tmp_path / "data"), lanes=2)
    land_all(folder, *SEGMENTS)
    commit_all(folder)
    without = {"batch_time"}
    for name in KINDS:
        assert content(data.tables, name, without) == content(folder.tables, name, without)


def test_several_committers_of_one_lane_add_each_row_once(url):
    data = open_data(url, lanes=1)
    land_all(data, *SEGMENTS)

    def commit(_):
        committer = Committer(data.objects, data.tables.another(), 0, limits=LIMITS._replace(batch_segments_max=2))
        while committer.step() is not None:
            pass

    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(commit, range(4))] == [None] * 4
    assert sorted(rows_in_tables(data.tables)) == sorted(row for segment in SEGMENTS for row in segment.rows)
    assert [*data.objects.list("inbox/0/")] == []


def test_a_service_that_cannot_be_reached_or_does_not_know_us_is_a_storage_error(url, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageError):
        Bucket(url).get("a")
    with pytest.raises((StorageError, TableError)):
        open_data(url)


def test_what_cannot_be_stored_because_there_is_no_bucket_is_not_said_to_be_there(object_server, url, monkeypatch):
    with proxying(object_server.url) as proxy:
        proxy.answer(404, {})
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        bucket = Bucket(url)
        assert bucket.get("a") is None
        with pytest.raises(StorageError, match="404"):
            bucket.put_new("a", b"1")


@pytest.mark.parametrize("wrong", ["s3://", "http://x/y", "s3:///x", "s3://b/x?y"])
def test_an_address_that_is_none_is_refused(wrong):
    with pytest.raises(StorageError, match="BUCKET"):
        Bucket(wrong)


def test_a_service_that_stores_over_objects_is_found_out(url, monkeypatch):
    bucket = Bucket(url)

    def careless(key, data):
        bucket.replace(key, data)
        return True

    monkeypatch.setattr(bucket, "put_new", careless)
    with pytest.raises(StorageError, match="If-None-Match"):
        bucket.check()


def test_a_repository_in_a_bucket_is_published_to_and_served(url, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    with collecting(folder=url) as collector:
        token = collector.token(Role.PUBLISH)
        monkeypatch.setenv("EDGERUN_TOKEN", token)
        workplace = founded(f"{collector.url}/v1/repository", team())
        layout = laid(tmp_path)
        late = workplace.read()
        workplace.push(layout, [Offer("stable", 1_000_000, ())])
        assert workplace.fetch("toy", "1.0.0", tmp_path / "back").manifest == layout.manifest
        workplace.read = lambda: late
        with pytest.raises(PublishedMeanwhileError):
            workplace.push(laid(tmp_path, "1.1.0", 3.0))

        body = os.urandom(9 * 2**20)  # more than one request to the bucket
        for name, status in ((hashlib.sha256(body).hexdigest(), 201), ("0" * 64, 422)):
            path = f"/v1/repository/blobs/sha256/{name}"
            for first, last, answered in ((0, 2**20 - 1, 202), (2**20, len(body) - 1, status)):
                span = {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
                answer = collector.ask("PUT", path, token, data=body[first : last + 1], headers=span)
                assert answer.status_code == answered
            answer = collector.ask("GET", path, token, headers={"Range": f"bytes={2**20}-"})
            assert answer.status_code == (206 if status == 201 else 404)
            assert status == 422 or answer.content == body[2**20 :]
        assert [*Bucket(url).list("uploads/")] == []
