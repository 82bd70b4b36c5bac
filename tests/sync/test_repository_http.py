"""The repository that a collector serves: who may read and publish, and that nothing wrong is ever published."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
import requests
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun.requirements import Machine
from edgerun.store import Store, Subscription
from edgerun.update.client import update
from edgerun_bundles.errors import PublishedMeanwhileError, RepositoryError
from edgerun_bundles.repository import rotation, trust
from edgerun_bundles.repository.admission import read_published
from edgerun_bundles.repository.channels import release
from edgerun_bundles.repository.cleaning import clean
from edgerun_bundles.repository.metadata import raw_of
from edgerun_bundles.repository.pushing import utc_now
from edgerun_bundles.repository.storage import open_storage
from edgerun_bundles.repository.workplace import Offer, Workplace
from edgerun_sync.collector.audit import Audit
from edgerun_sync.collector.credentials import Role
from edgerun_sync.collector.data import open_repository
from edgerun_sync.collector.upkeep import FRESH, Upkeep, renew_if_due
from edgerun_sync.collector.uploads import STALE_S
from edgerun_sync.limits import LIMITS
from support.collector import collecting
from support.memory_objects import MemoryObjects
from support.proxy import proxying
from support.publishers import Client, Dying, PowerCutError, founded, hand, laid, team

if TYPE_CHECKING:
    from pathlib import Path

    from support.publishers import Hand

FILES = "/v1/repository"
TIMESTAMP = f"{FILES}/metadata/timestamp.json"
MACHINE = Machine("0.1.0", "1.29.0", "x86_64", frozenset(), 2**30)
NOW = {"If-None-Match": "*"}


def unrehearsed(path: str, limits: object) -> None:
    """Believe that a bundle serves."""


@pytest.fixture
def collector(tmp_path):
    with collecting(folder=tmp_path / "data") as found:
        yield found


@pytest.fixture
def publisher(collector, monkeypatch, tmp_path) -> str:
    """A publisher's token, which the environment of a workstation has."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    for name in ("EDGERUN_REPOSITORY", "EDGERUN_KEYS", "EDGERUN_KEY_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    token = collector.token(Role.PUBLISH)
    monkeypatch.setenv("EDGERUN_TOKEN", token)
    return token


@pytest.fixture
def people():
    return team()


@pytest.fixture
def workplace(collector, publisher, people) -> Workplace:
    """A repository that was made over HTTP."""
    return founded(collector.url + FILES, people)


def fetching(collector, token):
    """Fetch as a device does, with nothing of edgerun's."""

    def fetch(name):
        answer = collector.ask("GET", f"{FILES}/{name}", token)
        assert answer.status_code in {200, 404}
        return answer.content if answer.status_code == 200 else None

    return fetch


def another(workplace: Workplace) -> Workplace:
    """Somebody else at the same repository, with the same keys."""
    return Workplace(workplace.place, open_storage(workplace.place), workplace.root, workplace.keys)


def put_blob(collector, token, body, name=None, **headers):
    name = name or hashlib.sha256(body).hexdigest()
    return collector.ask("PUT", f"{FILES}/blobs/sha256/{name}", token, data=body, headers=headers)


def put_part(collector, token, body, first, last):
    name = hashlib.sha256(body).hexdigest()
    part = body[first : last + 1]
    return put_blob(collector, token, part, name, **{"Content-Range": f"bytes {first}-{last}/{len(body)}"})


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Reading.


def test_a_bundle_that_was_pushed_over_http_is_there_for_a_plain_client_of_tuf(collector, workplace, tmp_path):
    layout = laid(tmp_path)
    pushed = workplace.push(layout, [Offer("stable", 1_000_000, ())])
    assert (pushed.is_published, len(pushed.blobs.sent)) == (True, len(layout.blobs))
    fetch = fetching(collector, collector.device("pump-7"))
    client = Client(tmp_path / "client", workplace.root, fetch)
    assert hashlib.sha256(client.blob("bundles/toy/1.0.0")).hexdigest() == pushed.digest.removeprefix("sha256:")
    assert b'"1.0.0"' in client.blob("channels/stable/toy")
    for digest in layout.blobs:
        name = digest.removeprefix("sha256:")
        assert hashlib.sha256(fetch(f"blobs/sha256/{name}")).hexdigest() == name
    assert workplace.fetch("toy", "1.0.0", tmp_path / "back").manifest == layout.manifest
    assert another(workplace).push(layout).blobs.sent == {}


