"""The manifest of a bundle: the same files give the same bytes, and whatever is not exactly one is refused."""

from __future__ import annotations

import hashlib
import io
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun import LIMITS
from edgerun.artifact import (
    Descriptor,
    Layer,
    canonical_json,
    check_description,
    check_path,
    config_of,
    digest_of,
    manifest_of,
    media_type_of,
    parse_json,
    parse_manifest,
    verify_blob,
)
from edgerun.errors import BundleError

VECTORS = Path(__file__).parents[1] / "vectors" / "bundles"
LARGE = 100_000

MANIFEST = (VECTORS / "manifest.json").read_bytes()
DIGESTS = dict(reversed(line.split()) for line in (VECTORS / "digests.txt").read_text().splitlines())


def layer(path, content=b"x", **fields):
    return Layer(path, media_type_of(path), digest_of(content), len(content))._replace(**fields)


LAYERS = (layer("bundle.json", b"{}"), layer("golden.json", b"[]"), layer("models/m.onnx", b"model"))


def changed(*path, value=...):
    """The manifest of the vectors with one place changed, or taken away, in canonical JSON."""
    document = json.loads(MANIFEST)
    *way, last = path
    place = document
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return canonical_json(document)


# The vectors.


def test_the_vectors_are_what_their_script_makes():
    subprocess.run([sys.executable, VECTORS / "make_vectors.py", "--check"], check=True)


def test_the_manifest_of_the_vectors_is_read():
    found = parse_manifest(MANIFEST)
    assert (found.name, found.version, found.size) == ("toy", "1.0.0+a", len(MANIFEST))
    assert found.digest == DIGESTS["manifest.json"]
    assert found.config.digest == DIGESTS["config.json"]
    assert [found.path for found in found.layers] == ["bundle.json", "golden.json", "models/m.onnx"]


def test_the_manifest_of_the_vectors_is_written():
    found = parse_manifest(MANIFEST)
    assert manifest_of("toy", "1.0.0+a", reversed(found.layers)) == MANIFEST
    assert config_of("toy", "1.0.0+a", found.layers) == (VECTORS / "config.json").read_bytes()


# Canonical JSON.

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_canonical_json_reads_back_as_the_same_document(document):
    assert json.loads(canonical_json(document)) == document


@given(st.dictionaries(st.text(), st.integers(0, 9), max_size=8), st.randoms())
def test_canonical_json_knows_no_order_of_names(table, random):
    names = [*table]
    random.shuffle(names)
    assert canonical_json({name: table[name] for name in names}) == canonical_json(table)


def test_names_are_sorted_by_their_utf16_units_as_rfc_8785_says():
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    found = json.loads(canonical_json(dict.fromkeys(names, 0)), object_pairs_hook=lambda pairs: [n for n, _ in pairs])
    assert found == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_characters_are_escaped_as_rfc_8785_says():
    assert canonical_json('\u20ac$\x0f\nA\'B"\\\\"/\x7f') == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f"'.encode()


@pytest.mark.parametrize(
    "document",
    [1.0, math.nan, 2**53, -(2**53), {1: 2}, b"", {"a": {1}}, "\ud800", {"\udfff": 0}, ...],
    ids=repr,
)
def test_what_readers_take_differently_has_no_canonical_json(document):
    with pytest.raises(BundleError, match=r"canonical|must be texts"):
        canonical_json(document)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"a":1,"a":1}', b"NaN", b"\xff", b'"\xed\xa0\x80"', b"[" * LARGE, b"9" * LARGE]
)
def test_what_is_no_strict_json_is_refused(raw):
    with pytest.raises(BundleError, match="thing is not valid JSON"):
        parse_json(raw, "thing", 2**20)


# Paths.

SAFE = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters=":\\/"), min_size=1).filter(
    lambda part: part not in {".", ".."}
)


