"""Keys: made, kept encrypted in a folder, listed and opened. The one module that knows the libraries of cryptography.

A private key leaves this module only as a signer. Its file is a PKCS #8 PEM as openssl writes it with ``-scrypt``, but
with a costlier setting: what the cryptography library chooses by itself (2,048 rounds) is quickly tried out.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from base64 import encodebytes
from typing import TYPE_CHECKING, NamedTuple

from edgerun.artifact import canonical_json, parse_json
from edgerun.errors import BundleError, InputError
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.index import read_small

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import padding
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )
    from securesystemslib.signer import CryptoSigner, Key, SSlibKey
except ModuleNotFoundError as missing:
    lacking = str(missing.name).partition(".")[0]
    raise RepositoryError(f'keys need the module {lacking!r}; try: pip install "edgerun[bundles]"') from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    Ask = Callable[[Path], bytes]
    """Gives the passphrase of a private key's file."""

PRIVATE_SUFFIX = ".pem"
PUBLIC_SUFFIX = ".pub.json"
FILE_MAX_BYTES = 16_384
PASSPHRASE_MIN_CHARACTERS = 8

SCRYPT_COST = 2**14
SCRYPT_BLOCK = 8
SCRYPT_PARALLEL = 5
"""Together about 0.2 s and 16 MB for one guess, as OWASP advises; openssl reads nothing that takes more than 32 MB."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PBES2 = "1.2.840.113549.1.5.13"
_SCRYPT = "1.3.6.1.4.1.11591.4.11"
_AES_256_CBC = "2.16.840.1.101.3.4.1.42"


class KeyFile(NamedTuple):
    """A key of a folder."""

    name: str
    """The name of its files."""

    key: Key
    """The public key."""

    private: Path | None
    """The encrypted private key, where the folder has it."""


def make_key(folder: Path, name: str, passphrase: bytes) -> KeyFile:
    """Make an ed25519 key and write both of its files; nothing is overwritten.

    Args:
        folder: is made where it is missing, for this user alone.
        name: letters, digits, and . _ - within.
        passphrase: at least 8 characters.

    Raises:
        InputError: the name or the passphrase is none.
        RepositoryError: the name is taken, or the files cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"a key's name must match {_NAME.pattern}, got {name!r}")
    if len(passphrase) < PASSPHRASE_MIN_CHARACTERS:
        raise InputError(f"a passphrase has at least {PASSPHRASE_MIN_CHARACTERS} characters")
    private = Ed25519PrivateKey.generate()
    key = public_key(
        {
            "keytype": "ed25519",
            "scheme": "ed25519",
            "keyval": {"public": private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()},
        }
    )
    found = KeyFile(name, key, folder / f"{name}{PRIVATE_SUFFIX}")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        _write(folder / f"{name}{PRIVATE_SUFFIX}", encrypted_pem(secret, passphrase), 0o600)
        _write(folder / f"{name}{PUBLIC_SUFFIX}", canonical_json(key.to_dict()) + b"\n", 0o644)
    except FileExistsError as error:
        raise RepositoryError(f"{error.filename} is there already; choose another name") from error
    except OSError as error:
        raise RepositoryError(f"the key {name} cannot be written to {folder}: {error.strerror or error}") from error
    return found


