"""A repository in a tar: made by Python's own tarfile, refused where it holds anything else than a repository."""

from __future__ import annotations

import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import UpdateError
from edgerun.limits import LIMITS
from edgerun.update import stick
from edgerun.update.source import open_source
from edgerun.update.stick import Stick

BLOB = "blobs/sha256/" + "a" * 64
FILES = {"metadata/1.root.json": b"{}", "metadata/timestamp.json": b"x" * 513, BLOB: b"b" * 70_000}


def regular(name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def folder(name):
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info, b""


def written(*entries, style=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=style) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


WHOLE = written(*(regular(*file) for file in FILES.items()))


def opened(tmp_path, raw):
    (tmp_path / "repository.tar").write_bytes(raw)
    return Stick(str(tmp_path / "repository.tar"))


def read(source, path, offset=0):
    pieces = source.open(path, offset)
    return None if pieces is None else b"".join(pieces)


@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_read_as_the_folder_would_be(tmp_path, style):
    folders = map(folder, ("metadata", "blobs", "blobs/sha256"))
    (tmp_path / "a.tar").write_bytes(written(*folders, *(regular(*file) for file in FILES.items()), style=style))
    source = open_source(str(tmp_path / "a.tar"))
    for path, content in FILES.items():
        assert read(source, path) == content
        assert read(source, path, 1) == content[1:]
        assert read(source, path, len(content)) == b""
    assert source.open("metadata/2.root.json") is None
    source.close()


def test_the_size_of_a_large_file_stands_before_it(tmp_path):
    info, content = regular(BLOB, b"large")
    info.pax_headers = {"size": "5", "mtime": "1.5"}
    assert read(opened(tmp_path, written((info, content), style=tarfile.PAX_FORMAT)), BLOB) == b"large"


def link(name, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info, b""


def extended(**fields):
    info, content = regular(BLOB, b"x")
    info.pax_headers = fields
    return info, content


@pytest.mark.parametrize(
    ("entries", "style"),
    [
        ([regular("../x", b"")], tarfile.USTAR_FORMAT),
        ([regular("/etc/passwd", b"")], tarfile.USTAR_FORMAT),
        ([regular("metadata/../../x.json", b"")], tarfile.USTAR_FORMAT),
        ([regular("metadata/.lock", b"")], tarfile.USTAR_FORMAT),
        ([regular("blobs/sha256/" + "A" * 64, b"")], tarfile.USTAR_FORMAT),
        ([regular(BLOB, b"1"), regular(BLOB, b"2")], tarfile.USTAR_FORMAT),
        ([folder("bin")], tarfile.USTAR_FORMAT),
        ([link(BLOB, tarfile.SYMTYPE)], tarfile.USTAR_FORMAT),
        ([link(BLOB, tarfile.LNKTYPE)], tarfile.USTAR_FORMAT),
        ([link(BLOB, tarfile.CHRTYPE)], tarfile.USTAR_FORMAT),
        ([link(BLOB, tarfile.FIFOTYPE)], tarfile.USTAR_FORMAT),
        ([regular(BLOB, b"")], tarfile.GNU_FORMAT),
        ([extended(path="metadata/x.json")], tarfile.PAX_FORMAT),
        ([extended(size="99999999999")], tarfile.PAX_FORMAT),
        ([extended(size="1.5")], tarfile.PAX_FORMAT),
        ([extended(comment="x" * LIMITS.stick_pax_max_bytes)], tarfile.PAX_FORMAT),
    ],
)
def test_what_no_repository_holds_is_refused(tmp_path, entries, style):
    with pytest.raises(UpdateError, match="cannot be read as a repository"):
        opened(tmp_path, written(*entries, style=style))


@given(st.integers(0, len(WHOLE.rstrip(b"\0"))))
def test_a_tar_that_ends_early_is_refused(tmp_path_factory, end):
    with pytest.raises(UpdateError, match="ends early"):
        opened(tmp_path_factory.getbasetemp(), WHOLE[:end])


@given(st.integers(0, 499), st.integers(1, 255))
def test_a_wrong_byte_in_a_header_is_found(tmp_path_factory, position, change):
    raw = bytearray(WHOLE)
    raw[position] ^= change
    with pytest.raises(UpdateError):
        opened(tmp_path_factory.getbasetemp(), bytes(raw))


@given(st.binary(max_size=1500))
def test_any_other_file_is_an_error_of_ours(tmp_path_factory, raw):
    with pytest.raises(UpdateError):
        opened(tmp_path_factory.getbasetemp(), b"x" + raw)


def test_stick_files_max_is_the_most_that_a_tar_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(stick, "LIMITS", LIMITS._replace(stick_files_max=3))
    opened(tmp_path, WHOLE)
    with pytest.raises(UpdateError, match="more than 3 files"):
        opened(tmp_path, written(*(regular(*file) for file in FILES.items()), regular("metadata/1.x.json", b"")))


def test_a_stick_that_is_pulled_is_an_error_of_ours(tmp_path):
    source = opened(tmp_path, WHOLE)
    os.truncate(source.where, 3000)
    with pytest.raises(UpdateError, match="ends early"):
        read(source, BLOB)
    (tmp_path / "repository.tar").unlink()
    with pytest.raises(UpdateError, match="No such file"):
        read(source, BLOB)
    with pytest.raises(UpdateError, match="cannot be read"):
        Stick(str(tmp_path / "missing"))
