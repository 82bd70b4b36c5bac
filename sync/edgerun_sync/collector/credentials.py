"""Who may do what: tokens, of which only the SHA-256 is kept, and the roles that they stand for.

Nothing is remembered between two requests, so every collector of a store refuses a revoked token at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_sync.errors import CollectorError, WireError
from edgerun_sync.names import check_device
from edgerun_sync.times import now_text, time_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from edgerun_sync.collector.objects import Objects

SECRET_BYTES = 32
_TOKEN = re.compile(r"er1_([a-z]+)_([A-Za-z0-9_-]{43})(?:_(.+))?", re.ASCII | re.DOTALL)
_HEX = re.compile(r"[0-9a-f]{64}")


class Role(StrEnum):
    """What a token stands for."""

    ENROLL = "enroll"
    DEVICE = "device"
    READ = "read"
    PUBLISH = "publish"
    ADMIN = "admin"


OPERATORS = (Role.READ, Role.PUBLISH, Role.ADMIN)


class Credential(NamedTuple):
    """Who a token is."""

    role: Role
    """What it may do."""

    name: str
    """The device's name; of an operator's token, the beginning of its hash: what logs and the audit call it."""

    note: str = ""
    """What whoever made it wrote down."""

    made: str = ""
    """When it was made, RFC 3339."""

    uses: int | None = None
    """How often an enrolment token may be used."""

    expires: str | None = None
    """When it ends, RFC 3339 in UTC; None for never."""

    def may(self, role: Role) -> bool:
        """Whether it has a role; an admin has those of all operators."""
        return self.role == role or (self.role == Role.ADMIN and role in OPERATORS)


class Credentials:
    """The tokens of one collector's store.

    Args:
        objects: where their hashes are kept.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def issue(
        self, role: Role, *, note: str = "", uses: int | None = None, expires: datetime | None = None
    ) -> tuple[str, Credential]:
        """Make an operator's or an enrolment token.

        Args:
            role: any but a device's, which enrolment makes.
            note: what it is for.
            uses: how often an enrolment token may be used; 1 by default.
            expires: when it ends, with its time zone.

        Returns:
            The token, which nobody can tell again, and what it stands for.

        Raises:
            CollectorError: the store fails, or a number is wrong.
        """
        if role == Role.DEVICE:
            raise CollectorError("a device's token is made by its enrolment")
        if (uses is not None and role != Role.ENROLL) or (uses is not None and uses < 1):
            raise CollectorError("'uses' is for enrolment tokens, and at least 1")
        token = f"er1_{role}_{secrets.token_urlsafe(SECRET_BYTES)}"
        credential = Credential(
            role=role,
            name=_hash(token)[:12],
            note=note,
            made=now_text(),
            uses=(uses or 1) if role == Role.ENROLL else None,
            expires=None if expires is None else time_text(expires),
        )
        self._objects.put_new(_key(role, _hash(token)), _bytes(credential._asdict()))
        return token, credential

    def is_enrolled(self, device: str) -> bool:
        """Whether a device has a token.

        Raises:
            CollectorError: the store fails.
            WireError: the name is none of a device's.
        """
        return self._device(device) is not None

    def issue_device(self, device: str) -> str | None:
        """Make the token of a device that enrols; None where one of that name is enrolled.

        Raises:
            CollectorError: the store fails.
            WireError: the name is none of a device's.
        """
        token = _device_token(device)
        fields = {"enrolment": secrets.token_hex(8), "current": _hash(token), "pending": None}
        made = self._objects.put_new(_device_key(device), _bytes(fields))
        return token if made else None

    def rotate_device(self, device: str) -> str:
        """Make a device's next token; the former works until the next one was used.

        Raises:
            CollectorError: the store fails, or the device is not enrolled.
        """
        known = self._device(device)
        if known is None:
            raise CollectorError(f"the device {device!r} is not enrolled")
        token = _device_token(device)
        self._change_device(device, {**known, "pending": _hash(token)})
        return token

    def revoke_device(self, device: str) -> bool:
        """Refuse a device from now on; False where it was not enrolled.

        Raises:
            CollectorError: the store fails, or the name is none of a device's.
        """
        known = self._device(device)
        if known is not None:
            self._objects.put_new(_revoked_key(known), b"")
            self._objects.delete(_device_key(device))
        return known is not None

    def revoke(self, name: str) -> int:
        """Refuse the tokens of operators and enrolments that have a name; returns how many there were.

        Raises:
            CollectorError: the store fails.
        """
        found = [key for key, credential in self._all() if credential.name == name]
        for key in found:
            self._objects.delete(key)
        return len(found)

    def list(self) -> list[Credential]:
        """Return the tokens of operators and enrolments.

        Raises:
            CollectorError: the store fails.
        """
        return [credential for _, credential in self._all()]

    def authenticate(self, token: str) -> Credential | None:
        """Return whom a token stands for; None where nobody may use it.

        Raises:
            CollectorError: the store fails.
        """
        match = _TOKEN.fullmatch(token)
        if match is None or match[1] not in {*Role}:
            return None
        role, device = Role(match[1]), match[3]
        if (role == Role.DEVICE) != (device is not None):
            return None
        return self._authenticate_device(token, device) if device is not None else self._authenticate(role, token)

    def use_enrolment(self, token: str) -> bool:
        """Use up one of an enrolment token's uses; False where none is left.

        Raises:
            CollectorError: the store fails.
        """
        credential = self._authenticate(Role.ENROLL, token)
        if credential is None or credential.uses is None:
            return False
        used = f"credentials/used/{_hash(token)}/"
        count = sum(1 for _ in self._objects.list(used))
        return any(self._objects.put_new(f"{used}{number:09d}", b"") for number in range(count, credential.uses))

    def _authenticate(self, role: Role, token: str) -> Credential | None:
        raw = self._objects.get(_key(role, _hash(token)))
        if raw is None:
            return None
        credential = _credential(raw)
        if credential.role != role or (credential.expires is not None and credential.expires <= now_text()):
            return None
        return credential

    def _authenticate_device(self, token: str, device: str) -> Credential | None:
        try:
            known = self._device(device)
        except WireError:
            return None
        if known is None:
            return None
        given = _hash(token)
        if known["pending"] is not None and hmac.compare_digest(given, known["pending"]):
            self._change_device(device, {**known, "current": given, "pending": None})
        elif not hmac.compare_digest(given, known["current"]):
            return None
        return Credential(Role.DEVICE, device)

    def _change_device(self, device: str, known: dict[str, Any]) -> None:
        """Replace what is known of a device's tokens; where it was revoked meanwhile, that is what holds."""
        self._objects.replace(_device_key(device), _bytes(known))
        if self._objects.get(_revoked_key(known)) is not None:
            self._objects.delete(_device_key(device))

    def _device(self, device: str) -> dict[str, Any] | None:
        raw = self._objects.get(_device_key(device))
        if raw is None:
            return None
        document: dict[str, Any] = json.loads(raw)
        return document

    def _all(self) -> Iterator[tuple[str, Credential]]:
        for role in Role:
            if role == Role.DEVICE:
                continue
            for key in self._objects.list(f"credentials/{role}/"):
                raw = self._objects.get(key)
                if raw is not None:
                    yield key, _credential(raw)


def _device_token(device: str) -> str:
    return f"er1_{Role.DEVICE}_{secrets.token_urlsafe(SECRET_BYTES)}_{check_device(device)}"


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _key(role: Role, digest: str) -> str:
    return f"credentials/{role}/{digest}.json"


def _device_key(device: str) -> str:
    return f"credentials/device/{check_device(device)}.json"


def _revoked_key(known: dict[str, Any]) -> str:
    return f"credentials/revoked/{known['enrolment']}"


def _credential(raw: bytes) -> Credential:
    fields = json.loads(raw)
    return Credential(**{**fields, "role": Role(fields["role"])})


def _bytes(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True).encode()
