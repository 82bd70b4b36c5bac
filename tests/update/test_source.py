"""Where a repository may lie: a folder, as a path or a URL; and what is none."""

from __future__ import annotations

import os

import pytest

from edgerun.errors import UpdateError
from edgerun.update.source import blob_path, check_repository, metadata_path, open_source


def read(source, path, offset=0):
    pieces = source.open(path, offset)
    return None if pieces is None else b"".join(pieces)


@pytest.mark.parametrize("as_url", [False, True])
def test_a_folder_is_read_by_its_path_or_url(tmp_path, as_url):
    folder = tmp_path / "a b"
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "timestamp.json").write_bytes(b"x" * 200_000 + b"end")
    source = open_source(folder.as_uri() if as_url else str(folder))
    assert read(source, metadata_path("timestamp.json")) == b"x" * 200_000 + b"end"
    assert read(source, metadata_path("timestamp.json"), 200_000) == b"end"
    assert source.open(metadata_path("2.root.json")) is None
    source.close()


def test_a_blob_lies_under_its_digest():
    assert blob_path("sha256:" + "a" * 64) == "blobs/sha256/" + "a" * 64


def test_a_pipe_or_a_folder_on_a_stick_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    source = open_source(str(tmp_path))
    for name in ("pipe", "folder"):
        with pytest.raises(UpdateError, match=r"no regular file|cannot be read"):
            read(source, name)


def test_a_file_that_cannot_be_read_is_an_error_of_ours(tmp_path):
    (tmp_path / "a").write_text("x")
    source = open_source(str(tmp_path))
    with pytest.raises(UpdateError, match="cannot be read"):
        source.open("a/b")
    with pytest.raises(UpdateError, match="cannot be read"):
        source.open("a\0b")


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UpdateError, match="is no folder"):
        open_source(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("http://a.example/x", "http"),
        ("https://a.example:8443", "https"),
        ("file:///a", "file"),
        ("/a/b", ""),
        ("a", ""),
    ],
)
def test_a_repository_is_a_url_or_a_path(url, scheme):
    assert check_repository(url) == scheme


@pytest.mark.parametrize(
    "url",
    [
        *("", "s3://bucket/x", "ftp://a", "http://", "https://u:p@a/x", "http://a/?q=1", "http://a/#f"),
        *("file://host/a", "http://a:99999/", "http://a:x/", "http://[::1/", "http://a\n/", "HTTP://a"),
    ],
)
def test_what_no_device_can_follow_is_told(url):
    with pytest.raises(UpdateError):
        check_repository(url)
