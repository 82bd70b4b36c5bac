"""Keys: files that openssl opens, passphrases that cost something to guess, and nothing overwritten."""

from __future__ import annotations

import json
import stat
import subprocess

import pytest
from securesystemslib.signer import CryptoSigner

from edgerun.errors import InputError
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.repository import keys as keys_module
from edgerun_bundles.repository.keys import FILE_MAX_BYTES, KeyFolder, make_key, public_key, read_public_key

PASSPHRASE = b"correct horse"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a key ``ada``, costly as they are; nobody changes it."""
    place = tmp_path_factory.mktemp("keys") / "inner"
    make_key(place, "ada", PASSPHRASE)
    return place


@pytest.fixture
def cheap(monkeypatch):
    """Keys that cost nothing to open."""
    monkeypatch.setattr(keys_module, "SCRYPT_COST", 16)


def openssl(*arguments, content=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=content, capture_output=True, check=False)


def test_openssl_opens_a_private_key_with_its_passphrase_and_finds_its_public_key(folder):
    done = openssl("pkey", "-in", folder / "ada.pem", "-passin", f"pass:{PASSPHRASE.decode()}", "-text", "-noout")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode().partition("pub:")[2].replace(":", "").replace("\n", "").replace(" ", "")
    assert shown == json.loads((folder / "ada.pub.json").read_text())["keyval"]["public"]
    wrong = openssl("pkey", "-in", folder / "ada.pem", "-passin", "pass:wrong", "-noout")
    assert wrong.returncode != 0


def test_a_guess_costs_what_it_is_said_to_cost(folder):
    shown = openssl("asn1parse", "-in", folder / "ada.pem").stdout.decode()
    assert "PBES2" in shown
    assert "scrypt" in shown
    assert "aes-256-cbc" in shown
    found = [int(line.rpartition(":")[2], 16) for line in shown.splitlines() if "INTEGER" in line]
    assert found == [2**14, 8, 5]


def test_the_private_key_is_for_nobody_else(folder):
    assert stat.S_IMODE((folder / "ada.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert b"PRIVATE" not in (folder / "ada.pub.json").read_bytes()


def test_what_a_key_signs_is_signed_by_that_key(folder):
    file = read_public_key(folder / "ada.pub.json")
    (signer,) = KeyFolder(folder, lambda _: PASSPHRASE).signers([file.key.keyid])
    file.key.verify_signature(signer.sign(b"metadata"), b"metadata")


def test_the_id_of_a_key_is_the_one_that_other_tools_give_it():
    signer = CryptoSigner.generate_ed25519()
    assert public_key(signer.public_key.to_dict()).keyid == signer.public_key.keyid


def test_a_wrong_passphrase_is_told_with_the_file(folder):
    keyid = read_public_key(folder / "ada.pub.json").key.keyid
    with pytest.raises(RepositoryError, match=r"ada\.pem cannot be opened: wrong passphrase"):
        KeyFolder(folder, lambda _: b"wrong horse").signers([keyid])


def test_a_key_is_opened_once_and_only_when_it_must_sign(folder):
    keyid = read_public_key(folder / "ada.pub.json").key.keyid
    asked = []
    held = KeyFolder(folder, lambda path: (asked.append(path.name), PASSPHRASE)[1])
    assert held.signers(["0" * 64]) == []
    assert asked == []
    assert held.signers([keyid]) == held.signers([keyid])
    assert asked == ["ada.pem"]


def test_nothing_is_overwritten(tmp_path, cheap):
    make_key(tmp_path, "ada", PASSPHRASE)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RepositoryError, match="is there already"):
        make_key(tmp_path, "ada", PASSPHRASE)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a" * 65])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="must match"):
        make_key(tmp_path, name, PASSPHRASE)


def test_a_passphrase_has_eight_characters(tmp_path, cheap):
    with pytest.raises(InputError, match="at least 8"):
        make_key(tmp_path, "ada", b"1234567")
    make_key(tmp_path, "ada", b"12345678")


def test_a_private_key_that_is_not_encrypted_is_refused(tmp_path, cheap):
    made = make_key(tmp_path, "ada", PASSPHRASE)
    plain = openssl("pkey", "-in", made.private, "-passin", f"pass:{PASSPHRASE.decode()}").stdout
    made.private.write_bytes(plain)
    with pytest.raises(RepositoryError, match="is not encrypted"):
        KeyFolder(tmp_path, lambda _: PASSPHRASE).signers([made.key.keyid])


def test_a_private_key_that_belongs_to_another_public_key_is_refused(tmp_path, cheap):
    ada, bob = make_key(tmp_path, "ada", PASSPHRASE), make_key(tmp_path, "bob", PASSPHRASE)
    bob.private.replace(ada.private)
    with pytest.raises(RepositoryError, match=r"is not the private key of ada\.pub\.json"):
        KeyFolder(tmp_path, lambda _: PASSPHRASE).signers([ada.key.keyid])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b"[]", "has the fields"),
        (b'{"keytype":"ed25519","scheme":"ed25519"}', "has the fields"),
        (b'{"keytype":"rsa","scheme":"rsassa-pss-sha256","keyval":{"public":"x"}}', "only ed25519"),
        (b'{"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"00"}}', "only ed25519"),
        (b'{"keytype":"ed25519","scheme":"ed25519","keyval":7}', "no public key"),
        (b" " * (FILE_MAX_BYTES + 1), "larger than"),
    ],
)
def test_a_public_key_that_is_none_is_named(tmp_path, content, said):
    (tmp_path / "x.pub.json").write_bytes(content)
    with pytest.raises(RepositoryError, match=f"x.pub.json: .*{said}"):
        read_public_key(tmp_path / "x.pub.json")
