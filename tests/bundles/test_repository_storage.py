"""Where a repository lies: a folder and an object store keep the same promises; a server that keeps none is found."""

from __future__ import annotations

import errno
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgerun.errors import InputError
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.repository import folder as folder_module
from edgerun_bundles.repository.folder import FolderStorage
from edgerun_bundles.repository.storage import open_source, open_storage

MAX = 2**20
PIECE = bytes(range(256)) * 4096
"""A mebibyte."""


@pytest.fixture(params=["folder", "objects"])
def storage(request, tmp_path):
    if request.param == "folder":
        return open_storage(f"file://{tmp_path}/repository")
    return request.getfixturevalue("objects")


def test_a_name_is_created_once(storage):
    assert storage.create("metadata/1.x.json", b"one")
    assert not storage.create("metadata/1.x.json", b"two")
    assert storage.read("metadata/1.x.json", MAX).content == b"one"


def test_a_file_is_replaced_only_while_it_has_its_token(storage):
    assert storage.replace("metadata/t.json", b"one", None)
    assert not storage.replace("metadata/t.json", b"two", None)
    first = storage.read("metadata/t.json", MAX)
    assert storage.replace("metadata/t.json", b"three", first.token)
    assert not storage.replace("metadata/t.json", b"four", first.token)
    assert storage.read("metadata/t.json", MAX).content == b"three"
    assert not storage.replace("metadata/none.json", b"five", first.token)
    assert storage.size_of("metadata/none.json") is None


def test_one_of_many_who_replace_at_once_wins(storage):
    storage.replace("metadata/n.json", b"0", None)
    barrier, wins = threading.Barrier(4), []

    def work() -> None:
        barrier.wait(30)
        for _ in range(10):
            found = storage.read("metadata/n.json", MAX)
            if storage.replace("metadata/n.json", str(int(found.content) + 1).encode(), found.token):
                wins.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int(storage.read("metadata/n.json", MAX).content) == len(wins) > 0


def test_one_of_many_who_create_at_once_wins(storage):
    barrier, wins = threading.Barrier(4), []

    def work(who: int) -> None:
        barrier.wait(30)
        wins.extend((name, who) for name in range(5) if storage.create(f"metadata/{name}.json", str(who).encode()))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 5
    for name, who in wins:
        assert storage.read(f"metadata/{name}.json", MAX).content == str(who).encode()


@pytest.mark.parametrize("count", [0, 1, 9])
def test_a_blob_comes_back_from_any_byte_on(storage, count):
    storage.put_blob("blobs/sha256/aa", iter([PIECE] * count), count * len(PIECE))
    assert storage.size_of("blobs/sha256/aa") == count * len(PIECE)
    assert b"".join(storage.pieces("blobs/sha256/aa")) == PIECE * count
    if count:
        assert b"".join(storage.pieces("blobs/sha256/aa", len(PIECE) - 3)) == PIECE[-3:] + PIECE * (count - 1)


@pytest.mark.parametrize("count", [1, 9])
def test_a_blob_whose_source_fails_never_appears(storage, count):
    def pieces():
        yield from [PIECE] * count
        raise RepositoryError("the disk is gone")

    with pytest.raises(RepositoryError, match="the disk is gone"):
        storage.put_blob("blobs/sha256/bb", pieces(), (count + 1) * len(PIECE))
    assert storage.size_of("blobs/sha256/bb") is None
    assert [*storage.names("blobs/sha256")] == []


def test_files_are_listed_with_their_sizes_and_ages(storage):
    storage.create("metadata/a", b"1234")
    storage.create("metadata/b", b"")
    listed = [*storage.names("metadata")]
    assert [(found.name, found.size) for found in listed] == [("metadata/a", 4), ("metadata/b", 0)]
    assert all(found.changed_s > 1.5e9 for found in listed)
    assert [*storage.names("nothing")] == []


def test_removing_twice_is_no_error(storage):
    storage.create("metadata/a", b"1")
    storage.remove("metadata/a")
    storage.remove("metadata/a")
    assert storage.read("metadata/a", MAX) is None


