"""A device that enrols makes its store, and follows the repository that the service named."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from edgerun_sync.agent.downlink import STATE_FILE
from edgerun_sync.errors import AgentError, WireError

if TYPE_CHECKING:
    from edgerun_sync.agent.enrolment import Enrolment


def check_wish(store: str, name: str | None, bundle: str | None, channel: str, groups: tuple[str, ...]) -> str | None:
    """Check what an enrolment is to make, before its token is spent; returns the name to ask for.

    Args:
        store: the folder.
        name: that is wished for.
        bundle: that is to be followed; None for none.
        channel: that it is followed in.
        groups: that the device is in.

    Raises:
        AgentError: the folder is the store of a device of another name.
        StoreError: a name is none, or the store is damaged.
    """
    from edgerun.store import Store, Subscription  # noqa: PLC0415 - a folder that only logs needs none of it
    from edgerun.store.documents import check_subscription  # noqa: PLC0415 - likewise

    if bundle is not None:
        check_subscription(Subscription("https://any", bundle, channel, groups))
    if not os.path.isfile(os.path.join(store, STATE_FILE)):
        return name
    device = Store(store).device
    if name not in {None, device}:
        raise AgentError(f"{store} is the store of {device}; enrol it by that name, or choose another folder")
    return device


def follow(store: str, enrolment: Enrolment, offer: Any, bundle: str, channel: str, groups: tuple[str, ...]) -> str:
    """Make a device's store, if there is none, and follow a bundle; returns the repository's URL.

    Args:
        store: the folder.
        enrolment: of the device.
        offer: what the service said of its repository.
        bundle: to follow.
        channel: to follow it in.
        groups: that the device is in.

    Raises:
        AgentError: the service has no repository; the store is made all the same.
        WireError: what it said makes no sense.
        StoreError: the store cannot be made, or trusts another root already.
        UpdateError: the root is none, or a device cannot follow that URL.
    """
    from edgerun.store import Store, Subscription  # noqa: PLC0415 - a folder that only logs needs none of it
    from edgerun.update.source import check_repository  # noqa: PLC0415 - likewise
    from edgerun.update.trust import check_root  # noqa: PLC0415 - it loads cryptography

    if offer is None:
        Store.create(store, device=enrolment.device)  # so that whoever follows with it is the device of that name
        raise AgentError(
            f"{enrolment.device} is enrolled, and {enrolment.url} has no repository yet; once it has one, follow it "
            f"with its root: edgerun device join {enrolment.url}/v1/repository --root root.json --bundle {bundle} "
            f"--store {store}"
        )
    if not isinstance(offer, dict) or not isinstance(offer.get("url"), str) or not isinstance(offer.get("root"), dict):
        raise WireError("the service's answer to the enrolment names a repository without its url and root")
    url: str = urljoin(f"{enrolment.url}/", offer["url"])
    check_repository(url)
    root = json.dumps(offer["root"], separators=(",", ":")).encode()
    check_root(root)
    made = Store.create(store, device=enrolment.device)
    made.subscribe(Subscription(url, bundle, channel, groups), None if made.root() is not None else root)
    return url
