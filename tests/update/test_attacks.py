"""The attacks of the TUF specification, each by its name: nothing is installed, and nothing is forgotten.

https://theupdateframework.github.io/specification/latest/, 1.5.2. The thief of each test has what it says and no more.
"""

from __future__ import annotations

import datetime as dt
import shutil
import threading
import time
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, MetaFile, TargetFile, Targets
from tuf.ngclient import Updater

from edgerun.artifact import Layer, config_of, digest_of, manifest_of, media_type_of
from edgerun.errors import BundleError
from edgerun.limits import LIMITS
from edgerun.requirements import Requires
from edgerun.update.channel import Channel, Release, write_channel
from edgerun.update.source import Folder, blob_path
from edgerun.update.trust import _Fetcher
from edgerun.update.web import Pace, Web
from support.tuf_repository import CHANNEL, DAY, NAME, OWNER, PUBLISHER, TufRepository, signed, small_bundle
from support.wire import head, listening
from update.conftest import Device

DAY_S = 86400


def thief():
    return CryptoSigner.generate_ed25519()


def replaced(folder, changed):
    """Put other files over those of a folder."""
    shutil.rmtree(folder / "metadata")
    shutil.copytree(changed / "metadata", folder / "metadata")


@pytest.fixture
def past(tmp_path, repository, device):
    """The repository as it was when the device last looked. Since then 1.1.0 was published, and the device has it."""
    shutil.copytree(repository.folder, tmp_path / "past")
    repository.release("1.1.0", factor=3.0)
    device.take()
    return tmp_path / "past"


# Arbitrary software installation.


def test_arbitrary_software_installation_by_other_bytes_in_the_place_of_signed_ones(repository, device):
    digest = repository.release("1.1.0", factor=3.0)
    evil = repository.add_blob(b'{"evil": true}')
    repository.blob(digest).write_bytes(repository.blob(evil).read_bytes())
    with device.serving_on("has other bytes|bytes of"):
        device.look()


def test_arbitrary_software_installation_by_metadata_that_a_stranger_signed(repository, device):
    repository.add_bundle(small_bundle(version="6.6.6"), "6.6.6")
    repository.set_channel("6.6.6")
    repository.publish(PUBLISHER, OWNER)
    for role in (PUBLISHER, OWNER):
        repository.write(role, [thief()])
    with device.unmoved("signed by 0/1 keys"):
        device.look()


def test_arbitrary_software_installation_by_a_repository_of_a_stranger(tmp_path, device):
    other = TufRepository(tmp_path / "other")
    other.release("6.6.6")
    replaced(device.repository.folder, other.folder)
    with device.unmoved():
        device.look()


# Rollback.


def test_rollback_to_metadata_that_was_good_once(repository, device, past):
    replaced(repository.folder, past)
    with device.unmoved("version"):
        device.look()


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "root", PUBLISHER, OWNER])
@pytest.mark.parametrize("damage", ["zeroed", "removed", "cut"])
def test_rollback_where_the_devices_own_metadata_is_damaged(repository, device, past, role, damage):
    path = Path(device.store.metadata_folder()) / f"{role}.json"
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(bytes(path.stat().st_size) if damage == "zeroed" else path.read_bytes()[:100])
    replaced(repository.folder, past)
    with device.unmoved("older than|version"):
        device.look()


def test_plain_python_tuf_accepts_a_rollback_where_its_own_metadata_is_zeroed(repository, tmp_path):
    """Why floors are kept beside the metadata, and compared: docs/decisions/0016."""
    repository.release("1.0.0")
    shutil.copytree(repository.folder, tmp_path / "past")
    repository.release("1.1.0")
    local = tmp_path / "local"
    local.mkdir()

    def versions(remote):
        updater = Updater(
            str(local), "metadata/", fetcher=_Fetcher(Folder(str(remote))), bootstrap=repository.root_file.read_bytes()
        )
        updater.refresh()
        updater.get_targetinfo(f"bundles/{NAME}/1.0.0")
        return updater.get_targetinfo(f"bundles/{NAME}/1.1.0")

    assert versions(repository.folder) is not None
    with pytest.raises(Exception, match="version"):
        versions(tmp_path / "past")
    for path in local.glob("*.json"):
        if path.name != "root.json":
            path.write_bytes(bytes(path.stat().st_size))
    assert versions(tmp_path / "past") is None, "the version that was published last is gone, and nothing was said"


