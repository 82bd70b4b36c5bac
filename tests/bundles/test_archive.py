"""An archive is exactly a bundle's layout: anything else in a tar is refused, and leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from edgerun import LIMITS, EdgeRunner
from edgerun.errors import BundleError
from edgerun_bundles import archive, tarball
from edgerun_bundles.archive import read_archive, write_archive
from edgerun_bundles.layout import read_layout
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.limits import LIMITS as BUNDLES_LIMITS
from edgerun_bundles.opening import open_bundle
from edgerun_bundles.referrers import PROVENANCE_TYPE, Attachment
from edgerun_bundles.tarball import file_header, read_tar

VECTORS = Path(__file__).parents[1] / "vectors" / "bundles"
TOY = (VECTORS / "toy.tar").read_bytes()
END = bytes(1024)


def header(name, size=0, kind=b"0", *, link=b"", magic=b"ustar\x0000", prefix=b"", size_field=None):
    """A header written by hand, with whatever a liar would put into it."""
    name = name.encode() if isinstance(name, str) else name
    size_field = size_field or f"{size:011o}\0".encode()
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size_field + b"00000000000\0" + b" " * 8
    block += kind + link.ljust(100, b"\0") + magic + bytes(64) + b"0000000\0" * 2 + prefix.ljust(155, b"\0") + bytes(12)
    assert len(block) == 512
    return block[:148] + f"{sum(block):06o}\0 ".encode() + block[156:]


def entry(name, content=b"", kind=b"0", **fields):
    return header(name, len(content), kind, **fields) + content + bytes(-len(content) % 512)


def pax(records):
    """An extended header; a record is given whole or as a pair."""
    body = b"".join(pax_record(*record) if isinstance(record, tuple) else record for record in records)
    return entry("PaxHeader/x", body, b"x")


def pax_record(name, value):
    """A record that starts with its own length, the digits of that included."""
    text = b" " + name + b"=" + value + b"\n"
    length = next(n for n in range(len(text), len(text) + 9) if n == len(str(n)) + len(text))
    return str(length).encode() + text


def entries_of(raw):
    """The name and the whole bytes of each entry of the vectors' archive."""
    found, at = [], 0
    while raw[at : at + 512].strip(b"\0"):
        size = int(raw[at + 124 : at + 135], 8)
        end = at + 512 + size + -size % 512
        found.append((raw[at : at + 100].rstrip(b"\0").decode(), raw[at:end]))
        at = end
    return found


ENTRIES = entries_of(TOY)


def toy_with(more=b"", *, without=(), before=b"", end=END):
    return before + b"".join(data for name, data in ENTRIES if name not in without) + more + end


@pytest.fixture
def place(tmp_path):
    """A folder in a folder, so that what climbs out of it is seen."""
    inner = tmp_path / "inner"
    inner.mkdir()
    return inner


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def refuse(place, raw):
    """Read an archive that must be refused; return why, and see that nothing was left anywhere."""
    source = place.parent / "hostile.tar"
    source.write_bytes(raw)
    before = everything(place.parent)
    with pytest.raises(BundleError) as refused:
        read_archive(source, place / "layout")
    assert everything(place.parent) == before
    return str(refused.value)


# Writing, and reading what was written.


def test_the_archive_of_the_vectors_is_read(place):
    layout = read_archive(VECTORS / "toy.tar", place / "layout")
    assert (layout.manifest.name, len(layout.referrers)) == ("toy", 1)
    assert read_layout(place / "layout") == layout


def test_the_archive_of_the_vectors_is_written(place):
    layout = read_archive(VECTORS / "toy.tar", place / "layout")
    write_archive(layout, place / "again.tar")
    assert (place / "again.tar").read_bytes() == TOY