@given(st.lists(SAFE, min_size=1, max_size=5).map("/".join).filter(lambda path: len(path) <= 255))
def test_a_plain_relative_path_is_taken(path):
    assert check_path(path) == path


@given(st.text(max_size=40))
def test_a_path_that_is_taken_stays_within_its_folder(path):
    try:
        check_path(path)
    except BundleError:
        return
    assert Path("/a/b", path).parts[:3] == ("/", "a", "b")
    assert not {*Path(path).parts} & {"..", "."}
    assert path.isascii()
    assert path.isprintable()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "./a",
        "a/.",
        "c:x",
        "a\\b",
        "a\nb",
        "a\0",
        "ä",
        "a\x7f",
        7,
        None,
        ["a"],
    ],
    ids=repr,
)
def test_any_other_path_is_refused(path):
    with pytest.raises(BundleError, match="path"):
        check_path(path)


def test_a_path_has_at_most_path_max_bytes():
    check_path("a" * LIMITS.path_max_bytes)
    with pytest.raises(BundleError, match="256 bytes; at most 255"):
        check_path("a" * (LIMITS.path_max_bytes + 1))


@pytest.mark.parametrize("path", ["model.onnx", "models/a/b.onnx", "models/.onnx.txt", "bundle.JSON", "x/golden.json"])
def test_a_path_where_no_file_of_a_bundle_lies_is_refused(path):
    with pytest.raises(BundleError, match="no file of a bundle"):
        media_type_of(path)


# Manifests that are none.

SHA = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (changed("schemaVersion", value=1), "'schemaVersion' must be 2"),
        (changed("schemaVersion", value=True), "'schemaVersion' must be 2"),
        (changed("mediaType", value="application/vnd.docker.distribution.manifest.v2+json"), "'mediaType' must be"),
        (changed("artifactType", value="application/vnd.in-toto+json"), "'artifactType' must be"),
        (changed("artifactType"), "'artifactType' is missing"),
        (changed("subject", value={}), "unknown field 'subject'"),
        (changed("layers", value=[]), "at least one file"),
        (changed("layers", value={}), "must be a list"),
        (changed("layers", 0), "no layer of bundle.json"),
        (changed("layers", 0, "size", value=-1), "'size' must be from 0"),
        (changed("layers", 0, "size", value="7"), "'size' must be from 0"),
        (changed("layers", 0, "size", value=False), "'size' must be from 0"),
        (changed("layers", 0, "digest", value="sha512:" + "0" * 128), "must be 'sha256:'"),
        (changed("layers", 0, "digest", value=SHA.upper()), "must be 'sha256:'"),
        (changed("layers", 0, "digest", value=SHA + "\n"), "must be 'sha256:'"),
        (changed("layers", 0, "digest", value=SHA), "'config' is not that of"),
        (changed("layers", 0, "urls", value=["https://elsewhere.example"]), "unknown field 'urls'"),
        (changed("layers", 0, "data", value="aGk="), "unknown field 'data'"),
        (changed("layers", 0, "annotations"), "'annotations' is missing"),
        (changed("layers", 0, "annotations", value={}), "the path None"),
        (changed("layers", 2, "annotations", "org.cncf.model.filepath", value="../m.onnx"), "without empty parts"),
        (
            changed("layers", 2, "annotations", "org.cncf.model.filepath", value="models/../m.onnx"),
            "without empty parts",
        ),
        (
            changed("layers", 2, "annotations", "org.cncf.model.filepath", value="golden.json"),
            "must have the media type",
        ),
        (changed("layers", 2, "mediaType", value="application/octet-stream"), "must have the media type"),
        (changed("config", "digest", value=SHA), "'config' is not that of"),
        (changed("config", "size", value=1), "'config' is not that of"),
        (changed("config", "mediaType", value="application/vnd.oci.image.config.v1+json"), "'config' is not that of"),
        (changed("annotations", value={}), "name must match"),
        (changed("annotations", "org.opencontainers.image.title", value="Toy"), "name must match"),
        (changed("annotations", "org.opencontainers.image.version", value="1 0"), "version must match"),
        (changed("annotations", "org.opencontainers.image.version", value="2.0.0"), "'config' is not that of"),
        (changed("annotations", "more", value=7), "must be an object of texts"),
        (MANIFEST + b"\n", "not in canonical JSON"),
        (MANIFEST.replace(b'":', b'": ', 1), "not in canonical JSON"),
        (MANIFEST.replace(b'"size":338', b'"size":338.0'), "only integers"),
        (MANIFEST[:-1], "not valid JSON"),
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
    ],
)
def test_a_manifest_that_is_not_exactly_one_is_refused(raw, why):
    with pytest.raises(BundleError, match=why):
        parse_manifest(raw)