def test_rollback_by_a_channel_that_names_an_older_version_is_the_owners_right(repository, device, past):
    """Going back on purpose is a new document, signed anew: no attack."""
    repository.set_channel("1.0.0")
    repository.publish(OWNER)
    assert device.look().version == "1.0.0"


# Fast-forward.


def run_ahead(repository, *roles, to=LIMITS.metadata_version_max):
    """What a thief of the online keys does: raise versions as far as a device takes them."""
    for role in roles:
        repository.roles[role].version = to - 1
    repository.publish(*(role for role in roles if role not in {"snapshot", "timestamp"}))


def test_fast_forward_stops_nobody_for_good_a_new_root_with_other_keys_recovers(repository, device):
    run_ahead(repository, "timestamp", "snapshot")
    device.look()
    assert device.store.state().floors["timestamp"] == LIMITS.metadata_version_max
    repository.rotate_root("timestamp", "snapshot")
    repository.roles["timestamp"].version = repository.roles["snapshot"].version = 10
    repository.release("1.2.0")
    assert device.look().version == "1.2.0"
    floors = device.store.state().floors
    assert (floors["root"], floors["snapshot"], floors["timestamp"]) == (2, 11, 11)


def test_fast_forward_of_a_publisher_is_recovered_by_other_keys_for_that_publisher(repository, device):
    run_ahead(repository, PUBLISHER, "timestamp", "snapshot")
    device.look()
    targets = repository.roles["targets"]
    for key in repository.keys[PUBLISHER]:
        targets.revoke_key(key.public_key.keyid, PUBLISHER)
    repository.keys[PUBLISHER] = [CryptoSigner.generate_ed25519()]
    targets.add_key(repository.keys[PUBLISHER][0].public_key, PUBLISHER)
    repository.rotate_root("timestamp", "snapshot")
    for role in ("timestamp", "snapshot", PUBLISHER):
        repository.roles[role].version = 20
    repository.publish("targets")
    repository.release("1.2.0")
    assert device.look().version == "1.2.0"
    assert device.store.state().floors[PUBLISHER] == 21


def test_fast_forward_is_no_pretext_for_a_rollback_a_root_that_keeps_a_key_lets_no_version_fall(
    repository, device, past
):
    repository.rotate_root()
    root = repository.roles["root"]
    root.add_key(thief().public_key, "timestamp")
    repository.rotate_root()
    roots = {path.name: path.read_bytes() for path in (repository.folder / "metadata").glob("*.root.json")}
    replaced(repository.folder, past)
    for name, raw in roots.items():
        (repository.folder / "metadata" / name).write_bytes(raw)
    with device.unmoved("version"):
        device.look()


def test_fast_forward_recovery_is_not_granted_to_a_device_that_cannot_say_which_keys_it_trusted(
    repository, device, past
):
    repository.rotate_root("timestamp", "snapshot")
    repository.renew()
    repository.publish()
    device.look()
    path = Path(device.store.metadata_folder()) / "timestamp.json"
    path.write_bytes(b"")
    repository.roles["timestamp"].version = 1
    repository.renew()
    with device.unmoved("older than"):
        device.look()


def test_fast_forward_beyond_what_a_state_can_hold_is_refused(repository, device):
    run_ahead(repository, "timestamp", "snapshot", to=LIMITS.metadata_version_max + 1)
    with device.unmoved(f"above {LIMITS.metadata_version_max}"):
        device.look()
    repository.roles["timestamp"].version = 10**4000
    repository.renew()
    with device.unmoved():
        device.look()


# Indefinite freeze.


def test_indefinite_freeze_ends_when_the_metadata_expires_and_the_device_says_so(repository, device):
    current = device.store.state().current
    with device.unmoved("expired .*renewed"):
        device.look(now_s=time.time() + 31 * DAY_S)
    assert device.store.state().current == current
    assert device.store.current().version == "1.0.0"
    assert device.look().what == "current", "a clock that once stood in the future harms nothing"


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets", PUBLISHER, OWNER])
def test_indefinite_freeze_is_found_in_each_role(repository, device, role):
    repository.roles[role].expires = dt.datetime.now(dt.UTC).replace(microsecond=0) + DAY
    if role == "root":
        repository.rotate_root()
    repository.publish(*({role} & {"targets", PUBLISHER, OWNER}))
    device.look()
    with device.unmoved(f"{role} expired"):
        device.look(now_s=time.time() + 2 * DAY_S)


