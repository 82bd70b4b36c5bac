"""Reads YAML that others wrote: plain values only, bounded, and no object is ever made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgerun_bundles.errors import ProvenanceError

if TYPE_CHECKING:
    from pathlib import Path

    from edgerun_bundles.limits import Limits


def read_yaml(path: Path, limits: Limits) -> Any:
    """Return the value in a YAML file.

    Raises:
        ProvenanceError: it cannot be read, is larger than the limit, has aliases, is too deep, or is no plain YAML; or
            the reader is not installed.
    """
    try:
        import yaml  # noqa: PLC0415 - only an import from elsewhere needs it
    except ImportError as error:
        raise ProvenanceError('reading YAML needs PyYAML; try: pip install "edgerun[bundles]"') from error
    try:
        with path.open("rb") as file:
            content = file.read(limits.yaml_max_bytes + 1)
        if len(content) > limits.yaml_max_bytes:
            raise ProvenanceError(f"{path}: larger than {limits.yaml_max_bytes} bytes (yaml_max_bytes)")
        depth = 0
        for event in yaml.parse(content, yaml.SafeLoader):  # one by one: depth costs the square of its time
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > limits.document_max_depth:
                raise ProvenanceError(f"{path}: it has aliases or is too deep, and could grow without bounds")
        return yaml.safe_load(content)
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise ProvenanceError(f"{path} cannot be read: {error}") from error