def _write(path: Path, content: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def public_key(document: object) -> Key:
    """Return a public key of its JSON; its id is the SHA-256 of that in canonical JSON.

    Raises:
        RepositoryError: it is no ed25519 key.
    """
    try:
        if not isinstance(document, dict) or {*document} != {"keytype", "scheme", "keyval"}:
            raise RepositoryError("a public key has the fields keytype, scheme and keyval")
        keyid = hashlib.sha256(canonical_json(document)).hexdigest()
        key = Key.from_dict(keyid, {**document, "keyval": {**document["keyval"]}})
    except (KeyError, TypeError, ValueError, BundleError) as error:
        raise RepositoryError(f"that is no public key as TUF has them: {error}") from error
    public = key.keyval.get("public")
    if key.keytype != "ed25519" or not isinstance(public, str) or not re.fullmatch(r"[0-9a-f]{64}", public):
        raise RepositoryError("only ed25519 keys are taken; make one with: edgerun bundle keys new")
    return key


def read_public_key(path: Path) -> KeyFile:
    """Read a public key's file.

    Raises:
        RepositoryError: it cannot be read, or is none.
    """
    try:
        document = parse_json(read_small(path, FILE_MAX_BYTES), str(path), FILE_MAX_BYTES)
        key = public_key(document)
    except (BundleError, RepositoryError) as error:
        raise RepositoryError(f"{path}: {error}") from error
    name = path.name.removesuffix(PUBLIC_SUFFIX)
    private = path.with_name(f"{name}{PRIVATE_SUFFIX}")
    return KeyFile(name, key, private if private.exists() else None)


def encrypted_pem(secret: bytes, passphrase: bytes) -> bytes:
    """Encrypt a PKCS #8 key as PBES2 (RFC 8018) with scrypt (RFC 7914) and AES-256-CBC."""
    salt, vector = secrets.token_bytes(16), secrets.token_bytes(16)
    derived = hashlib.scrypt(
        passphrase, salt=salt, n=SCRYPT_COST, r=SCRYPT_BLOCK, p=SCRYPT_PARALLEL, maxmem=2**26, dklen=32
    )
    padder, encryptor = padding.PKCS7(128).padder(), Cipher(algorithms.AES(derived), modes.CBC(vector)).encryptor()
    sealed = encryptor.update(padder.update(secret) + padder.finalize()) + encryptor.finalize()
    costs = b"".join(map(_der_integer, (SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_PARALLEL)))
    derivation = _der(0x30, _der_oid(_SCRYPT) + _der(0x30, _der(4, salt) + costs))
    scheme = _der(0x30, _der_oid(_AES_256_CBC) + _der(4, vector))
    algorithm = _der(0x30, _der_oid(_PBES2) + _der(0x30, derivation + scheme))
    body = encodebytes(_der(0x30, algorithm + _der(4, sealed)))
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + body + b"-----END ENCRYPTED PRIVATE KEY-----\n"


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def _der_integer(value: int) -> bytes:
    return _der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _der_oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    content = bytearray([40 * first + second])
    for number in rest:
        septets = [number >> shift & 0x7F for shift in range(0, max(1, number.bit_length()), 7)][::-1]
        content += bytes([*(septet | 0x80 for septet in septets[:-1]), septets[-1]])
    return _der(6, bytes(content))


class KeyFolder:
    """The keys that one person has; private ones are opened when something must be signed, once each.

    Args:
        folder: where they lie.
        ask: gives the passphrase of a private key's file.
    """

    def __init__(self, folder: Path, ask: Ask) -> None:
        self.folder = folder
        self._ask = ask
        self._opened: dict[str, CryptoSigner] = {}

    @property
    def files(self) -> list[KeyFile]:
        """Every key whose public key lies there, by name.

        Raises:
            RepositoryError: a file of theirs is none.
        """
        return [read_public_key(path) for path in sorted(self.folder.glob(f"*{PUBLIC_SUFFIX}"))]

    def signers(self, keyids: Collection[str]) -> list[CryptoSigner]:
        """Return the signers of those keys whose private key is here.

        Raises:
            RepositoryError: a private key cannot be opened; its file is named.
        """
        private = [(file.key.keyid, file) for file in self.files if file.private and file.key.keyid in keyids]
        for keyid, file in private:
            if keyid not in self._opened:
                self._opened[keyid] = self._open(file)
        return [self._opened[keyid] for keyid in dict(private)]

    def _open(self, file: KeyFile) -> CryptoSigner:
        path = file.private
        assert path is not None
        try:
            private = load_pem_private_key(read_small(path, FILE_MAX_BYTES), self._ask(path))
        except BundleError as error:
            raise RepositoryError(str(error)) from error
        except TypeError as error:
            raise RepositoryError(f"{path} is not encrypted; encrypt it: openssl pkcs8 -topk8 -scrypt") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise RepositoryError(f"{path} cannot be opened: wrong passphrase, or a damaged file") from error
        if not isinstance(private, Ed25519PrivateKey) or not isinstance(file.key, SSlibKey):
            raise RepositoryError(f"{path} is no ed25519 key")
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        if public != file.key.keyval["public"]:
            raise RepositoryError(f"{path} is not the private key of {file.name}{PUBLIC_SUFFIX}")
        return CryptoSigner(private, file.key)