def test_indefinite_freeze_is_not_helped_by_a_clock_that_was_set_back(repository, device):
    repository.roles["timestamp"].expires = dt.datetime.now(dt.UTC).replace(microsecond=0) + 60 * DAY
    repository.renew()
    device.look(now_s=time.time() + 29 * DAY_S)
    frozen = dt.datetime.now(dt.UTC).replace(microsecond=0) + 2 * DAY
    repository.roles["timestamp"].expires = frozen
    repository.renew()
    with device.unmoved("timestamp expired"):
        device.look(now_s=0)


def test_a_clock_that_starts_in_1970_keeps_no_device_from_updates(repository, device):
    repository.release("1.1.0")
    assert device.look(now_s=0).version == "1.1.0"


# Endless data.


class Endless:
    """A source whose one file never ends."""

    def __init__(self, source, path, first=True):
        self.where, self._source, self._path, self._first = source.where, source, path, first
        self.given = 0

    def open(self, path, offset=0):
        pieces = self._source.open(path, offset)
        return pieces if path != self._path else self._forever(pieces if self._first else None)

    def _forever(self, pieces):
        for piece in pieces or ():
            self.given += len(piece)
            yield piece
        while True:
            self.given += 2**16
            yield b" " * 2**16

    def close(self):
        pass


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", PUBLISHER, OWNER])
def test_endless_data_in_the_place_of_metadata(repository, device, role):
    repository.release("1.1.0")
    path = f"metadata/{repository.path(role).name}" if role != "root" else "metadata/2.root.json"
    source = Endless(Folder(str(repository.folder)), path)
    with device.unmoved("more than it may|larger than"):
        device.look(source=source)
    assert source.given <= LIMITS.metadata_max_bytes + 2**17
    if role == "timestamp":
        assert source.given <= LIMITS.timestamp_max_bytes + 2**17


def test_endless_data_that_signed_metadata_announces(repository, device):
    """Whoever has the online keys can sign any length; a device takes no more than metadata_max_bytes."""
    repository.release("1.1.0")
    timestamp = repository.roles["timestamp"]
    timestamp.snapshot_meta = MetaFile(repository.roles["snapshot"].version, length=2**60)
    timestamp.version += 1
    repository.write("timestamp")
    source = Endless(Folder(str(repository.folder)), f"metadata/{repository.path('snapshot').name}")
    with device.unmoved(f"larger than {LIMITS.metadata_max_bytes} bytes"):
        device.look(source=source)


def endless_blob(repository, which, first):
    files = small_bundle(version="1.1.0", factor=3.0)
    digests = {
        "manifest": repository.release("1.1.0", factor=3.0),
        "document": digest_of(write_channel(Channel(CHANNEL, NAME, (Release("1.1.0"),)))),
        "model": digest_of(files["models/only.onnx"]),
    }
    return Endless(Folder(str(repository.folder)), blob_path(digests[which]), first)


@pytest.mark.parametrize("which", ["manifest", "document", "model"])
def test_endless_data_in_the_place_of_blobs(repository, device, which):
    source = endless_blob(repository, which, first=False)
    with device.serving_on():
        device.look(source=source)
    assert source.given < 2**20


@pytest.mark.parametrize("which", ["manifest", "model"])
def test_endless_data_behind_what_was_signed_is_not_listened_to(repository, device, which):
    source = endless_blob(repository, which, first=True)
    assert device.look(source=source).version == "1.1.0"
    assert source.given < 2**20


# Slow retrieval.


def test_slow_retrieval(device):
    def answer(connection, path):
        connection.sendall(head(content_length=1000))
        for _ in range(100):
            connection.sendall(b" ")
            threading.Event().wait(0.05)

    with listening(answer) as url, device.unmoved("less than 64 bytes came in 0.3 s"):
        device.look(source=Web(url, pace=Pace(silence_s=0.2, span_s=0.3, span_bytes=64)))


# Extraneous dependencies.


def test_extraneous_dependencies_in_a_manifest_that_nobody_signed(repository, device):
    digest = repository.release("1.1.0", factor=3.0)
    files = {**small_bundle(version="1.1.0", factor=3.0), "models/more.onnx": b"more"}
    layers = [Layer(path, media_type_of(path), repository.add_blob(raw), len(raw)) for path, raw in files.items()]
    repository.add_blob(config_of(NAME, "1.1.0", layers))
    repository.blob(digest).write_bytes(manifest_of(NAME, "1.1.0", layers))
    with device.serving_on():
        device.look()
    assert not (repository.folder / digest_of(b"more")).exists()