def test_the_same_bundle_gives_the_same_archive(layout, make_bundle, tmp_path):
    write_archive(layout, tmp_path / "a.tar")
    write_archive(write_layout(make_bundle("again"), tmp_path / "other"), tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_what_is_read_is_what_was_written(layout, make_bundle, tmp_path):
    statement = tmp_path / "statement"
    statement.write_text("{}")
    attached = write_layout(make_bundle("b"), tmp_path / "l", [Attachment(PROVENANCE_TYPE, statement)])
    for number, found in enumerate((layout, attached)):
        write_archive(found, tmp_path / "a.tar")
        again = read_archive(tmp_path / "a.tar", tmp_path / f"again-{number}")
        assert again == found._replace(folder=again.folder)
        assert read_layout(again.folder) == again


def test_entries_are_sorted_and_tell_nothing_of_who_wrote_them(layout, tmp_path):
    with tarfile.open(write_archive(layout, tmp_path / "a.tar")) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.mode for m in members} == {0o755, 0o644}
    assert all(member.isfile() or member.isdir() for member in members)


def test_blobs_of_other_bundles_in_a_layout_stay_out_of_the_archive(layout, tmp_path):
    (layout.folder / "blobs" / "sha256" / ("0" * 64)).write_text("other")
    write_archive(layout, tmp_path / "a.tar")
    assert read_archive(tmp_path / "a.tar", tmp_path / "again").manifest == layout.manifest


def test_a_damaged_layout_gives_no_archive(layout, tmp_path):
    blob = layout.blob(layout.manifest.layers[-1].digest)
    content = blob.read_bytes()
    for wrong, why in ((content[:-1], "bytes instead of"), (content[:-1] + b"?", "has the digest")):
        blob.write_bytes(wrong)
        with pytest.raises(BundleError, match=why):
            write_archive(layout, tmp_path / "a.tar")
        assert not (tmp_path / "a.tar").exists()


def test_a_former_archive_stays_where_a_new_one_fails(layout, tmp_path):
    (tmp_path / "a.tar").write_text("former")
    layout.blob(layout.manifest.config.digest).unlink()
    with pytest.raises(BundleError, match="cannot be copied"):
        write_archive(layout, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_text() == "former"


def test_an_archive_is_served(layout, tmp_path):
    write_archive(layout, tmp_path / "a.tar")
    with EdgeRunner.open(open_bundle(tmp_path / "a.tar", tmp_path / "scratch")) as runner:
        assert runner.predict([[1, 1]], key="a").version == "1.0.0"


def test_skopeo_reads_and_writes_archives(layout, skopeo, tmp_path):
    write_archive(layout, tmp_path / "a.tar")
    skopeo("copy", f"oci-archive:{tmp_path / 'a.tar'}:1.0.0", f"oci-archive:{tmp_path / 'b.tar'}:1.0.0")
    assert read_archive(tmp_path / "b.tar", tmp_path / "b").manifest == layout.manifest


def test_gnu_tar_lists_an_archive(layout, tmp_path):
    write_archive(layout, tmp_path / "a.tar")
    listed = subprocess.run(["tar", "-tf", tmp_path / "a.tar"], capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == len(layout.blobs) + 4


def test_an_archive_that_gnu_tar_made_is_read(layout, tmp_path):
    for form in ("ustar", "pax"):
        command = ["tar", f"--format={form}", "-cf", tmp_path / f"{form}.tar", "-C", layout.folder]
        subprocess.run([*command, "blobs", "index.json", "oci-layout"], check=True)
        assert read_archive(tmp_path / f"{form}.tar", tmp_path / form).manifest == layout.manifest


# Names that lead elsewhere, and kinds that are no files.

X = b"x" * 10
SHA_X = hashlib.sha256(X).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../escaped",
        "blobs/../../escaped",
        "blobs/sha256/../../../escaped",
        "./index.json",
        "blobs//sha256/" + SHA_X,
        "blobs/sha256/" + SHA_X.upper(),
        "blobs/sha256/" + SHA_X + "/",
        "blobs/sha256/" + SHA_X[:-1],
        "blobs/sha512/" + SHA_X,
        "blobs/sha256",
        "index.json/",
        "INDEX.JSON",
        "manifest.json",
        "C:\\index.json",
        "\\\\server\\share",
        "",
        ".",
        "..",
        " ",
        "~/.ssh/authorized_keys",
        "a\nb",
    ],
)
def test_path_traversal_and_every_other_name_is_refused(place, name):
    raw = toy_with(entry(name, X), without={"blobs/", "blobs/sha256/"})
    assert "is no part of a bundle's layout" in refuse(place, raw)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (b"1", "a hard link"),
        (b"2", "a symbolic link"),
        (b"3", "a character device"),
        (b"4", "a block device"),
        (b"6", "a pipe"),
        (b"7", "a contiguous file"),
        (b"S", "a sparse file"),
        (b"L", "a GNU long name"),
        (b"K", "a GNU long link"),
        (b"V", "a volume label"),
        (b"M", "a continued file"),
        (b"g", "a global extended header"),
        (b"Z", "of the unknown kind"),
        (b"A", "of the unknown kind"),
        (b"X", "of the unknown kind"),
    ],
)
@pytest.mark.parametrize("name", ["index.json", "blobs/sha256/" + SHA_X, "blobs", "../x"])
def test_links_devices_sparse_files_and_other_kinds_are_refused(place, kind, what, name):
    assert what in refuse(place, toy_with(before=entry(name, b"", kind, link=b"/etc/passwd")))


