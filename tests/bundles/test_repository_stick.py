"""A repository on a stick: a tar that adds to a folder what is new and signed, and nothing else whoever made it."""

from __future__ import annotations

import io
import tarfile
from types import SimpleNamespace

import pytest
from tuf.api.exceptions import RepositoryError as TufError

from edgerun.errors import BundleError
from edgerun.update.stick import Stick
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.repository import cleaning, rotation, trust
from edgerun_bundles.repository.folder import FolderStorage
from edgerun_bundles.repository.pushing import utc_now
from edgerun_bundles.repository.rotation import Change
from edgerun_bundles.repository.stick import read_stick, write_stick
from edgerun_bundles.repository.workplace import Offer
from support.publishers import Client, files_in, founded, hand, laid, team

PINS = [("toy", "1.0.0")]


@pytest.fixture
def stick(workplace, attached, tmp_path):
    """A stick with one of two bundles, with its provenance and its channel."""
    workplace.push(attached, [Offer("stable", 1_000_000, ())])
    workplace.push(laid(tmp_path, "2.0.0", 5.0))
    return export(workplace, tmp_path / "stick.tar")


@pytest.fixture
def mirror(tmp_path):
    return FolderStorage(tmp_path / "mirror")


def export(workplace, path, pins=PINS):
    return write_stick(workplace.source, workplace.read(), workplace.root, pins, path)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_stick_makes_a_folder_that_a_client_reads(workplace, stick, mirror, tmp_path):
    done = read_stick(stick, mirror, workplace.root)
    assert done.is_newer
    assert done.blobs == 10
    client = Client(tmp_path / "client", workplace.root, files_in(mirror.folder))
    assert client.blob("bundles/toy/1.0.0")
    assert client.blob("channels/stable/toy")
    assert client.has("bundles/toy/2.0.0")
    assert not [path for path in mirror.folder.iterdir() if path.name.startswith(".")]


def test_a_device_reads_the_stick_itself(stick):
    found = Stick(str(stick))
    with tarfile.open(stick) as tar:
        for info in tar.getmembers():
            if info.isfile():
                assert b"".join(found.open(info.name)) == tar.extractfile(info).read()
    found.close()


def test_the_same_repository_gives_the_same_tar(workplace, stick, tmp_path):
    assert export(workplace, tmp_path / "again.tar").read_bytes() == stick.read_bytes()


def test_any_tar_program_reads_it(stick):
    with tarfile.open(stick) as tar:
        names = tar.getnames()
    assert "metadata/timestamp.json" in names
    assert len(names) == len({*names})


def test_a_second_stick_adds_what_is_new_and_an_older_one_adds_blobs_alone(workplace, stick, mirror, tmp_path):
    read_stick(stick, mirror, workplace.root)
    workplace.push(laid(tmp_path, "3.0.0", 7.0))
    newer = export(workplace, tmp_path / "newer.tar", [("toy", "3.0.0")])
    done = read_stick(newer, mirror, workplace.root)
    assert (done.is_newer, done.blobs) == (True, 5)
    again = read_stick(newer, mirror, workplace.root)
    assert (again.is_newer, again.blobs) == (False, 0)
    timestamp = mirror.read("metadata/timestamp.json", 2**20).content
    assert not read_stick(stick, mirror, workplace.root).is_newer
    assert mirror.read("metadata/timestamp.json", 2**20).content == timestamp


def test_roots_travel_so_that_who_has_the_first_one_can_follow(workplace, people, mirror, tmp_path):
    first = workplace.root
    workplace.push(laid(tmp_path))
    for _ in range(2):
        state = workplace.read()
        root = rotation.unsigned(rotation.changed_root(state, {"root": Change(hand().keys)}, utc_now()))
        workplace.store_root(state, rotation.sign_root(state, root, people.all))
    assert trust.trusted(workplace.place).root != first
    stick = export(workplace, tmp_path / "stick.tar")
    assert read_stick(stick, mirror, first).is_newer
    assert {f"metadata/{version}.root.json" for version in (1, 2, 3)} <= files(mirror.folder).keys()


def test_an_import_that_broke_off_before_the_roots_is_mended_by_another(workplace, people, stick, mirror, tmp_path):
    first, new = workplace.root, hand()
    read_stick(stick, mirror, first)
    state = workplace.read()
    changes = {role: Change(new.keys, frozenset(people.online.held)) for role in ("snapshot", "timestamp")}
    workplace.keys = people.root + people.targets + new
    root = rotation.unsigned(rotation.changed_root(state, changes, utc_now()))
    workplace.store_root(state, rotation.sign_root(state, root, workplace.keys))
    newer = export(workplace, tmp_path / "newer.tar")
    read_stick(newer, mirror, first)
    (mirror.folder / "metadata/2.root.json").unlink()
    client = Client(tmp_path / "client", first, files_in(mirror.folder))
    with pytest.raises(TufError):
        client.look()
    assert not read_stick(newer, mirror, first).is_newer
    assert client.blob("bundles/toy/1.0.0")


def test_a_bundle_that_is_not_published_cannot_be_exported(workplace, stick, tmp_path):
    with pytest.raises(RepositoryError, match=r"toy 9\.9\.9 is not published; the last versions are: 1\.0\.0, 2\.0\.0"):
        export(workplace, tmp_path / "x.tar", [("toy", "9.9.9")])
    assert not (tmp_path / "x.tar").exists()


