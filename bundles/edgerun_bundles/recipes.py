"""The example bundles that come with edgerun: where they are, in a checkout and in an installation.

A recipe is a folder with a ``bundle`` and a test set that no training has seen. The training scripts stay in
the repository, under ``bundles/recipes``.
"""

from __future__ import annotations

from pathlib import Path

from edgerun.errors import BundleError

_INSTALLED = Path(__file__).parent / "data" / "recipes"
_CHECKOUT = Path(__file__).parents[1] / "recipes"


def folder(name: str) -> Path:
    """Return the folder of a recipe, such as ``digits``.

    Raises:
        BundleError: there is no such recipe; the message lists those there are.
    """
    found = {path.parent.name: path.parent for path in _root().glob("*/bundle")}
    if name not in found:
        raise BundleError(f"no recipe is named {name!r}; there are: {', '.join(sorted(found)) or 'none'}")
    return found[name]


def _root() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
