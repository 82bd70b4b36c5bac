"""The JSON documents of a store: who the device is, and what it follows; FORMAT.md. Pure; no IO."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from edgerun._names import NAME
from edgerun._shown import shown
from edgerun._strict_json import strict_json
from edgerun.errors import StoreError
from edgerun.limits import LIMITS

FORMAT = 1
_DEVICE = r"[A-Za-z0-9._-]{1,64}"


class Subscription(NamedTuple):
    """What a device follows."""

    repository: str
    """The URL of the repository."""

    bundle: str
    """The name of the bundle."""

    channel: str = "stable"
    """The name of the channel."""

    groups: tuple[str, ...] = ()
    """The groups that the device is in."""


def check_device(device: Any) -> str:
    """Return the id of a device.

    Raises:
        StoreError: it is no such id.
    """
    if not isinstance(device, str) or not re.fullmatch(_DEVICE, device):
        raise StoreError(f"the id of a device must match {_DEVICE}, got {shown(device)}")
    return device


def device_document(device: str) -> bytes:
    """Return a device.json."""
    return _written({"device": device})


def parse_device(raw: bytes, where: str) -> str:
    """Read a device.json.

    Raises:
        StoreError: it is something else; ``where`` names the file.
    """
    return check_device(_read(raw, where, ("device",))["device"])


def check_subscription(value: Subscription) -> Subscription:
    """Return a subscription.

    Raises:
        StoreError: a field is wrong.
    """
    if not isinstance(value.repository, str) or not value.repository:
        raise StoreError(f"the repository of a subscription must be a URL, got {shown(value.repository)}")
    if not isinstance(value.groups, tuple):
        raise StoreError(f"the groups of a subscription must be a tuple of names, got {shown(value.groups)}")
    for what, name in (
        ("bundle", value.bundle),
        ("channel", value.channel),
        *(("group", name) for name in value.groups),
    ):
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise StoreError(f"the {what} of a subscription must match {NAME.pattern}, got {shown(name)}")
    if len({*value.groups}) < len(value.groups):
        raise StoreError("a subscription names a group twice")
    return value


def subscription_document(value: Subscription) -> bytes:
    """Return a subscription.json.

    Raises:
        StoreError: it is too large.
    """
    return _written(value._asdict())


def parse_subscription(raw: bytes, where: str) -> Subscription:
    """Read a subscription.json.

    Raises:
        StoreError: it is something else; ``where`` names the file.
    """
    fields = _read(raw, where, Subscription._fields)
    groups = fields["groups"]
    return check_subscription(Subscription(**{**fields, "groups": tuple(groups) if type(groups) is list else groups}))


def _written(fields: dict[str, Any]) -> bytes:
    try:
        raw = json.dumps({"format": FORMAT, **fields}, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError as error:
        raise StoreError(f"a lone surrogate has no place in a document of a store: {shown(fields)}") from error
    if len(raw) > LIMITS.store_document_max_bytes:
        raise StoreError(f"a document of a store of {len(raw)} bytes; at most {LIMITS.store_document_max_bytes}")
    return raw


def _read(raw: bytes, where: str, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        document = strict_json(raw)
    except ValueError as error:
        raise StoreError(f"{where} is damaged: {error}") from error
    if (
        type(document) is not dict
        or {*document} != {"format", *names}
        or type(document["format"]) is not int
        or document["format"] != FORMAT
    ):
        raise StoreError(f"{where} must have format {FORMAT} and the fields {', '.join(names)}")
    del document["format"]
    return document
