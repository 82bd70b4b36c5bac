"""A layout on disk: written whole or not at all, the same for the same files, and believed for its digests alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun import EdgeRunner, bundle
from edgerun.artifact import config_of, manifest_of
from edgerun.errors import BundleError, GraphError
from edgerun_bundles import index, placing
from edgerun_bundles import limits as bundles_limits
from edgerun_bundles.layout import Layout, open_layout, read_layout, unpack
from edgerun_bundles.layout_write import manifest_of_folder, write_layout
from edgerun_bundles.opening import open_bundle
from edgerun_bundles.referrers import PROVENANCE_TYPE, Attachment, parse_referrer

AB = {"ab": {"kind": "random_split", "weights": {"champion": 90, "challenger": 10}, "split_key": "user"}}
VECTORS = Path(__file__).parents[1] / "vectors" / "bundles"


def files(folder):
    """Every file below a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def blob_of(layout: Layout, path: str) -> Path:
    (found,) = (layer for layer in layout.manifest.layers if layer.path == path)
    return layout.blob(found.digest)


@pytest.fixture
def attached(make_bundle, tmp_path) -> Layout:
    """A layout with provenance."""
    paths = [tmp_path / name for name in ("statement", "lock")]
    for path in paths:
        path.write_text(path.name)
    provenance = [Attachment(PROVENANCE_TYPE, paths[0]), Attachment("text/plain", paths[1])]
    return write_layout(make_bundle(), tmp_path / "layout", provenance)


# Writing.


def test_every_file_of_a_layout_is_named_by_its_digest(layout):
    found = files(layout.folder)
    assert json.loads(found.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    listed = json.loads(found.pop("index.json"))["manifests"]
    assert [entry["digest"] for entry in listed] == [layout.manifest.digest]
    for path, content in found.items():
        assert path == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"


def test_the_blobs_are_the_files_and_the_manifest_and_its_config(layout, tmp_path):
    contents = {*files(tmp_path / "bundle").values()}
    stored = {content for path, content in files(layout.folder).items() if path.startswith("blobs/")}
    assert contents < stored
    assert len(stored) == len(contents) + 2


def test_the_same_files_give_the_same_layout_wherever_and_whenever(layout, make_bundle, tmp_path):
    folder = make_bundle("elsewhere")
    os.utime(folder / "bundle.json", (0, 0))
    (folder / "models" / "champion.onnx").chmod(0o600)
    again = write_layout(folder, tmp_path / "again")
    assert files(again.folder) == files(layout.folder)
    assert again.manifest == layout.manifest == manifest_of_folder(folder)


def test_other_files_give_another_digest(layout, make_bundle):
    assert manifest_of_folder(make_bundle("other", version="1.0.1")).digest != layout.manifest.digest


def test_a_file_beside_the_bundle_is_no_part_of_it(layout, make_bundle, tmp_path):
    folder = make_bundle("more")
    (folder / "README.md").write_text("hello")
    assert manifest_of_folder(folder) == layout.manifest


def test_a_bundle_that_was_written_over_another_can_be_laid_out(make_bundle, tmp_path):
    folder = make_bundle()
    models = {name: shutil.copy(path, tmp_path / f"{name}.onnx") for name, path in bundle.read(folder).models.items()}
    examples = [{"inputs": {"x": [[9.0, 9.0]]}}]
    bundle.write(folder, name="toy", version="2", models=models, nodes=AB, route="ab", golden=examples)
    layout = write_layout(folder, tmp_path / "layout")
    assert any(layer.path.startswith("golden-") for layer in layout.manifest.layers)
    assert read_layout(layout.folder) == layout


def test_a_wrong_bundle_is_not_laid_out(make_bundle, tmp_path):
    folder = make_bundle()
    document = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**document, "route": "nowhere"}))
    with pytest.raises(GraphError, match="nowhere"):
        write_layout(folder, tmp_path / "layout")
    assert not (tmp_path / "layout").exists()