@given(st.integers(0, len(MANIFEST) - 1), st.integers(0, 255))
def test_no_change_of_a_byte_goes_unseen(place, value):
    raw = MANIFEST[:place] + bytes([value]) + MANIFEST[place + 1 :]
    try:
        found = parse_manifest(raw)
    except BundleError:
        return
    assert found.digest == "sha256:" + hashlib.sha256(raw).hexdigest()
    assert raw == MANIFEST or found.digest != DIGESTS["manifest.json"]


@given(st.binary(max_size=200) | DOCUMENTS.map(lambda document: json.dumps(document).encode()))
def test_garbage_is_refused_as_a_bundle_error(raw):
    with pytest.raises(BundleError):
        parse_manifest(raw)


def test_further_annotations_are_left_alone():
    assert parse_manifest(changed("annotations", "org.opencontainers.image.source", value="x")).name == "toy"


def test_two_paths_may_not_differ_only_in_case():
    layers = (layer("bundle.json"), layer("models/A.onnx"), layer("models/a.onnx"))
    with pytest.raises(BundleError, match="differ only in case"):
        parse_manifest(manifest_of("toy", "1", layers))


def test_a_path_may_not_stand_twice():
    with pytest.raises(BundleError, match="the same path"):
        parse_manifest(manifest_of("toy", "1", (*LAYERS, LAYERS[-1])))


def test_layers_stand_in_the_order_of_their_paths():
    document = json.loads(MANIFEST)
    document["layers"].reverse()
    with pytest.raises(BundleError, match="in the order of their paths"):
        parse_manifest(canonical_json(document))


def test_one_digest_has_one_size():
    layers = (layer("bundle.json", b"{}"), layer("models/a.onnx"), layer("models/b.onnx", size=7))
    with pytest.raises(BundleError, match="another size"):
        parse_manifest(manifest_of("toy", "1", layers))


def test_two_files_of_one_content_are_one_blob():
    found = parse_manifest(manifest_of("toy", "1", (LAYERS[0], layer("models/a.onnx"), layer("models/b.onnx"))))
    assert len(found.layers) == 3
    assert len(found.blobs) == 3  # with the config


# Limits.


def test_a_manifest_has_at_most_manifest_max_bytes():
    size = len(MANIFEST)
    assert parse_manifest(MANIFEST, LIMITS._replace(manifest_max_bytes=size)).size == size
    with pytest.raises(BundleError, match="larger than"):
        parse_manifest(MANIFEST, LIMITS._replace(manifest_max_bytes=size - 1))


def test_a_manifest_has_at_most_layers_max_layers():
    assert len(parse_manifest(MANIFEST, LIMITS._replace(layers_max=3)).layers) == 3
    with pytest.raises(BundleError, match="3 layers; at most 2"):
        parse_manifest(MANIFEST, LIMITS._replace(layers_max=2))


def test_a_manifest_of_the_most_layers_fits_its_bytes():
    layers = [layer("bundle.json"), *(layer(f"models/{i:04}.onnx") for i in range(LIMITS.layers_max - 1))]
    raw = manifest_of("toy", "1", layers)
    assert len(raw) <= LIMITS.manifest_max_bytes
    assert len(parse_manifest(raw).layers) == LIMITS.layers_max


