"""Trust without a store: what a root is, what metadata is, and that no library's error comes through."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuf.api.metadata import Metadata

from edgerun.errors import StoreError, UpdateError
from edgerun.store.state import State, published
from edgerun.update.source import Folder
from edgerun.update.trust import Known, Trust, check_root, is_metadata
from support.tuf_repository import OWNER, PUBLISHER, TufRepository


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    found = TufRepository(tmp_path_factory.mktemp("trust"))
    found.release("1.0.0")
    return found


def looked(repository, scratch, source=None, now_s=0, **known):
    scratch.mkdir(exist_ok=True)
    known = Known(**{"root": repository.root_file.read_bytes(), **known})
    found = Trust(source or Folder(str(repository.folder)), str(scratch), known, now_s)
    found.refresh()
    return found


def test_a_look_gives_the_versions_and_the_digests_that_were_signed(repository, tmp_path):
    found = looked(repository, tmp_path / "a")
    assert found.target(PUBLISHER, "bundles/cards/1.0.0").digest.startswith("sha256:")
    assert found.target(PUBLISHER, "bundles/cards/9.9.9") is None
    assert found.versions == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 1, PUBLISHER: 2}
    assert found.given_up == {}


def test_a_root_is_one_that_signed_itself(repository):
    raw = repository.root_file.read_bytes()
    check_root(raw)
    document = json.loads(raw)
    document["signed"]["version"] = 2
    for wrong in (json.dumps(document).encode(), repository.path(OWNER).read_bytes(), b"", b"{}", b"[" * 100_000):
        with pytest.raises(UpdateError, match="no root of a repository"):
            check_root(wrong)


def test_metadata_is_known_by_its_form(repository):
    for role in repository.roles:
        assert is_metadata(repository.path(role).read_bytes())
    for wrong in (b"", bytes(500), b"{}", b'{"signed":{},"signatures":[]}', b"[" * 100_000):
        assert not is_metadata(wrong)


class Replaced(Folder):
    """A repository with other bytes in the place of one file."""

    def __init__(self, path, name, content):
        super().__init__(path)
        self._name, self._content = f"metadata/{name}", content

    def open(self, path, offset=0):
        return iter([self._content]) if path == self._name else super().open(path, offset)


NAMES = ("signed", "signatures", "_type", "version", "meta", "keys", "roles", "expires", "spec_version", "delegations")

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)
"""Plain data that has names of metadata here and there."""


@given(st.sampled_from(["timestamp.json", "2.snapshot.json", "1.targets.json", "2.root.json"]), documents | st.binary())
def test_no_error_of_a_library_comes_through_whatever_a_repository_sends(repository, tmp_path_factory, name, sent):
    content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    source = Replaced(str(repository.folder), name, content)
    with pytest.raises(UpdateError):
        looked(repository, tmp_path_factory.mktemp("scratch"), source)


@given(st.sampled_from(["timestamp", "snapshot", "targets"]), st.data())
def test_no_error_of_a_library_comes_through_whatever_an_owner_signs(repository, tmp_path_factory, role, data):
    """Someone with the role's key signs a document that has a wrong field."""
    document = repository.roles[role].to_dict()
    field = data.draw(st.sampled_from(sorted(document)))
    document[field] = data.draw(documents)
    body = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    signature = repository.keys[role][0].sign(body)
    content = json.dumps({"signed": document, "signatures": [signature.to_dict()]}).encode()
    source = Replaced(str(repository.folder), repository.path(role).name, content)
    try:
        looked(repository, tmp_path_factory.mktemp("scratch"), source)
    except UpdateError:
        return
    assert Metadata.from_bytes(content).signed.type == role  # it was drawn right by chance


def test_the_library_writes_nothing_where_nobody_asked(repository, tmp_path, caplog, capfd):
    caplog.set_level(logging.WARNING)
    looked(repository, tmp_path / "a")
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


# Floors, as the store keeps them.


def test_a_floor_is_given_up_only_as_what_it_is():
    state = State(floors={"timestamp": 9})
    with pytest.raises(StoreError, match="older than version 9"):
        published(state, 1, "0" * 64, {"timestamp": 3}, 0)
    with pytest.raises(StoreError, match="older than version 9"):
        published(state, 1, "0" * 64, {"timestamp": 3}, 0, {"timestamp": 8})
    assert published(state, 1, "0" * 64, {"timestamp": 3}, 0, {"timestamp": 9}).floors["timestamp"] == 3