def test_a_model_at_an_unusual_place_is_refused_with_its_path(make_bundle, tmp_path):
    folder = make_bundle()
    (folder / "models" / "champion.onnx").rename(folder / "champion.onnx")
    text = (folder / "bundle.json").read_text()
    (folder / "bundle.json").write_text(text.replace("models/champion.onnx", "champion.onnx"))
    with pytest.raises(BundleError, match=r"'champion.onnx' is no file of a bundle"):
        write_layout(folder, tmp_path / "layout")


def test_a_missing_model_leaves_nothing_behind(make_bundle, tmp_path):
    folder = make_bundle()
    (folder / "models" / "champion.onnx").unlink()
    before = {*tmp_path.iterdir()}
    with pytest.raises(BundleError, match="cannot be read"):
        write_layout(folder, tmp_path / "layout")
    assert {*tmp_path.iterdir()} == before


def test_a_model_that_is_a_pipe_is_refused_and_not_waited_for(make_bundle, tmp_path):
    folder = make_bundle()
    (folder / "models" / "champion.onnx").unlink()
    os.mkfifo(folder / "models" / "champion.onnx")
    with pytest.raises(BundleError, match="no regular file"):
        write_layout(folder, tmp_path / "layout")


def test_a_layout_is_replaced_as_a_whole(layout, make_bundle):
    again = write_layout(make_bundle("other", version="2"), layout.folder)
    assert read_layout(layout.folder) == again
    assert len(files(layout.folder)) == len(again.blobs) + 2


@pytest.mark.parametrize("stands_there", ["file", "link", "folder"])
def test_something_else_is_not_replaced(make_bundle, tmp_path, stands_there):
    target, other = tmp_path / "layout", tmp_path / "other"
    other.mkdir()
    (other / "letter").write_text("dear")
    if stands_there == "file":
        target.write_text("dear")
    elif stands_there == "link":
        target.symlink_to(other)
    else:
        other.rename(target)
    with pytest.raises(BundleError, match="choose another"):
        write_layout(make_bundle(), target)
    assert (target.read_text() if target.is_file() else (target / "letter").read_text()) == "dear"


def test_a_write_that_fails_at_the_last_moment_leaves_the_former_layout(layout, make_bundle, monkeypatch):
    before = files(layout.folder)
    rename = Path.rename

    def fail(self, target):
        if self.name == "made":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(placing.Path, "rename", fail)
    with pytest.raises(BundleError, match="No space left"):
        write_layout(make_bundle("other", version="2"), layout.folder)
    assert files(layout.folder) == before
    assert not [path for path in layout.folder.parent.iterdir() if path.name.startswith(placing.SCRATCH)]


@pytest.mark.parametrize("name", ["layout", "made"])
def test_an_interrupt_between_the_two_renames_leaves_the_former_layout(layout, make_bundle, monkeypatch, name):
    before = files(layout.folder)
    rename = Path.rename

    def interrupt(self, target):
        rename(self, target)
        if self.name == name == "layout":
            raise KeyboardInterrupt
        if self.name == name:
            rename(target, self)
            raise KeyboardInterrupt

    monkeypatch.setattr(placing.Path, "rename", interrupt)
    folder = make_bundle("other", version="2")
    with pytest.raises(KeyboardInterrupt):
        write_layout(folder, layout.folder)
    assert files(layout.folder) == before