@pytest.mark.parametrize("role", [Role.ENROLL, Role.READ, Role.PUBLISH, Role.ADMIN])
def test_whoever_has_a_token_reads(collector, workplace, role):
    assert collector.ask("GET", TIMESTAMP, collector.token(role)).status_code == 200


@pytest.mark.parametrize("token", [None, "er1_read_" + "x" * 43])
def test_whoever_has_none_reads_nothing(collector, workplace, token):
    for method, path in (("GET", TIMESTAMP), ("HEAD", TIMESTAMP), ("GET", f"{FILES}/blobs/sha256/{'0' * 64}")):
        assert collector.ask(method, path, token).status_code == 401


def test_a_revoked_device_reads_nothing_from_then_on(collector, workplace):
    device = collector.device("pump-7")
    assert collector.ask("GET", TIMESTAMP, device).status_code == 200
    collector.ask("DELETE", "/v1/devices/pump-7", collector.token(Role.ADMIN))
    assert collector.ask("GET", TIMESTAMP, device).status_code == 401


def test_where_nothing_is_published_that_is_said(collector):
    answer = collector.ask("GET", TIMESTAMP, collector.token(Role.READ))
    assert (answer.status_code, answer.json()["message"]) == (404, "no repository is published here")


def test_a_collector_without_a_repository_says_so():
    with collecting() as collector:
        for method, path in (("GET", TIMESTAMP), ("PUT", f"{FILES}/blobs/sha256/{'0' * 64}")):
            answer = collector.ask(method, path, collector.token(Role.PUBLISH))
            assert (answer.status_code, answer.json()["message"]) == (404, "this collector serves no repository")


@pytest.mark.parametrize(
    "path",
    ["metadata/../../config.json", "metadata/..%2f..%2fconfig.json", "metadata/.lock", "metadata/1.root.json%00",
     "metadata/01.root.json", "metadata/root.json", "metadata/1.Bundle-x.json", "metadata/1.bundle-..%2fx.json",
     "blobs/sha256/..%2f..%2fmetadata%2ftimestamp.json", f"blobs/sha256/{'A' * 64}", "blobs/sha256/", "blobs/sha256",
     "blobs/sha512/" + "0" * 64, "metadata/", "metadata", "", "../credentials/begun"],
)  # fmt: skip
def test_path_tricks_read_and_write_nothing(collector, workplace, publisher, tmp_path, path):
    before = files_under(tmp_path / "data")
    for method, options in (("GET", {}), ("HEAD", {}), ("PUT", {"data": b"{}", "headers": NOW})):
        prepared = requests.Request(
            method,
            "http://x",
            headers={"Authorization": f"Bearer {publisher}", **options.pop("headers", {})},
            **options,
        ).prepare()
        prepared.url = f"{collector.url}{FILES}/{path}"  # as it stands: the library would tidy it up
        answer = requests.Session().send(prepared, timeout=30)
        assert answer.status_code in {404, 405}, (method, answer.text)
    assert files_under(tmp_path / "data") == before


BODY = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def blob(tmp_path_factory):
    """A blob's URL, and how to ask for it."""
    with collecting(folder=tmp_path_factory.mktemp("data")) as found:
        name, token = hashlib.sha256(BODY).hexdigest(), found.token(Role.PUBLISH)
        assert put_blob(found, token, BODY).status_code == 201
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        yield partial(session.get, f"{found.url}{FILES}/blobs/sha256/{name}", timeout=30)


EDGE = st.none() | st.integers(0, len(BODY) + 3)