def test_a_symbolic_link_in_the_place_of_a_folder_is_refused_before_anything_follows_it(place):
    (place.parent / "elsewhere").mkdir()
    link = header("blobs", 0, b"2", link=b"../../elsewhere")
    assert "a symbolic link" in refuse(place, toy_with(before=link))


def test_a_file_that_names_a_link_is_refused(place):
    assert "names a link although" in refuse(place, toy_with(entry("blobs/sha256/" + SHA_X, X, link=b"/etc/passwd")))


def test_a_folder_with_content_is_refused(place):
    assert "has content" in refuse(place, entry("blobs/", X, b"5") + TOY)


def test_links_and_devices_that_pythons_tarfile_writes_are_refused(place):
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        for form in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            made = io.BytesIO()
            with tarfile.open(fileobj=made, mode="w", format=form) as tar:
                member = tarfile.TarInfo("index.json")
                member.type, member.linkname = kind, "/etc/passwd"
                tar.addfile(member)
            assert refuse(place, made.getvalue())


def test_a_name_that_the_prefix_completes_is_the_whole_name(place):
    assert "'../escaped'" in refuse(place, toy_with(entry("escaped", X, prefix=b"..")))


# Names twice, counts, and what nothing refers to.


@pytest.mark.parametrize("name", [name for name, _ in ENTRIES if not name.endswith("/")])
def test_a_name_may_not_stand_twice(place, name):
    assert "is there twice" in refuse(place, toy_with(dict(ENTRIES)[name]))


def test_a_folder_may_not_stand_twice_and_not_where_a_file_is(place):
    assert "is there twice" in refuse(place, toy_with(entry("blobs", kind=b"5")))
    assert "no part of" in refuse(place, toy_with(entry("index.json", kind=b"5"), without={"index.json"}))


def test_an_entry_that_nothing_refers_to_is_refused(place):
    assert f"nothing refers to blobs/sha256/{SHA_X}" in refuse(place, toy_with(entry("blobs/sha256/" + SHA_X, X)))


def test_a_blob_that_another_image_refers_to_is_refused(place):
    """The index lists a second manifest, of an image that is no bundle: it would travel unseen."""
    image = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}).encode()
    digest = hashlib.sha256(image).hexdigest()
    index = json.loads((VECTORS / "index.json").read_bytes())
    index["manifests"].append({**index["manifests"][0], "digest": f"sha256:{digest}", "size": len(image)})
    more = entry("index.json", json.dumps(index).encode()) + entry(f"blobs/sha256/{digest}", image)
    assert "nothing refers to" in refuse(place, toy_with(more, without={"index.json"}))


@pytest.mark.parametrize("name", [name for name, _ in ENTRIES if not name.endswith("/")])
def test_every_file_must_be_there(place, name):
    assert refuse(place, toy_with(without={name}))


