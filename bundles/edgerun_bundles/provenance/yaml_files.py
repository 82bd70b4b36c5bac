"""Reads YAML that others wrote: plain values only, bounded, and no object is ever made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgerun_bundles.errors import ProvenanceError

if TYPE_CHECKING:
    from pathlib import Path


def read_yaml(path: Path, limit_bytes: int) -> Any:
    """Return the value in a YAML file.

    Raises:
        ProvenanceError: it cannot be read, is larger than the limit, has aliases, or is no plain YAML; or the reader
            is not installed.
    """
    try:
        import yaml  # noqa: PLC0415 - only an import from elsewhere needs it
    except ImportError as error:
        raise ProvenanceError('reading YAML needs PyYAML; try: pip install "edgerun[bundles]"') from error
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
        if len(content) > limit_bytes:
            raise ProvenanceError(f"{path}: larger than {limit_bytes} bytes")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content, yaml.SafeLoader)):
            raise ProvenanceError(f"{path}: it has aliases, which could make it grow without bounds")
        return yaml.safe_load(content)
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise ProvenanceError(f"{path} cannot be read: {error}") from error