@hypothesis_settings(max_examples=60, deadline=None)
@given(EDGE, EDGE)
def test_a_range_is_that_part_of_the_file(blob, first, last):
    asked = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    answer = blob(headers={"Range": asked})
    if first is None and last is None:
        wanted, status = BODY, 200
    elif first is None:
        wanted, status = BODY[len(BODY) - min(last, len(BODY)) :], 206
    elif last is not None and last < first:
        wanted, status = BODY, 200
    else:
        wanted, status = BODY[first : len(BODY) if last is None else last + 1], 206
    if not wanted:
        assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(BODY)}")
        return
    assert (answer.status_code, answer.content) == (status, wanted)
    if status == 206:
        start = len(BODY) - len(wanted) if first is None else first
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(wanted) - 1}/{len(BODY)}"


def test_a_file_that_one_has_is_not_sent_again(blob, collector, workplace, publisher):
    tag = blob().headers["ETag"]
    assert blob(headers={"If-None-Match": tag}).status_code == 304
    assert blob(headers={"If-None-Match": '"other"'}).status_code == 200
    assert blob(headers={"If-Range": tag, "Range": "bytes=0-1"}).status_code == 206
    assert blob(headers={"If-Range": '"other"', "Range": "bytes=0-1"}).status_code == 200
    tag = collector.ask("GET", TIMESTAMP, publisher).headers["ETag"]
    assert collector.ask("GET", TIMESTAMP, publisher, headers={"If-None-Match": tag}).status_code == 304


def test_a_device_that_looks_in_vain_asks_twice_for_less_than_two_kilobytes(collector, workplace, tmp_path):
    workplace.push(laid(tmp_path), [Offer("stable", 1_000_000, ())])
    token = collector.device("pump-7")
    with proxying(collector.url) as proxy:
        store = Store.create(tmp_path / "store", device="pump-7", say=lambda event, **details: None)
        store.subscribe(Subscription(proxy.url + FILES, "toy", "stable"), workplace.root)
        look = partial(update, store, token=token, machine=MACHINE, rehearse=unrehearsed)
        assert look().what == "activated"
        before = proxy.relayed_bytes, proxy.connections
        assert look().what == "current"
        assert proxy.relayed_bytes - before[0] <= 2000
        assert proxy.connections - before[1] == 1


# Blobs on their way in.


@pytest.mark.parametrize("role", [Role.ENROLL, Role.READ])
def test_nobody_but_a_publisher_writes(collector, workplace, role, tmp_path):
    before = files_under(tmp_path / "data")
    for token in (collector.token(role), collector.device(f"device-{role}")):
        assert put_blob(collector, token, b"blob").status_code == 403
        for name in ("9.targets.json", "timestamp.json"):
            answer = collector.ask("PUT", f"{FILES}/metadata/{name}", token, data=b"{}", headers=NOW)
            assert answer.status_code == 403
    assert files_under(tmp_path / "data") == before


def test_a_blob_comes_in_parts_and_goes_on_where_it_broke_off(collector, publisher, tmp_path):
    body = os.urandom(1000)
    name = hashlib.sha256(body).hexdigest()
    assert put_part(collector, publisher, body, 0, 399).headers["Upload-Offset"] == "400"
    head = collector.ask("HEAD", f"{FILES}/blobs/sha256/{name}", publisher)
    assert (head.status_code, head.headers["Upload-Offset"]) == (404, "400")
    assert put_part(collector, publisher, body, 0, 399).status_code == 202
    assert put_part(collector, publisher, body, 500, 999).status_code == 409
    assert put_part(collector, publisher, body, 100, 999).status_code == 409
    assert collector.ask("GET", f"{FILES}/blobs/sha256/{name}", publisher).status_code == 404
    assert put_part(collector, publisher, body, 400, 999).status_code == 201
    assert collector.ask("GET", f"{FILES}/blobs/sha256/{name}", publisher).content == body
    assert put_blob(collector, publisher, body).status_code == 201
    assert [*(tmp_path / "data" / "uploads" / "parts").iterdir()] == []


def test_another_publisher_begins_anew(collector, publisher):
    body = os.urandom(1000)
    put_part(collector, publisher, body, 0, 399)
    other = collector.token(Role.ADMIN)
    head = collector.ask("HEAD", f"{FILES}/blobs/sha256/{hashlib.sha256(body).hexdigest()}", other)
    assert head.headers["Upload-Offset"] == "0"
    assert put_part(collector, other, body, 400, 999).status_code == 409