def test_more_bytes_than_asked_for_are_refused(storage):
    storage.create("metadata/a", b"1234")
    assert storage.read("metadata/a", 4).content == b"1234"
    with pytest.raises(RepositoryError, match="larger than 3 bytes"):
        storage.read("metadata/a", 3)


def test_a_place_is_a_path_or_a_url_that_is_known(tmp_path):
    assert open_storage(str(tmp_path)).where == str(tmp_path)
    assert open_source(f"file://{tmp_path}/a%20b").where == f"{tmp_path}/a b"
    for place in ("ftp://x/y", "file://host/x", "s3://", "s3:///x", "http://", "https://me:secret@host/x"):
        with pytest.raises(InputError):
            open_source(place)
    assert open_storage("https://fleet.example/v1/repository/").where == "https://fleet.example/v1/repository"


# A folder.


def test_what_a_folder_promises_is_on_the_disk_before_it_is_promised(tmp_path, monkeypatch):
    order = []
    for name in ("fsync", "link"):
        real = getattr(os, name)
        monkeypatch.setattr(
            folder_module.os, name, lambda *args, name=name, real=real: (order.append(name), real(*args))[1]
        )
    real_replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda *args: (order.append("rename"), real_replace(*args))[1])
    storage = FolderStorage(tmp_path)
    (tmp_path / "metadata").mkdir()
    storage.create("metadata/1.x.json", b"one")
    assert order == ["fsync", "link", "fsync"]
    order.clear()
    storage.put_blob("metadata/blob", iter([b"1"]), 1)
    storage.replace("metadata/t.json", b"one", None)
    assert order == ["fsync", "rename", "fsync"] * 2


def test_a_folder_holds_no_drafts_afterwards(tmp_path):
    storage = FolderStorage(tmp_path)
    storage.create("metadata/a", b"1")
    storage.create("metadata/a", b"1")
    storage.check_writable()
    assert sorted(path.name for path in (tmp_path / "metadata").iterdir()) == ["a"]


def test_a_disk_without_links_keeps_the_same_promises(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(folder_module.os, "link", refuse)
    storage = FolderStorage(tmp_path)
    assert storage.create("metadata/a", b"one")
    assert not storage.create("metadata/a", b"two")
    assert storage.read("metadata/a", MAX).content == b"one"
    assert sorted(path.name for path in (tmp_path / "metadata").iterdir()) == [".lock", "a"]


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryError, match="file"):
        FolderStorage(tmp_path / "file" / "repository").check_writable()


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "metadata")
    with pytest.raises(RepositoryError, match="no regular file"):
        FolderStorage(tmp_path).read("metadata", MAX)


# An object store that takes conditions and ignores them.


class Careless(BaseHTTPRequestHandler):
    """Stores whatever comes."""

    files: dict[str, bytes]

    def do_PUT(self) -> None:
        self.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"")

    def do_GET(self) -> None:
        self._answer(200 if self.path in self.files else 404, self.files.get(self.path, b""))

    def do_POST(self) -> None:
        keys = re.findall(r"<Key>([^<]+)</Key>", self.rfile.read(int(self.headers["Content-Length"])).decode())
        for key in keys:
            self.files.pop(f"/bucket/{key}", None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("ETag", f'"{hash(body):x}"')
        self.send_header("Last-Modified", "Mon, 23 Nov 2026 14:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_a_server_that_ignores_conditions_is_refused_before_anything_is_written(monkeypatch):
    handler = type("Handler", (Careless,), {"files": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        try:
            with pytest.raises(RepositoryError, match="conditional puts"):
                open_storage("s3://bucket/x").check_writable()
        finally:
            server.shutdown()
            thread.join()
    assert handler.files == {}


def test_an_object_store_that_refuses_who_one_is_says_so_without_secrets(seaweedfs, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(RepositoryError, match="403") as caught:
        open_storage("s3://bundles/x").read("a", MAX)
    assert "wrong-secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