def test_a_layer_has_at_most_layer_max_bytes():
    largest = layer("models/m.onnx", size=LIMITS.layer_max_bytes)
    limits = LIMITS._replace(bundle_max_bytes=2**60)
    parse_manifest(manifest_of("toy", "1", (LAYERS[0], largest)), limits)
    too_large = largest._replace(size=LIMITS.layer_max_bytes + 1)
    with pytest.raises(BundleError, match="'size' must be"):
        parse_manifest(manifest_of("toy", "1", (LAYERS[0], too_large)), limits)


def test_a_bundle_has_at_most_bundle_max_bytes():
    size = sum(found.size for found in LAYERS)
    raw = manifest_of("toy", "1", LAYERS)
    assert parse_manifest(raw, LIMITS._replace(bundle_max_bytes=size)).content_bytes == size
    with pytest.raises(BundleError, match=f"has {size} bytes; at most {size - 1}"):
        parse_manifest(raw, LIMITS._replace(bundle_max_bytes=size - 1))


# The description that belongs to it.

DESCRIPTION = {"name": "toy", "version": "1", "models": {"m": "models/m.onnx"}, "golden": "golden.json"}


def described(**fields):
    return json.dumps({**DESCRIPTION, **fields}).encode()


def test_a_description_of_exactly_these_files_is_taken():
    check_description(parse_manifest(manifest_of("toy", "1", LAYERS)), described())


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (described(name="other"), "the name 'other'"),
        (described(version="2"), "the version '2'"),
        (described(models={}), "models/m.onnx is named nowhere"),
        (described(models=[]), "must be an object"),
        (described(models={"m": "models/n.onnx"}), "is named nowhere|in no layer"),
        (described(models={"m": 7}), "the path 7"),
        (described(golden=None), "golden.json is named nowhere"),
        (described(golden="../golden.json"), "the path"),
        (b"[]", "must hold one object"),
        (b"", "not valid JSON"),
    ],
)
def test_a_description_of_something_else_is_refused(raw, why):
    with pytest.raises(BundleError, match=why):
        check_description(parse_manifest(manifest_of("toy", "1", LAYERS)), raw)


# Blobs.


def test_a_device_verifies_without_the_workstation():
    program = "import sys; import edgerun.artifact, edgerun.requirements; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {"edgerun_bundles", "requests", "click", "tomllib", "onnxruntime"} & {*done.stdout.split()}


@given(st.binary(max_size=2000))
def test_a_blob_is_verified_from_a_file_and_from_a_stream(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("blob") / "blob"
    path.write_bytes(content)
    expected = Descriptor("", digest_of(content), len(content))
    verify_blob(path, expected)
    verify_blob(io.BytesIO(content), expected)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_wrong_byte_anywhere_is_found(content, data):
    place = data.draw(st.integers(0, len(content) - 1))
    wrong = bytearray(content)
    wrong[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BundleError, match="has the digest"):
        verify_blob(io.BytesIO(bytes(wrong)), Descriptor("", digest_of(content), len(content)))


@pytest.mark.parametrize(("size", "why"), [(4, "more than 4 bytes"), (6, "5 bytes instead of 6"), (0, "more than 0")])
def test_a_blob_of_another_size_is_refused(size, why):
    with pytest.raises(BundleError, match=why):
        verify_blob(io.BytesIO(b"hello"), Descriptor("", digest_of(b"hello"), size))


def test_no_more_than_one_byte_too_many_is_read():
    endless = io.BytesIO(bytes(10**6))
    with pytest.raises(BundleError):
        verify_blob(endless, Descriptor("", SHA, 5))
    assert endless.tell() == 6


def test_a_blob_that_cannot_be_read_is_refused(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(BundleError, match="cannot be read"):
            verify_blob(path, Descriptor("", SHA, 5))