def test_extraneous_dependencies_that_a_publisher_signs_but_the_bundle_does_not_name(repository, device):
    files = {**small_bundle(version="1.1.0"), "models/more.onnx": b"more"}
    repository.add_bundle(files, "1.1.0")
    repository.set_channel("1.1.0")
    repository.publish(PUBLISHER, OWNER)
    with device.serving_on(r"models/more.onnx is named nowhere"):
        device.look()


def test_extraneous_dependencies_of_other_bundles_are_never_fetched(repository, device):
    repository.roles[PUBLISHER].targets["bundles/other/1.0.0"] = repository.roles[PUBLISHER].targets[
        f"bundles/{NAME}/1.0.0"
    ]
    repository.set_document(write_channel(Channel(CHANNEL, "other", (Release("1.0.0"),))))
    repository.publish(PUBLISHER, OWNER)
    with device.unmoved("is that of stable/other"):
        device.look()


# Mix-and-match.


def test_mix_and_match_of_an_older_snapshot_with_a_newer_timestamp(repository, device, past):
    old = repository.folder / "metadata" / "2.snapshot.json"
    repository.path("snapshot").write_bytes(old.read_bytes())
    device = Device(repository.folder.parent / "fresh", repository)
    with device.unmoved("snapshot version"):
        device.look()


@pytest.mark.parametrize("role", [PUBLISHER, OWNER])
def test_mix_and_match_of_an_older_role_with_a_newer_snapshot(repository, past, role):
    repository.path(role).write_bytes((repository.folder / "metadata" / f"2.{role}.json").read_bytes())
    device = Device(repository.folder.parent / "fresh", repository)
    with device.unmoved(f"{role} v"):
        device.look()


def test_mix_and_match_of_an_older_channel_document_with_newer_metadata(repository, device):
    old = write_channel(Channel(CHANNEL, NAME, (Release("1.0.0"),)))
    repository.release("1.1.0")
    new = digest_of(write_channel(Channel(CHANNEL, NAME, (Release("1.1.0"),))))
    repository.blob(new).write_bytes(old)
    with device.unmoved("other bytes"):
        device.look()


def test_mix_and_match_of_two_owners_is_what_a_snapshot_is_for(repository, device):
    """A role that the snapshot does not list is not taken, though its signatures are right."""
    repository.release("1.1.0")
    del repository.roles["snapshot"].meta[f"{PUBLISHER}.json"]
    repository.publish()
    with device.unmoved():
        device.look()


# Wrong software installation.


def test_wrong_software_installation_of_another_bundle_under_a_bundles_name(repository, device):
    files = small_bundle("other", "1.1.0")
    layers = [Layer(path, media_type_of(path), repository.add_blob(raw), len(raw)) for path, raw in files.items()]
    repository.add_blob(config_of("other", "1.1.0", layers))
    repository.add_manifest(manifest_of("other", "1.1.0", layers), "1.1.0")
    repository.set_channel("1.1.0")
    repository.publish(PUBLISHER, OWNER)
    with device.serving_on(r"cards@1.1.0 is really other@1.1.0"):
        device.look()


def test_wrong_software_installation_of_another_version_under_a_versions_name(repository, device):
    repository.add_bundle(small_bundle(version="1.0.0"), "1.0.0")
    target = repository.roles[PUBLISHER].targets
    digest = repository.add_bundle(small_bundle(version="0.9.0", factor=9.0), "0.9.0")
    assert digest
    target[f"bundles/{NAME}/1.1.0"] = target[f"bundles/{NAME}/0.9.0"]
    repository.set_channel("1.1.0")
    repository.publish(PUBLISHER, OWNER)
    with device.serving_on(r"cards@1.1.0 is really cards@0.9.0"):
        device.look()


def test_wrong_software_installation_where_only_another_hash_was_signed(repository, device):
    digest = repository.add_bundle(small_bundle(version="1.1.0"), "1.1.0")
    path = f"bundles/{NAME}/1.1.0"
    manifest = repository.blob(digest).read_bytes()
    repository.roles[PUBLISHER].targets[path] = TargetFile.from_data(path, manifest, ["sha512"])
    repository.set_channel("1.1.0")
    repository.publish(PUBLISHER, OWNER)
    with device.unmoved("has no SHA-256"):
        device.look()