def test_the_folders_need_not_be_there(place):
    source = place / "a.tar"
    source.write_bytes(toy_with(without={"blobs/", "blobs/sha256/"}))
    assert read_archive(source, place / "layout").manifest.name == "toy"


def test_an_archive_has_at_most_archive_entries_max_entries(place, monkeypatch):
    count = len(ENTRIES)
    monkeypatch.setattr(tarball, "LIMITS", BUNDLES_LIMITS._replace(archive_entries_max=count))
    assert read_archive(VECTORS / "toy.tar", place / "layout").manifest.name == "toy"
    monkeypatch.setattr(tarball, "LIMITS", BUNDLES_LIMITS._replace(archive_entries_max=count - 1))
    assert f"more than {count - 1} entries" in refuse(place, TOY)


def test_an_archive_has_at_most_bundle_max_bytes(place, monkeypatch):
    total = sum(int(data[124:135], 8) for _, data in ENTRIES)
    monkeypatch.setattr(tarball, "DEVICE_LIMITS", LIMITS._replace(bundle_max_bytes=total))
    assert read_archive(VECTORS / "toy.tar", place / "layout").manifest.name == "toy"
    monkeypatch.setattr(tarball, "DEVICE_LIMITS", LIMITS._replace(bundle_max_bytes=total - 1))
    assert f"more than {total - 1} bytes" in refuse(place, TOY)


def test_an_index_of_any_size_is_refused_before_it_is_written(place):
    huge = header("index.json", BUNDLES_LIMITS.index_max_bytes + 1)
    assert "index.json is larger than" in refuse(place, huge + END)


# Damage, and bytes that are no tar.


@pytest.mark.parametrize("end", [b"", bytes(512), bytes(1023), bytes(512) + b"x" * 512])
def test_an_archive_without_its_end_is_refused(place, end):
    assert refuse(place, toy_with(end=end))


@given(st.integers(0, len(TOY.rstrip(b"\0"))))
def test_an_archive_that_is_cut_off_anywhere_is_refused(tmp_path_factory, size):
    folder = tmp_path_factory.mktemp("cut")
    (folder / "a.tar").write_bytes(TOY[:size])
    with pytest.raises(BundleError):
        read_archive(folder / "a.tar", folder / "layout")
    assert everything(folder) == ["a.tar"]


@pytest.mark.parametrize("garbage", [b"x", b"\0" * 511 + b"x", TOY, b"PK\x03\x04"])
def test_trailing_garbage_is_refused(place, garbage):
    assert "something follows the end" in refuse(place, TOY + garbage)


def test_at_most_archive_padding_max_bytes_of_zeros_follow(place):
    source = place / "a.tar"
    limit = BUNDLES_LIMITS.archive_padding_max_bytes
    source.write_bytes(toy_with(end=END + bytes(limit)))
    assert read_archive(source, place / "layout").manifest.name == "toy"
    assert "zeros follow the end" in refuse(place, toy_with(end=END + bytes(limit + 1)))


@given(st.integers(0, len(TOY) - 1), st.integers(1, 255))
def test_no_change_of_a_byte_changes_what_is_read(tmp_path_factory, at, flip):
    """A changed byte is refused, or is one that says nothing: a time, an owner, a mode."""
    folder = tmp_path_factory.mktemp("flip")
    (folder / "a.tar").write_bytes(TOY[:at] + bytes([TOY[at] ^ flip]) + TOY[at + 1 :])
    try:
        found = read_archive(folder / "a.tar", folder / "layout")
    except BundleError:
        assert everything(folder) == ["a.tar"]
    else:
        assert found.manifest.digest == "sha256:" + hashlib.sha256((VECTORS / "manifest.json").read_bytes()).hexdigest()
        read_layout(found.folder)


@given(st.binary(max_size=3000))
def test_garbage_is_refused(tmp_path_factory, raw):
    folder = tmp_path_factory.mktemp("garbage")
    (folder / "a.tar").write_bytes(raw)
    with pytest.raises(BundleError):
        read_archive(folder / "a.tar", folder / "layout")
    assert everything(folder) == ["a.tar"]