def test_an_interrupt_leaves_nothing_behind(make_bundle, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("edgerun_bundles.layout_write.index_of", interrupt)
    folder = make_bundle()
    before = {*tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        write_layout(folder, tmp_path / "layout")
    assert {*tmp_path.iterdir()} == before


# Reading.


def test_what_is_written_is_read(attached):
    assert read_layout(attached.folder) == attached


def test_the_layout_of_the_vectors_is_read(tmp_path):
    with tarfile.open(VECTORS / "toy.tar") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(tmp_path)
    found = read_layout(tmp_path)
    assert (found.manifest.name, found.manifest.version) == ("toy", "1.0.0+a")
    assert index.index_of(found.manifest, found.referrers) == (VECTORS / "index.json").read_bytes()


@given(st.data())
def test_a_wrong_byte_anywhere_is_found(vectors_layout, data):
    every = sorted(path for path in files(vectors_layout) if path not in {"index.json", "oci-layout"})
    path = vectors_layout / data.draw(st.sampled_from(every))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    try:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(BundleError):
            read_layout(vectors_layout)
    finally:
        path.write_bytes(content)


@pytest.fixture(scope="module")
def vectors_layout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    with tarfile.open(VECTORS / "toy.tar") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(folder)
    return folder


@pytest.mark.parametrize("what", ["bundle.json", "models/champion.onnx", "manifest", "config"])
def test_a_missing_blob_is_found(layout, what):
    digest = {"manifest": layout.manifest.digest, "config": layout.manifest.config.digest}.get(what)
    (layout.blob(digest) if digest else blob_of(layout, what)).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        read_layout(layout.folder)


def test_another_blob_in_the_place_of_one_is_found_while_unpacking(layout, tmp_path):
    shutil.copy(blob_of(layout, "models/champion.onnx"), blob_of(layout, "models/challenger.onnx"))
    with pytest.raises(BundleError, match="has the digest"):
        unpack(layout, tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_a_description_of_another_bundle_is_found(layout, make_bundle, tmp_path):
    """Somebody makes a manifest with a name and version of their own for files that say another."""
    raw = manifest_of("toy", "6.6.6", layout.manifest.layers)
    config = config_of("toy", "6.6.6", layout.manifest.layers)
    for content in (raw, config):
        layout.blob("sha256:" + hashlib.sha256(content).hexdigest()).write_bytes(content)
    listed = json.loads((layout.folder / "index.json").read_text())
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    listed["manifests"] = [{**listed["manifests"][0], "digest": digest, "size": len(raw)}]
    (layout.folder / "index.json").write_text(json.dumps(listed))
    with pytest.raises(BundleError, match=r"has the version '1.0.0', its manifest '6.6.6'"):
        read_layout(layout.folder)


def test_of_several_bundles_one_must_be_chosen(layout, make_bundle, tmp_path):
    other = write_layout(make_bundle("other", version="2"), tmp_path / "second")
    for blob in (other.folder / "blobs" / "sha256").iterdir():
        shutil.copy(blob, layout.folder / "blobs" / "sha256")
    both = [json.loads((found.folder / "index.json").read_text())["manifests"][0] for found in (layout, other)]
    (layout.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": both}))
    with pytest.raises(BundleError, match=r"must hold one bundle; it holds: toy 1.0.0, toy 2"):
        open_layout(layout.folder)
    assert open_layout(layout.folder, "2").manifest == other.manifest
    with pytest.raises(BundleError, match="of version 3; it holds"):
        open_layout(layout.folder, "3")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("oci-layout", b"{}", "of version 1.0.0"),
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}', "of version 1.0.0"),
        ("oci-layout", b"x" * 1025, "larger than 1024"),
        ("index.json", b"[]", "must be a list"),
        ("index.json", b'{"manifests":[1]}', "must be a list"),
        ("index.json", b'{"manifests":[]}', "it holds: none"),
        ("index.json", b'{"manifests":[{"mediaType":"x/y","digest":"sha256:1","size":1}]}', "must be 'sha256:'"),
        ("index.json", b'{"manifests":[{"mediaType":"x/y"}]}', "'size' must be"),
        ("index.json", b"{", "not valid JSON"),
    ],
)
def test_a_wrong_marker_or_index_is_refused(layout, name, content, why):
    (layout.folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=re.escape(why)):
        read_layout(layout.folder)


def test_an_index_has_at_most_index_manifests_max_and_index_max_bytes(layout, monkeypatch):
    entry = json.loads((layout.folder / "index.json").read_text())["manifests"][0]
    limit = bundles_limits.LIMITS.index_manifests_max
    for count in (limit, limit + 1):
        raw = json.dumps({"manifests": [entry] * count}).encode()
        if count == limit:
            assert len(index.parse_index(raw, "it")) == limit
        else:
            with pytest.raises(BundleError, match=f"lists {count} manifests; at most {limit}"):
                index.parse_index(raw, "it")
    padded = raw.ljust(bundles_limits.LIMITS.index_max_bytes + 1)
    with pytest.raises(BundleError, match="larger than"):
        index.parse_index(padded, "it")


# Provenance.


def test_provenance_refers_to_the_bundle_by_its_digest(attached):
    (found,) = attached.referrers
    assert found.subject == attached.manifest.digest
    raw = attached.blob(found.digest).read_bytes()
    assert json.loads(raw)["subject"]["digest"] == attached.manifest.digest
    assert attached.blob(found.layers[1].digest).read_text() == "lock"


def test_provenance_does_not_change_the_digest_of_the_bundle(attached, make_bundle):
    assert manifest_of_folder(make_bundle("same")) == attached.manifest


def test_the_provenance_of_the_vectors_is_read():
    raw = (VECTORS / "referrer.json").read_bytes()
    manifest = (VECTORS / "manifest.json").read_bytes()
    assert parse_referrer(raw).subject == "sha256:" + hashlib.sha256(manifest).hexdigest()


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("artifactType", "x/y", "'artifactType' must be"),
        ("layers", [], "a list of 1 to"),
        ("subject", {}, "'mediaType' is missing"),
        ("config", {"mediaType": "x/y", "digest": "sha256:" + "0" * 64, "size": 2}, "must be the empty object"),
        (
            "layers",
            [{"mediaType": "x/y", "digest": "sha256:" + "0" * 64, "size": 2}],
            "layer 0 must have the media type",
        ),
        ("blobs", [], "unknown field"),
    ],
)
def test_provenance_that_is_not_exactly_that_is_refused(field, value, why):
    document = json.loads((VECTORS / "referrer.json").read_bytes())
    with pytest.raises(BundleError, match=why):
        parse_referrer(json.dumps({**document, field: value}).encode())


