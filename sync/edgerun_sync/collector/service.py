"""What the collector does for each request: who may, what is stored, what is answered.

It knows nothing of HTTP but its status codes. Every function may block on the store, so a server calls them in threads.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from edgerun_sync.collector.audit import Audit
from edgerun_sync.collector.credentials import Credential, Credentials, Role
from edgerun_sync.collector.devices import Devices
from edgerun_sync.collector.documents import CheckedIn, CheckIn, Document, Enrol, Enrolled, IssueToken, Token, parse
from edgerun_sync.collector.keys import Landed, lane_of
from edgerun_sync.collector.landing import Landing, land
from edgerun_sync.collector.segments import check
from edgerun_sync.errors import RefusedError, SegmentError, WireError
from edgerun_sync.names import check_segment
from edgerun_sync.times import now_text, parse_time

if TYPE_CHECKING:
    from edgerun_sync.collector.objects import Objects
    from edgerun_sync.collector.repository import Repository


D = TypeVar("D", bound=Document)


class Stored(NamedTuple):
    """What became of a segment."""

    status: int
    """201 where it was stored, 200 where it was there already."""

    rows: int
    """Rows that it holds."""


class Service:
    """One collector's store, as requests see it.

    Args:
        objects: the store.
        lanes: how many it has.
        repository: of bundles; None where this collector serves none.
    """

    def __init__(self, objects: Objects, lanes: int, repository: Repository | None = None) -> None:
        self.objects = objects
        self.repository = repository
        self._lanes = lanes
        self.credentials = Credentials(objects)
        self.audit = Audit(objects)
        self.devices = Devices(objects)

    def first_token(self) -> str | None:
        """Make the first admin token; None where there ever was an operator.

        Raises:
            CollectorError: the store fails.
        """
        if not self.objects.put_new("credentials/begun", b""):
            return None
        token, made = self.credentials.issue(Role.ADMIN, note="made at the first start")
        self.audit.append("collector", "token.issue", made.name, {"role": "admin", "note": made.note})
        return token

    def authenticate(self, authorization: str | None) -> Credential:
        """Return whom a request is from.

        Raises:
            RefusedError: 401: the header is missing, or its token is worth nothing.
            CollectorError: the store fails.
        """
        scheme, _, token = (authorization or "").partition(" ")
        credential = self.credentials.authenticate(token.strip()) if scheme.lower() == "bearer" else None
        if credential is None:
            raise RefusedError(401, "unauthenticated", "give a valid token: Authorization: Bearer TOKEN")
        return credential

    def enrol(self, authorization: str | None, body: bytes) -> Enrolled:
        """Give a device its name and token, for one use of an enrolment token.

        Raises:
            RefusedError: the token is worth nothing or used up, the body is wrong, or the name is taken.
            CollectorError: the store fails.
            RepositoryError: the repository cannot be read.
        """
        credential = self.authenticate(authorization)
        _need(credential, Role.ENROLL)
        wish = _parsed(Enrol, body)
        device = wish.device or f"device-{secrets.token_hex(8)}"
        taken = RefusedError(
            409, "name-taken", f"a device named {device!r} is enrolled; revoke it, or choose another name"
        )
        if self.credentials.is_enrolled(device):
            raise taken
        offer = self.repository.offer() if self.repository is not None else None
        token = (authorization or "").partition(" ")[2].strip()
        if not self.credentials.use_enrolment(token):
            raise RefusedError(401, "used-up", "this enrolment token was used as often as it may be; ask for another")
        issued = self.credentials.issue_device(device)
        if issued is None:
            raise taken
        self.devices.enrol(device)
        self.audit.append(credential.name, "device.enrol", device, {"machine": wish.machine, "edgerun": wish.edgerun})
        return Enrolled(device=device, token=issued, repository=offer)

    def rotate(self, credential: Credential, device: str) -> Token:
        """Give a device its next token.

        Raises:
            RefusedError: it is not that device that asks.
            CollectorError: the store fails.
        """
        _need_device(credential, device)
        return Token(token=self.credentials.rotate_device(device))

    def check_in(self, credential: Credential, device: str, body: bytes) -> CheckedIn:
        """Take down how a device is.

        Raises:
            RefusedError: it is not that device, or the body is wrong.
            CollectorError: the store fails.
        """
        _need_device(credential, device)
        said = _parsed(CheckIn, body)
        flags = self.devices.check_in(device, said, lane=lane_of(device, self._lanes))
        return CheckedIn(time=now_text(), flags=[*flags])

    def put_segment(self, credential: Credential, device: str, segment: str, body: bytes, digest: str) -> Stored:
        """Land a segment.

        Args:
            credential: who sends it.
            device: whose it is.
            segment: its name.
            body: its bytes.
            digest: the SHA-256 that the sender says it has, in hexadecimal.

        Raises:
            RefusedError: it is not that device, or the bytes are not a segment of that name and digest, or another
                segment of that name was landed before.
            CollectorError: the store fails.
        """
        _need_device(credential, device)
        try:
            checked = check(check_segment(segment), body, digest)
        except WireError as error:
            raise RefusedError(422, "not_a_segment", str(error)) from error
        except SegmentError as error:
            raise RefusedError(error.status, error.slug, str(error)) from error
        landing = land(self.objects, self._lanes, Landed(device, segment), body, checked.digest)
        if landing is Landing.CONFLICT:
            self.audit.append(device, "segment.conflict", f"{device}/{segment}", {"digest": checked.digest})
            raise RefusedError(409, "other-bytes", f"{segment} of {device} was landed before, with other bytes")
        return Stored(landing.value, checked.rows)

    def issue_token(self, credential: Credential, body: bytes) -> Token:
        """Make a token for an operator or for enrolments.

        Raises:
            RefusedError: the asker is no admin, or the body is wrong.
            CollectorError: the store fails.
        """
        _need(credential, Role.ADMIN)
        wish = _parsed(IssueToken, body)
        if wish.uses is not None and wish.role != Role.ENROLL.value:
            raise RefusedError(422, "invalid", "uses: only an enrolment token is used up")
        expires = None if wish.expires is None else _moment(wish.expires)
        token, made = self.credentials.issue(Role(wish.role), note=wish.note, uses=wish.uses, expires=expires)
        self.audit.append(credential.name, "token.issue", made.name, {"role": wish.role, "note": wish.note})
        return Token(token=token)

    def revoke_token(self, credential: Credential, name: str) -> None:
        """Refuse a token from now on.

        Raises:
            RefusedError: the asker is no admin, or there is no such token.
            CollectorError: the store fails.
        """
        _need(credential, Role.ADMIN)
        if not self.credentials.revoke(name):
            raise RefusedError(404, "unknown", f"there is no token named {name[:80]!r}")
        self.audit.append(credential.name, "token.revoke", name)

    def revoke_device(self, credential: Credential, device: str) -> None:
        """Refuse a device from now on.

        Raises:
            RefusedError: the asker is no admin, or there is no such device.
            CollectorError: the store fails.
        """
        _need(credential, Role.ADMIN)
        try:
            known = self.credentials.revoke_device(device)
        except WireError as error:
            raise RefusedError(422, "invalid", str(error)) from error
        if not known:
            raise RefusedError(404, "unknown", f"there is no device named {device!r}")
        self.audit.append(credential.name, "device.revoke", device)

    def list_devices(self, credential: Credential) -> list[dict[str, object]]:
        """Return how every device was when it last checked in.

        Raises:
            RefusedError: the asker may not read.
            CollectorError: the store fails.
        """
        _need(credential, Role.READ)
        return [
            {
                "device": device,
                "enrolled": known.enrolled,
                "seen": known.seen,
                "flags": [*known.flags],
                "last": known.last,
            }
            for device, known in self.devices.list()
        ]


def _need(credential: Credential, role: Role) -> None:
    if not credential.may(role):
        raise RefusedError(403, "forbidden", f"this takes a token of the role {role}; this one has {credential.role}")


def _need_device(credential: Credential, device: str) -> None:
    if credential.role != Role.DEVICE or credential.name != device:
        raise RefusedError(403, "forbidden", "this takes the token of that very device")


def _moment(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(parse_time(text), UTC)
    except (WireError, OverflowError, ValueError) as error:
        raise RefusedError(422, "invalid", f"expires: {text} is a time that no calendar has") from error


def _parsed(kind: type[D], body: bytes) -> D:
    try:
        return parse(kind, body)
    except WireError as error:
        raise RefusedError(422, "invalid", str(error)) from error