@given(st.binary(min_size=512, max_size=512), st.binary(max_size=600))
def test_a_header_of_garbage_with_the_right_checksum_is_refused(tmp_path_factory, block, rest):
    block = block[:148] + b" " * 8 + block[156:257] + b"ustar\x0000" + block[265:]
    block = block[:148] + f"{sum(block):06o}\0 ".encode() + block[156:]
    with pytest.raises(BundleError):
        list(read_tar(io.BytesIO(block + rest), "it"))


@pytest.mark.parametrize(
    "compress",
    [gzip.compress, zstandard.compress, __import__("bz2").compress, __import__("lzma").compress],
    ids=["gzip", "zstd", "bzip2", "xz"],
)
def test_a_compressed_archive_is_refused_by_the_name_of_what_compressed_it(place, compress, request):
    name = request.node.callspec.id
    assert f"compressed with {name}" in refuse(place, compress(TOY))


def test_a_layer_that_is_a_zip_bomb_is_bytes_like_any_others(make_bundle, place, tmp_path):
    """Nothing is ever decompressed, so a bomb in the place of a model is as small as it is."""
    folder = make_bundle()
    bomb = gzip.compress(bytes(50_000_000))
    (folder / "models" / "champion.onnx").write_bytes(bomb)
    write_archive(write_layout(folder, tmp_path / "l"), tmp_path / "bomb.tar")
    found = read_archive(tmp_path / "bomb.tar", place / "layout")
    assert sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file()) < 2 * len(bomb) + 10_000


@pytest.mark.parametrize(
    "field",
    [
        b"\x80" + bytes(10) + b"\x0a",
        b"\xff" * 12,
        b"-0000000001\0",
        b"0000000000x\0",
        bytes(12),
        b"0x0000000a\0\0",
        b"9" * 12,
    ],
)
def test_a_size_that_is_not_octal_is_refused(place, field):
    assert "not octal" in refuse(
        place, toy_with(header("blobs/sha256/" + SHA_X, size_field=field) + X.ljust(512, b"\0"))
    )


def test_a_size_beyond_the_archive_is_refused(place):
    assert "cut off" in refuse(place, toy_with(header("blobs/sha256/" + SHA_X, 2**32) + X))


@pytest.mark.parametrize("magic", [b"ustar  \0", bytes(8), b"ustar\x0001"])
def test_other_dialects_are_refused(place, magic):
    assert "neither ustar nor pax" in refuse(place, toy_with(entry("blobs/sha256/" + SHA_X, X, magic=magic)))


def test_a_name_with_something_after_its_end_is_refused(place):
    assert "no plain text" in refuse(place, toy_with(entry(b"index.json\0../x", X)))
    assert "no plain text" in refuse(place, toy_with(entry("blöbs".encode(), X)))


def test_content_that_its_name_does_not_promise_is_refused(place):
    assert "has other bytes than its name says" in refuse(place, toy_with(entry("blobs/sha256/" + SHA_X, b"y" * 10)))


# Extended headers.


def with_pax(*records):
    """The toy with an extended header before its last entry."""
    *most, last = [data for _, data in ENTRIES]
    return b"".join(most) + pax(records) + last + END


def test_sizes_and_times_may_stand_in_an_extended_header(place):
    source = place / "a.tar"
    source.write_bytes(with_pax((b"size", b"30"), (b"mtime", b"1.5"), (b"atime", b"2")))
    assert read_archive(source, place / "layout").manifest.name == "toy"


