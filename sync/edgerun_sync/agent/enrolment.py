"""What a device knows of its service: where it is, and the credential that the enrolment gave it.

Both are in one file that only its owner reads. It is replaced as a whole, so a power cut leaves the old one or the new
one; and the service takes both tokens until the new one was used.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_sync.agent.files import replace_file
from edgerun_sync.errors import AgentError, WireError
from edgerun_sync.names import check_device

if TYPE_CHECKING:
    from edgerun_sync.agent.http import Answer, Http

FILE = "credential.json"
FORMAT = 1
MACHINE_ID = "/etc/machine-id"


class Enrolment(NamedTuple):
    """Where a device hands over what it recorded, and as whom."""

    url: str
    """The service's."""

    device: str
    """Its name there."""

    token: str
    """What it shows."""

    ca_file: str | None = None
    """A PEM file of the authorities to trust in place of the system's."""

    machine: str = ""
    """What the machine was recognised by."""

    instance: str = ""
    """16 random hex digits of this store on this machine."""

    check_ins: int = 0
    """Check-ins so far."""

    rotated_s: float = 0.0
    """When the token was made, seconds since 1970 by the clock."""


def machine_hash() -> str:
    """Return what this machine is recognised by: a hash of its id, or of its host name without one."""
    try:
        with open(MACHINE_ID, "rb") as file:
            identity = file.read(128).strip()
    except OSError:
        identity = os.uname().nodename.encode()
    return hashlib.sha256(b"edgerun machine" + identity).hexdigest()


def read_enrolment(store: str) -> Enrolment:
    """Return what a store says.

    Raises:
        AgentError: it is not enrolled, or the file cannot be read.
    """
    path = os.path.join(store, FILE)
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read())
    except FileNotFoundError as error:
        raise AgentError(
            f"{store} is not enrolled; try: edgerun device enroll URL --token TOKEN --store {store}"
        ) from error
    except (OSError, ValueError) as error:
        raise AgentError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise AgentError(f"{path} is not of format {FORMAT}; enrol the device again")
    try:
        return Enrolment(**document)
    except TypeError as error:
        raise AgentError(f"{path} is damaged: {error}; enrol the device again") from error


def write_enrolment(store: str, enrolment: Enrolment) -> None:
    """Replace what a store says, durably, for its owner's eyes only.

    Raises:
        AgentError: it cannot be written.
    """
    try:
        os.makedirs(store, exist_ok=True)
    except OSError as error:
        raise AgentError(f"{store} cannot be made: {error.strerror or error}") from error
    replace_file(os.path.join(store, FILE), json.dumps({"format": FORMAT, **enrolment._asdict()}).encode())


def enrol(http: Http, token: str, *, device: str | None, edgerun: str, now_s: float) -> tuple[Enrolment, Any]:
    """Trade an enrolment token for a device's own.

    Args:
        http: to the service.
        token: for enrolment.
        device: the name to ask for; the service finds one by default.
        edgerun: its version.
        now_s: the time, seconds since 1970.

    Returns:
        The enrolment, and the repository that the service named, or None.

    Raises:
        AgentError: the service refuses.
        UnreachableError: it does not answer.
        WireError: the name is none of a device's, or the answer makes no sense.
    """
    machine = machine_hash()
    wish = {"machine": machine, "edgerun": edgerun, **({"device": check_device(device)} if device else {})}
    answer = http.send("POST", "/v1/enroll", token=token, body=json.dumps(wish).encode(), headers=JSON)
    document = document_of(answer, "enrolment", 201)
    if not isinstance(document.get("device"), str) or not isinstance(document.get("token"), str):
        raise WireError("the service's answer to the enrolment names no device and token")
    enrolment = Enrolment(
        url=http.url,
        device=check_device(document["device"]),
        token=document["token"],
        machine=machine,
        instance=secrets.token_hex(8),
        rotated_s=now_s,
    )
    return enrolment, document.get("repository")


JSON = {"Content-Type": "application/json"}


def document_of(answer: Answer, what: str, wanted: int) -> dict[str, Any]:
    """Return the JSON object of an answer.

    Raises:
        AgentError: the service refuses; its message says why.
        WireError: it is no JSON object.
    """
    try:
        document = json.loads(answer.body) if answer.body else {}
    except (ValueError, RecursionError) as error:
        raise WireError(f"the service answers {answer.status} to the {what}, with something that is no JSON") from error
    if not isinstance(document, dict):
        raise WireError(f"the service answers {answer.status} to the {what}, with something that is no JSON object")
    if answer.status != wanted:
        raise AgentError(f"the service refuses the {what} ({answer.status}): {str(document.get('message', ''))[:300]}")
    return document