def test_wrong_software_installation_of_what_is_no_bundle(repository, device):
    repository.add_manifest(b'{"schemaVersion":2}', "1.1.0")
    repository.set_channel("1.1.0")
    repository.publish(PUBLISHER, OWNER)
    with device.serving_on(error=BundleError):
        device.look()


def test_wrong_software_installation_on_a_machine_that_it_is_not_for(repository, device):
    repository.add_bundle(small_bundle(version="1.1.0"), "1.1.0")
    repository.set_channel(Release("1.1.0", requires=Requires(arch=("riscv64",))), "1.0.0")
    repository.publish(PUBLISHER, OWNER)
    assert device.look().version == "1.0.0"


# Malicious mirrors.


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "500 Oh", "301 Moved", "200 OK"])
def test_malicious_mirrors_that_answer_whatever_they_like(device, status):
    with listening(lambda c, path: c.sendall(head(status, content_length=4) + b"evil")) as url, device.unmoved():
        device.look(source=Web(url))


def test_malicious_mirrors_that_hold_back_what_is_newer_are_found_out_by_an_honest_one(repository, device, past):
    honest = repository.folder
    with device.unmoved():
        device.look(source=Folder(str(past)))
    repository.release("1.2.0")
    assert device.look(source=Folder(str(honest))).version == "1.2.0"


def test_malicious_mirrors_that_leave_out_blobs(repository, device):
    digest = repository.release("1.1.0")
    repository.blob(digest).unlink()
    with device.serving_on("is missing"):
        device.look()


# Key compromise.


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets", PUBLISHER, OWNER])
def test_key_compromise_below_the_threshold_lets_nothing_pass(tmp_path, role):
    repository = TufRepository(tmp_path / "repository", {role: 2})
    repository.release("1.0.0")
    device = Device(tmp_path / "device", repository)
    device.take()
    stolen = repository.keys[role][:1]
    repository.add_bundle(small_bundle(version="6.6.6"), "6.6.6")
    repository.set_channel("6.6.6")
    if role == "root":
        repository.rotate_root("timestamp", signers=[*stolen, thief()])
    repository.publish(PUBLISHER, OWNER, *(["targets"] if role == "targets" else []))
    if role != "root":
        repository.write(role, [*stolen, thief()])
    with device.unmoved("signed by 1/2 keys"):
        device.look()


def test_key_compromise_of_one_key_that_signs_twice_is_still_one_key(tmp_path):
    repository = TufRepository(tmp_path / "repository", {PUBLISHER: 2})
    repository.release("1.0.0")
    device = Device(tmp_path / "device", repository)
    device.take()
    repository.add_bundle(small_bundle(version="6.6.6"), "6.6.6")
    repository.set_channel("6.6.6")
    repository.publish(PUBLISHER, OWNER)
    one = repository.keys[PUBLISHER][0]
    repository.path(PUBLISHER).write_bytes(signed(repository.roles[PUBLISHER], [one, one]))
    with device.unmoved():
        device.look()


def test_key_compromise_at_the_threshold_is_recovered_from_by_a_new_root(repository, device, tmp_path):
    """Whoever has every key but root's installs what he likes, until root's owners take the keys away."""
    evil = repository.release("6.6.6", factor=-1.0)
    assert device.look().digest == evil
    stolen = {role: [*keys] for role, keys in repository.keys.items()}
    shutil.copytree(repository.folder, tmp_path / "evil")

    repository.rotate_root("timestamp", "snapshot", "targets")
    targets = repository.roles["targets"]
    for role in (PUBLISHER, OWNER):
        for key in repository.keys[role]:
            targets.revoke_key(key.public_key.keyid, role)
        repository.keys[role] = [CryptoSigner.generate_ed25519()]
        targets.add_key(repository.keys[role][0].public_key, role)
    del repository.roles[PUBLISHER].targets[f"bundles/{NAME}/6.6.6"]
    repository.publish("targets")
    good = repository.release("1.1.0", factor=3.0)
    assert device.look().digest == good

    for role in ("timestamp", "snapshot", PUBLISHER, OWNER):  # and what the thief signs from now on is nothing
        repository.roles[role].version += 1
    repository.set_channel("1.0.0")
    repository.publish(PUBLISHER, OWNER)
    for role in ("timestamp", "snapshot", PUBLISHER, OWNER):
        repository.write(role, stolen[role])
    with device.unmoved("signed by 0/1 keys"):
        device.look()
    with device.unmoved():
        device.look(source=Folder(str(tmp_path / "evil")))