def test_the_names_that_a_dead_publication_took_are_named(workplace, stick, mirror):
    mirror.create("metadata/3.snapshot.json", b"left behind")
    with pytest.raises(RepositoryError, match=r"metadata/3\.snapshot\.json is there with other bytes"):
        read_stick(stick, mirror, workplace.root)
    assert mirror.read("metadata/timestamp.json", 2**20) is None


# Hostile tars.


def remade(stick, path, change):
    """The same tar with its entries changed: a function takes and returns (info, content) of each."""
    with tarfile.open(stick) as old, tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as new:
        for info in old.getmembers():
            content = old.extractfile(info).read() if info.isfile() else b""
            for made, body in change(info, content):
                made.size = len(body)
                new.addfile(made, io.BytesIO(body))
    return path


def refused(stick, mirror, root, said, error=BundleError):
    with pytest.raises(error, match=said):
        read_stick(stick, mirror, root)
    assert files(mirror.folder) == {}


def entry(name, content=b"x", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, content


HOSTILE = {
    "climbs": (entry("../../evil"), "no part of a repository"),
    "is absolute": (entry("/etc/passwd"), "no part of a repository"),
    "climbs in a blob's name": (entry("blobs/sha256/../../evil"), "no part of a repository"),
    "links": (entry("metadata/timestamp.json", b"", tarfile.SYMTYPE, "/etc/passwd"), "a symbolic link"),
    "links hard": (entry("blobs/sha256/" + "0" * 64, b"", tarfile.LNKTYPE, "/etc/passwd"), "a hard link"),
    "is a device": (entry("metadata/null", b"", tarfile.CHRTYPE), "a character device"),
    "is a pipe": (entry("metadata/pipe", b"", tarfile.FIFOTYPE), "a pipe"),
    "is a folder of its own": (entry("more", b"", tarfile.DIRTYPE), "no part of a repository"),
    "is hidden": (entry("metadata/.lock"), "no part of a repository"),
    "is no metadata": (entry("metadata/x.txt"), "no part of a repository"),
    "lies about its digest": (entry("blobs/sha256/" + "0" * 64), "other bytes than its name says"),
    "is twice": (entry("metadata/timestamp.json"), "is there twice"),
    "nothing refers to": (entry("metadata/77.snapshot.json"), "nothing refers to"),
    "is a blob that nothing refers to": (
        entry("blobs/sha256/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
        "nothing refers to",
    ),
    "is too large": (entry("metadata/9.snapshot.json", bytes(4 * 2**20 + 1)), "is larger than"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_tar_with_an_entry_that_is_hostile_is_refused(workplace, stick, mirror, tmp_path, what):
    (info, content), said = HOSTILE[what]

    def add(found, body):
        yield found, body
        if found.name == "metadata/timestamp.json":
            yield info, content

    refused(remade(stick, tmp_path / "bad.tar", add), mirror, workplace.root, said)
    assert not (tmp_path / "evil").exists()


def test_a_tar_with_too_many_entries_is_refused(workplace, stick, mirror, tmp_path):
    path = tmp_path / "many.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(LIMITS.archive_entries_max + 1):
            tar.addfile(tarfile.TarInfo(f"metadata/{number + 1}.snapshot.json"), io.BytesIO())
    refused(path, mirror, workplace.root, f"more than {LIMITS.archive_entries_max} entries")


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_a_compressed_tar_is_refused(workplace, stick, mirror, tmp_path, mode):
    with tarfile.open(tmp_path / "c.tar", mode) as tar:
        tar.add(stick, "stick.tar")
    refused(tmp_path / "c.tar", mirror, workplace.root, "it is compressed with")


def test_a_size_that_promises_more_than_there_is_is_refused(workplace, stick, mirror, tmp_path):
    info = tarfile.TarInfo("blobs/sha256/" + "0" * 64)
    info.size = 2**33 - 1
    (tmp_path / "huge.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT))
    refused(tmp_path / "huge.tar", mirror, workplace.root, "cut off")


def test_a_tar_that_does_not_fit_is_refused_before_it_is_read(workplace, stick, mirror, monkeypatch):
    monkeypatch.setattr("edgerun_bundles.repository.stick.shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    refused(stick, mirror, workplace.root, "has room for 100", RepositoryError)


def test_a_tar_that_is_cut_off_anywhere_is_refused(workplace, stick, mirror, tmp_path):
    content = stick.read_bytes()
    for size in range(0, len(content) - 10240, 4096 + 512):
        (tmp_path / "cut.tar").write_bytes(content[:size])
        refused(tmp_path / "cut.tar", mirror, workplace.root, r"\w", (BundleError, RepositoryError))


def test_a_bundle_that_is_there_by_half_is_refused(workplace, stick, mirror, attached, tmp_path):
    doomed = {layer.digest.removeprefix("sha256:") for layer in attached.manifest.layers}

    def drop(found, body):
        if found.name.rpartition("/")[2] not in doomed:
            yield found, body

    refused(remade(stick, tmp_path / "half.tar", drop), mirror, workplace.root, "is missing")


def test_a_wrong_byte_in_any_metadata_is_refused(workplace, stick, mirror, tmp_path):
    for name in cleaning.kept_metadata(workplace.read()):

        def flip(found, body, name=name):
            yield found, body[:-20] + bytes([body[-20] ^ 1]) + body[-19:] if found.name == name else body

        refused(remade(stick, tmp_path / "bad.tar", flip), mirror, workplace.root, r"\w", RepositoryError)


def test_a_stick_of_another_repository_is_refused(workplace, stick, mirror, people, settings, tmp_path):
    other = founded(tmp_path / "other", team())
    refused(stick, mirror, other.root, "by the keys|timestamp|root", RepositoryError)
