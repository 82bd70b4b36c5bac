"""What the transport must know of a URL: where it leads, whether to another place, and how to name it. Pure."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from edgerun_bundles.errors import RegistryError


def joined(base: str, url: str) -> str:
    """Return where a URL leads that was found at another one.

    Raises:
        RegistryError: it is none.
    """
    try:
        return urljoin(base, url)
    except ValueError as error:
        raise RegistryError(f"{place_of(base)} leads to {url[:200]!r}, which is no URL", 0) from error


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Return the scheme, host and port of a URL: whom one talks to."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme)


def place_of(url: str) -> str:
    """Return a URL for a message: what follows the path may hold a signature that lets anybody in."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
