"""What requests and answers say, field by field, as sync/PROTOCOL.md has them. The one module that knows pydantic.

Requests are checked strictly: one with a field that is missing, unknown, of another type or too long is refused before
anything is stored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edgerun_sync.errors import WireError
from edgerun_sync.names import DEVICE

COUNT_MAX = 2**53 - 1
ERRORS_MAX = 8
LOST_MAX = 32

DeviceName = Annotated[str, StringConstraints(pattern=f"^{DEVICE}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._+-]{1,64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")]
Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]


class Document(BaseModel):
    """A JSON object whose every field is named here."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Enrol(Document):
    """A device that wants a token of its own."""

    device: DeviceName | None = None
    """What it wants to be called; by default the service finds a name."""

    machine: Hex
    """What the machine is recognised by."""

    edgerun: Version
    """Its version."""


class Enrolled(Document):
    """A device's name, its token, and where its bundles come from."""

    device: str
    """What it is called."""

    token: str
    """What it shows from now on."""

    repository: dict[str, Any] | None = None
    """``url``, which may be relative to the service's, and ``root``, the TUF root to trust first; where the service
    has a repository."""


class Token(Document):
    """A new token."""

    token: str
    """It is told this once."""


class ActiveBundle(Document):
    """What a device serves."""

    name: Name
    """The bundle's."""

    version: Version
    """The bundle's."""

    digest: Digest
    """Of its manifest."""

    state: Literal["current", "candidate"]
    """Whether it has proved healthy yet."""


class Backlog(Document):
    """What a device has not handed over yet."""

    segments: Count
    """Sealed ones."""

    bytes: Count
    """Of all of them."""

    oldest: Time | None
    """When the oldest was begun."""


class CheckIn(Document):
    """How a device is, at the beginning of a sync."""

    machine: Hex
    """What the machine is recognised by."""

    boot: Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{0,36}$")]
    """The boot's id; empty where the system has none."""

    instance: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    """What its agent was given when its store was made."""

    count: Count
    """Check-ins of this store so far."""

    time: Time
    """The device's clock."""

    synchronised: bool
    """Whether the system says that the clock is right."""

    edgerun: Version
    """Its version."""

    onnxruntime: Version | None
    """Its version."""

    arch: Name
    """As uname -m says."""

    bundle: ActiveBundle | None
    """What it serves."""

    backlog: Backlog
    """What it has not handed over yet."""

    lost: Annotated[dict[Name, Count], Field(max_length=LOST_MAX)]
    """Rows that found no room since the last check-in, by kind."""

    errors: Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=ERRORS_MAX)]
    """What went wrong since then."""


class CheckedIn(Document):
    """The answer to a check-in."""

    time: str
    """The service's clock."""

    flags: list[str]
    """What is odd about the device."""


class IssueToken(Document):
    """An operator's wish for a token."""

    role: Literal["enroll", "read", "publish", "admin"]
    """What it is to stand for."""

    note: Annotated[str, Field(max_length=200)] = ""
    """What it is for."""

    uses: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """How often an enrolment token may be used; 1 by default."""

    expires: Time | None = None
    """When it ends."""


class Problem(Document):
    """Why a request was refused."""

    error: str
    """A word for programs."""

    message: str
    """A sentence for people."""


D = TypeVar("D", bound=Document)


def parse(kind: type[D], raw: bytes) -> D:
    """Read a request's body.

    Raises:
        WireError: it is no JSON, or not what the document says; the field is named.
    """
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WireError(f"{where}: {first['msg']}" if where else first["msg"]) from error


def schemas() -> dict[str, Any]:
    """Return the JSON schema of every document, by its name."""
    found: dict[str, Any] = {}
    for kind in (Enrol, Enrolled, Token, CheckIn, CheckedIn, IssueToken, Problem):
        schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[kind.__name__] = schema
    return found