def test_a_blob_whose_parts_were_all_there_is_put_together_when_asked(collector, publisher):
    body = os.urandom(1000)
    name = hashlib.sha256(body).hexdigest()
    repository = collector.service.repository
    (who,) = [found.name for found in collector.service.credentials.list() if found.role == Role.PUBLISH]
    put_part(collector, publisher, body, 0, 399)
    repository.uploads._parts.put_blob(f"parts/{who}-{name}-{400:015d}", iter([body[400:]]), 600)  # and then it died
    answer = put_blob(collector, publisher, b"", name, **{"Content-Range": "bytes */1000"})
    assert answer.status_code == 201
    assert collector.ask("GET", f"{FILES}/blobs/sha256/{name}", publisher).content == body


def test_bytes_of_another_digest_never_appear(collector, publisher, tmp_path):
    body = os.urandom(1000)
    name = hashlib.sha256(b"other").hexdigest()
    answer = put_blob(collector, publisher, body, name)
    assert (answer.status_code, answer.json()["error"]) == (422, "wrong-digest")
    for first, status in ((0, 202), (500, 422)):
        span = {"Content-Range": f"bytes {first}-{first + 499}/1000"}
        assert put_blob(collector, publisher, body[first : first + 500], name, **span).status_code == status
    assert not [name for name in files_under(tmp_path / "data") if "audit" not in name]


@pytest.mark.parametrize("span", ["bytes 0-9/5", "bytes 0-8/10", "bytes 5-4/10", "0-9/10", "bytes 0-9/*", "bytes */10"])
def test_a_part_that_is_none_is_refused(collector, publisher, span):
    assert put_blob(collector, publisher, b"0123456789", **{"Content-Range": span}).status_code == 422


def test_a_blob_and_a_part_beyond_their_limits_are_refused(collector, publisher):
    part = bytes(LIMITS.upload_part_max_bytes)
    name = hashlib.sha256(b"any").hexdigest()
    for size, status in ((LIMITS.blob_max_bytes, 202), (LIMITS.blob_max_bytes + 1, 413)):
        span = {"Content-Range": f"bytes 0-9/{size}"}
        assert put_blob(collector, publisher, part[:10], name, **span).status_code == status
    assert put_blob(collector, publisher, part).status_code == 201
    assert put_blob(collector, publisher, part + b"0").status_code == 413


def test_parts_that_nobody_goes_on_with_are_forgotten(collector, publisher, tmp_path):
    put_part(collector, publisher, os.urandom(1000), 0, 399)
    uploads = collector.service.repository.uploads
    (part,) = (tmp_path / "data" / "uploads" / "parts").iterdir()
    written = part.stat().st_mtime
    assert uploads.clean(written + STALE_S - 1) == 0
    assert uploads.clean(written + STALE_S) == 1


# Metadata.


def put_metadata(collector, token, name, raw, **headers):
    return collector.ask("PUT", f"{FILES}/metadata/{name}", token, data=raw, headers=headers or NOW)


def test_metadata_is_made_once(collector, workplace, publisher):
    raw = collector.ask("GET", f"{FILES}/metadata/1.targets.json", publisher).content
    assert put_metadata(collector, publisher, "1.targets.json", raw).status_code == 412
    assert put_metadata(collector, publisher, "1.targets.json", raw, Any="x").status_code == 422