def test_the_key_of_a_channel_alone_cannot_introduce_software(repository, device):
    """It can choose among what publishers have published; online keys are with it, as they may be."""
    repository.set_channel("6.6.6")
    repository.publish(OWNER)
    with device.unmoved(r"names cards@6.6.6, which no publisher has published"):
        device.look()
    repository.roles[OWNER].targets[f"bundles/{NAME}/6.6.6"] = repository.roles[PUBLISHER].targets[
        f"bundles/{NAME}/1.0.0"
    ]
    repository.publish(OWNER)
    with device.unmoved("no publisher has published"):
        device.look()


def test_the_key_of_a_publisher_alone_reaches_no_device(repository, device):
    repository.add_bundle(small_bundle(version="6.6.6"), "6.6.6")
    repository.roles[PUBLISHER].targets[f"channels/{CHANNEL}/{NAME}"] = repository.roles[OWNER].targets[
        f"channels/{CHANNEL}/{NAME}"
    ]
    repository.publish(PUBLISHER)
    assert device.look().what == "current"
    assert device.store.state().candidate is None


def test_a_version_is_never_given_other_bytes_to_a_device_that_found_it_bad(repository, device):
    bad = repository.release("1.1.0", factor=3.0)
    device.look()
    with device.store.start() as start:
        start.reject("it is wrong")
    assert device.store.state().why_bad(bad)
    found = device.look()
    assert (found.what, found.version) == ("none", None)
    assert found.why == "cards@1.1.0: it was found bad here before"


# One role for each path.


def extra_role(repository, name, paths, terminating=True, first=True):
    """Let the owners of targets delegate paths to one more role."""
    delegations = repository.roles["targets"].delegations
    others = dict(delegations.roles)
    repository.keys[name] = [CryptoSigner.generate_ed25519()]
    added = {name: DelegatedRole(name, [], 1, terminating, paths)}
    delegations.roles.clear()
    delegations.roles.update({**added, **others} if first else {**others, **added})
    repository.roles["targets"].add_key(repository.keys[name][0].public_key, name)
    repository.roles[name] = Targets(expires=repository.expires["targets"])


@pytest.mark.parametrize("terminating", [True, False])
def test_a_path_that_two_roles_have_is_not_taken(repository, device, terminating):
    extra_role(repository, "channel-canary", [f"bundles/{NAME}/*"], terminating)
    repository.add_bundle(small_bundle(version="6.6.6"), "6.6.6")
    repository.roles["channel-canary"].targets = repository.roles[PUBLISHER].targets
    repository.set_channel("6.6.6")
    repository.publish("channel-canary", OWNER, "targets")
    with device.unmoved("must have the one role 'bundle-cards'"):
        device.look()


def test_a_path_that_targets_signs_itself_is_not_taken(repository, device):
    repository.roles["targets"].targets[f"bundles/{NAME}/1.0.0"] = repository.roles[PUBLISHER].targets[
        f"bundles/{NAME}/1.0.0"
    ]
    repository.publish("targets")
    with device.unmoved("must have the one role"):
        device.look()


def test_a_delegation_of_the_publishers_own_is_not_followed(repository, device):
    publisher, friend = repository.roles[PUBLISHER], CryptoSigner.generate_ed25519()
    publisher.delegations = Delegations({}, {"friend": DelegatedRole("friend", [], 1, True, ["bundles/*/*"])})
    publisher.add_key(friend.public_key, "friend")
    repository.keys["friend"] = [friend]
    repository.add_bundle(small_bundle(version="6.6.6"), "6.6.6")
    repository.roles["friend"] = Targets(expires=repository.expires["targets"], targets=dict(publisher.targets))
    del publisher.targets[f"bundles/{NAME}/6.6.6"]
    repository.set_channel("6.6.6")
    repository.publish("friend", PUBLISHER, OWNER)
    with device.unmoved("no publisher has published"):
        device.look()


def test_a_channel_that_the_repository_does_not_have_is_told(repository, device):
    device.follow(str(repository.folder), channel="canary")
    with device.unmoved("no role 'channel-canary'"):
        device.look()