def test_the_size_of_an_extended_header_is_the_one_that_counts(place):
    source = place / "a.tar"
    *most, (name, last) = ENTRIES
    lying = header(name, 0) + last[512:]
    raw = b"".join(data for _, data in most) + pax([(b"size", b"30")]) + lying + END
    source.write_bytes(raw)
    assert read_archive(source, place / "layout").manifest.name == "toy"
    with tarfile.open(source) as tar:
        assert tar.getmember(name).size == 30


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ((b"path", b"../escaped"), "'path', which is not taken"),
        ((b"linkpath", b"/etc"), "'linkpath', which is not taken"),
        ((b"uid", b"0"), "'uid', which is not taken"),
        ((b"GNU.sparse.major", b"1"), "damaged"),
        ((b"SCHILY.xattr.user.x", b"1"), "damaged"),
        ((b"size", b"-1"), "no number"),
        ((b"size", b"030"), "no number"),
        ((b"size", b"1e3"), "no number"),
        ((b"size", b"9" * 17), "no number"),
        ((b"size", b""), "no number"),
        ((b"size", b"31"), "padding|cut off|wrong|damaged|valid"),
        (b"9 size=1\n", None),
        (b"11 size=1\n", "damaged"),
        (b"99999 size=1\n", "damaged"),
        (b"0 size=1\n", "damaged"),
        (b"\n", "damaged"),
        (b"size=1\n", "damaged"),
        (b"9 size=1", "damaged"),
        (b"\xff\xff", "damaged"),
    ],
)
def test_every_other_trick_with_an_extended_header_is_refused(place, record, why):
    said = refuse(place, with_pax(record))
    assert why is None or any(part in said for part in why.split("|"))


def test_an_extended_header_says_a_thing_once(place):
    assert "says 'size' twice" in refuse(place, with_pax((b"size", b"30"), (b"size", b"31")))


def test_one_extended_header_belongs_to_one_entry(place):
    *most, last = [data for _, data in ENTRIES]
    twice = b"".join(most) + pax([(b"size", b"30")]) * 2 + last + END
    assert "two extended headers" in refuse(place, twice)
    assert "without an entry" in refuse(place, b"".join(most) + last + pax([(b"size", b"1")]) + END)


def test_an_extended_header_has_at_most_pax_max_bytes(place):
    filler = BUNDLES_LIMITS.pax_max_bytes - len(b"4096 mtime=\n")
    source = place / "a.tar"
    source.write_bytes(with_pax((b"mtime", b"1" * filler)))
    assert read_archive(source, place / "layout").manifest.name == "toy"
    assert "extended header of 4097 bytes; at most 4096" in refuse(place, with_pax((b"mtime", b"1" * (filler + 1))))
    bomb = header("PaxHeader/x", 2**33 - 1, b"x")
    assert "at most 4096" in refuse(place, bomb + END)


# Memory and disk.


def test_memory_stays_bounded_whatever_the_size(make_bundle, tmp_path):
    folder = make_bundle()
    with (folder / "models" / "champion.onnx").open("wb") as file:
        file.truncate(64 * 2**20)
    tracemalloc.start()
    try:
        write_archive(write_layout(folder, tmp_path / "l"), tmp_path / "a.tar")
        read_archive(tmp_path / "a.tar", tmp_path / "again")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20  # reading a bundle.json makes room for the largest


def test_a_pipe_is_not_waited_for(place):
    os.mkfifo(place / "a.tar")
    with pytest.raises(BundleError, match="is no file"):
        read_archive(place / "a.tar", place / "layout")


def test_a_file_of_more_than_8_gib_needs_an_extended_header_and_gets_one():
    """Only its header is written, since the file would not fit a small disk."""
    name = "blobs/sha256/" + SHA_X
    for size in (8 * 2**30 - 1, 8 * 2**30, 9 * 2**33):
        found = file_header(name, size)
        only = next(read_tar(io.BytesIO(found), "it"))
        assert (only.name, only.size) == (name, size)
        with tarfile.open(fileobj=io.BytesIO(found), mode="r:") as tar:
            member = tar.next()
        assert (member.name, member.size) == (name, size)


def test_ctrl_c_leaves_nothing_behind(place, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, "open_layout", interrupt)
    with pytest.raises(KeyboardInterrupt):
        read_archive(VECTORS / "toy.tar", place / "layout")
    assert everything(place) == []