def test_what_no_key_of_the_root_signed_is_refused(collector, workplace, publisher, people, tmp_path):
    stranger = founded(tmp_path / "elsewhere", team())
    before = files_under(tmp_path / "data" / "repository")
    for role in ("root", "targets", "snapshot"):
        version = {"root": 1}.get(role, 1)
        raw = (tmp_path / "elsewhere" / "metadata" / f"{version}.{role}.json").read_bytes()
        answer = put_metadata(collector, publisher, f"2.{role}.json", raw)
        assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    tag = collector.ask("GET", TIMESTAMP, publisher).headers["ETag"]
    theirs = (tmp_path / "elsewhere" / "metadata" / "timestamp.json").read_bytes()
    assert put_metadata(collector, publisher, "timestamp.json", theirs, **{"If-Match": tag}).status_code == 422
    assert stranger.place.endswith("elsewhere")
    assert files_under(tmp_path / "data" / "repository") == before


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", b'{"signed":{},"signatures":[]}', b"[" * 5000])
@pytest.mark.parametrize("name", ["2.targets.json", "2.root.json", "2.bundle-toy.json", "timestamp.json"])
def test_what_is_no_metadata_is_refused(collector, workplace, publisher, name, raw):
    tag = collector.ask("GET", TIMESTAMP, publisher).headers["ETag"]
    headers = {"If-Match": tag} if name == "timestamp.json" else NOW
    assert put_metadata(collector, publisher, name, raw, **headers).status_code == 422


def test_metadata_beyond_the_limits_is_refused(collector, workplace, publisher):
    tag = collector.ask("GET", TIMESTAMP, publisher).headers["ETag"]
    for name, limit, headers in (
        ("2.targets.json", DEVICE_LIMITS.metadata_max_bytes, NOW),
        ("timestamp.json", DEVICE_LIMITS.timestamp_max_bytes, {"If-Match": tag}),
    ):
        for size, status in ((limit, 422), (limit + 1, 413)):
            assert put_metadata(collector, publisher, name, b" " * size, **headers).status_code == status


def test_a_version_far_ahead_is_refused(collector, workplace, publisher):
    state = workplace.read()
    targets = state.targets.signed
    for version, status in ((66, 422), (65, 201)):  # versions_tried_max of the workstation after the first
        targets.version = version
        signed = type(state.targets)(targets)
        for signer in workplace.keys.signers(state.root.signed.roles["targets"].keyids):
            signed.sign(signer, append=True)
        assert put_metadata(collector, publisher, f"{version}.targets.json", raw_of(signed)).status_code == status


def test_the_timestamp_takes_the_condition_that_it_is_the_one_that_was_read(collector, workplace, publisher, tmp_path):
    answer = collector.ask("GET", TIMESTAMP, publisher)
    workplace.push(laid(tmp_path))
    for headers, status in (
        ({"If-Match": answer.headers["ETag"]}, 412),
        ({"If-None-Match": "*"}, 412),
        ({"Any": "x"}, 422),
        ({"If-None-Match": "*", "If-Match": answer.headers["ETag"]}, 422),
    ):
        assert put_metadata(collector, publisher, "timestamp.json", answer.content, **headers).status_code == status


def test_the_repository_cannot_be_set_back(collector, workplace, publisher, tmp_path):
    former = collector.ask("GET", TIMESTAMP, publisher).content
    workplace.push(laid(tmp_path))
    tag = collector.ask("GET", TIMESTAMP, publisher).headers["ETag"]
    answer = put_metadata(collector, publisher, "timestamp.json", former, **{"If-Match": tag})
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    assert collector.ask("GET", TIMESTAMP, publisher).headers["ETag"] == tag


class Withholding:
    """A storage that does not send the blobs."""

    def __init__(self, storage) -> None:
        self._storage = storage

    def __getattr__(self, name):
        return getattr(self._storage, name)

    def put_blob(self, *_: object) -> None:
        pass

    def size_of(self, name):
        return int(name.partition(" ")[2] or 0)


def test_a_bundle_whose_files_are_not_here_cannot_be_published(collector, workplace, tmp_path, monkeypatch):
    layout = laid(tmp_path)
    real = open_storage(workplace.place)
    sizes = {digest.removeprefix("sha256:"): size for digest, size in layout.blobs.items()}
    cheating = Withholding(real)
    monkeypatch.setattr(Withholding, "size_of", lambda _, name: sizes[name.rpartition("/")[2]])
    monkeypatch.setattr(Workplace, "storage", cheating)
    with pytest.raises(RepositoryError, match="is not here; push again"):
        workplace.push(layout)
    assert another(workplace).read().roles == {}


class Forger:
    """Somebody who has the keys of snapshot and timestamp, and signs all else with one of their own."""

    def __init__(self, online: Hand) -> None:
        self._online, self._own = online, hand()

    def signers(self, keyids):
        return self._online.signers(keyids) or self._own.signers(self._own.held)


def test_a_role_that_its_keys_did_not_sign_is_not_published(collector, workplace, people, tmp_path, monkeypatch):
    workplace.push(laid(tmp_path))
    forger = another(workplace)
    monkeypatch.setattr("edgerun_bundles.repository.publishing._Writer._need", lambda *_: None)
    forger.keys = Forger(people.online)
    with pytest.raises(RepositoryError, match="bundle-toy was signed by 0/1 keys"):
        forger.push(laid(tmp_path, "6.6.6", 6.0))
    assert [*another(workplace).read().roles["bundle-toy"].signed.targets] == ["bundles/toy/1.0.0"]


def test_a_repository_is_made_once(workplace):
    with pytest.raises(RepositoryError, match="is a repository already"):
        founded(workplace.place, team())


# Publishing.


def test_of_two_who_publish_at_once_one_wins_and_nothing_is_lost(collector, workplace, tmp_path):
    layouts = [laid(tmp_path, f"1.{number}.0", 2.0 + number) for number in range(2)]
    sides, outcomes = [another(workplace), another(workplace)], []
    barrier = threading.Barrier(2)

    def work(side, layout) -> None:
        for attempt in range(5):
            if attempt == 0:
                barrier.wait(30)
            try:
                side.push(layout)
            except PublishedMeanwhileError:
                outcomes.append("meanwhile")
            else:
                outcomes.append("published")
                return

    threads = [threading.Thread(target=work, args=pair) for pair in zip(sides, layouts, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("published") == 2
    published = another(workplace).read().roles["bundle-toy"].signed.targets
    assert sorted(published) == ["bundles/toy/1.0.0", "bundles/toy/1.1.0"]


def test_who_read_before_another_published_is_told_so(workplace, tmp_path):
    first, second = laid(tmp_path), laid(tmp_path, "1.1.0", 3.0)
    late = another(workplace)
    state = late.read()
    workplace.push(first)
    late.read = lambda: state
    with pytest.raises(PublishedMeanwhileError, match="published meanwhile"):
        late.push(second)
    assert another(workplace).push(second).is_published


def test_a_publisher_that_dies_before_any_write_leaves_what_was_published(
    collector, workplace, publisher, tmp_path, monkeypatch
):
    workplace.push(laid(tmp_path))
    client = Client(tmp_path / "client", workplace.root, fetching(collector, collector.device("pump-7")))
    layout, beside, writes, is_out = laid(tmp_path, "1.1.0", 3.0), collector.service.repository.storage, 0, False
    while not is_out:
        dying = Dying(open_storage(workplace.place), writes)
        with monkeypatch.context() as patched:
            patched.setattr(Workplace, "storage", dying)
            try:
                another(workplace).push(layout, [Offer("stable", 1_000_000, ())])
                is_out = True
            except PowerCutError:
                clean(beside, read_published(beside), time.time(), age_s=0)
        assert client.has("bundles/toy/1.0.0")
        assert client.has("bundles/toy/1.1.0") == is_out
        writes += 1
    assert dying.done[-1] == "replace metadata/timestamp.json"
    assert len(dying.done) >= len(layout.blobs)


def test_a_release_and_a_rotation_go_over_http_too(collector, workplace, people, tmp_path):
    workplace.push(laid(tmp_path))
    workplace.change(
        lambda draft: release(workplace.source, draft, "stable", "toy", "1.0.0", share_ppm=100_000, groups=("lab",))
    )
    client = Client(tmp_path / "client", workplace.root, fetching(collector, collector.device("pump-7")))
    assert b'"share_ppm":100000' in client.blob("channels/stable/toy")
    state = workplace.read()
    root = rotation.sign_root(state, rotation.unsigned(rotation.changed_root(state, {}, utc_now())), workplace.keys)
    workplace.store_root(state, root)
    assert client.has("bundles/toy/1.0.0")
    assert workplace.read().root.signed.version == 2
    assert collector.service.repository.offer()["root"]["signed"]["version"] == 2


def test_every_publication_is_in_the_audit_log_with_who_and_what(collector, workplace, publisher, tmp_path):
    workplace.push(laid(tmp_path), [Offer("stable", 1_000_000, ())])
    (who,) = [found.name for found in collector.service.credentials.list() if found.role == Role.PUBLISH]
    told = [
        (entry["who"], entry["action"], entry["subject"], entry["details"].get("targets"))
        for entry in collector.service.audit.entries()
        if entry["action"].startswith("repository.")
    ]
    assert told == [
        (who, "repository.root", "1.root.json", None),
        (who, "repository.publish", "timestamp 1", None),
        (who, "repository.publish", "timestamp 2", ["bundles/toy/1.0.0", "channels/stable/toy"]),
    ]
    assert collector.service.audit.verify().problem is None


def test_a_token_goes_to_the_service_that_asks_and_no_token_is_told_what_to_do(collector, workplace, monkeypatch):
    monkeypatch.setenv("EDGERUN_TOKEN", collector.token(Role.READ))
    with pytest.raises(RepositoryError, match="with a token of the role publish"):
        open_storage(workplace.place).check_writable()
    monkeypatch.setenv("EDGERUN_TOKEN", "er1_publish_" + "x" * 43)
    with pytest.raises(RepositoryError, match="does not take the token"):
        another(workplace).read()
    monkeypatch.delenv("EDGERUN_TOKEN")
    with pytest.raises(RepositoryError, match="set EDGERUN_TOKEN"):
        another(workplace).read()


def test_the_token_may_stand_in_the_settings(collector, workplace, publisher, monkeypatch, tmp_path):
    monkeypatch.delenv("EDGERUN_TOKEN")
    settings = tmp_path / "settings" / "edgerun" / "repositories.toml"
    settings.write_text(f'default = "{workplace.place}"\n[repositories."{workplace.place}"]\ntoken = "{publisher}"\n')
    another(workplace).push(laid(tmp_path))
    trust.trust(workplace.place, workplace.root, tmp_path)
    assert trust.token_of(workplace.place) == publisher
    assert settings.stat().st_mode & 0o077 == 0


# Signing anew.


def test_snapshot_and_timestamp_are_signed_anew_in_the_second_half_of_their_lives(collector, workplace, people):
    repository, audit = collector.service.repository, collector.service.audit
    before = workplace.read()
    due = before.expiries["timestamp"] - FRESH
    assert renew_if_due(repository, people.online, audit, due - timedelta(seconds=1)) == ()
    assert renew_if_due(repository, people.online, audit, due) == ("snapshot", "timestamp")
    after = workplace.read()
    assert after.versions["timestamp"] == before.versions["timestamp"] + 1
    assert after.expiries["timestamp"] == due + 2 * FRESH
    (*_, entry) = audit.entries()
    assert (entry["who"], entry["action"], entry["subject"]) == ("collector", "repository.renew", "timestamp 2")


def test_of_several_collectors_one_signs_anew(collector, workplace, people, tmp_path):
    due = workplace.read().expiries["timestamp"] - FRESH
    barrier, signed = threading.Barrier(3), []

    def work(now) -> None:
        repository = open_repository(str(tmp_path / "data"), Audit(collector.objects))
        barrier.wait(30)
        signed.append(renew_if_due(repository, people.online, Audit(collector.objects), now))

    threads = [threading.Thread(target=work, args=(due + timedelta(seconds=number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, signed)) == [0, 0, 2]
    assert workplace.read().versions["timestamp"] == 2


def test_without_the_right_keys_nothing_is_signed_and_the_upkeep_goes_on(collector, workplace, people, caplog):
    due = workplace.read().expiries["timestamp"] - FRESH
    with pytest.raises(RepositoryError, match="needs 1 signature"):
        renew_if_due(collector.service.repository, people.root, collector.service.audit, due)
    with Upkeep(collector.service.repository, people.online, collector.service.audit):
        pass
    assert workplace.read().versions["timestamp"] == 1


def test_nothing_is_signed_where_nothing_is_published(tmp_path):
    repository = open_repository(str(tmp_path), Audit(MemoryObjects()))
    assert renew_if_due(repository, hand(), Audit(MemoryObjects()), utc_now()) == ()
    assert repository.offer() is None