def test_a_wrong_byte_in_the_provenance_is_found(attached):
    attached.blob(attached.referrers[0].layers[1].digest).write_text("lick")
    with pytest.raises(BundleError, match="has the digest"):
        read_layout(attached.folder)


# Serving what was unpacked.


def test_a_layout_unpacks_to_the_files_it_was_made_of(layout, tmp_path):
    unpack(layout, tmp_path / "unpacked")
    assert files(tmp_path / "unpacked") == files(tmp_path / "bundle")


def test_a_bundle_is_served_from_a_folder_and_from_a_layout(layout, tmp_path):
    answers = []
    for number, source in enumerate((tmp_path / "bundle", layout.folder)):
        with EdgeRunner.open(open_bundle(source, tmp_path / f"scratch-{number}")) as runner:
            answers.append(runner.predict([[1, 1]], key="a")["y"].tolist())
    assert answers[0] == answers[1]


def test_what_is_no_bundle_is_not_opened(tmp_path):
    for path, why in ((tmp_path, "holds no bundle"), (tmp_path / "none", "neither a file nor a folder")):
        with pytest.raises(BundleError, match=why):
            open_bundle(path, tmp_path / "scratch")


def test_other_tools_copy_and_inspect_a_layout(attached, skopeo, tmp_path):
    raw = skopeo("inspect", "--raw", f"oci:{attached.folder}:1.0.0")
    assert raw.encode() == attached.blob(attached.manifest.digest).read_bytes()
    skopeo("copy", f"oci:{attached.folder}:1.0.0", f"oci:{tmp_path / 'copy'}:any")
    assert read_layout(tmp_path / "copy").manifest == attached.manifest
