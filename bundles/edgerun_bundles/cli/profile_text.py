"""What commands say of the profile of a bundle's training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgerun.log.training import TrainingProfile


def profile_text(found: TrainingProfile | None) -> str:
    """Return a profile in a line."""
    if found is None:
        return "none of training data: drift is measured from week to week alone"
    columns = {port.name: port.columns for ports in (found.inputs, *found.outputs.values()) for port in ports}
    drawn = "" if found.rows == found.of else f" of {found.of:,}"
    return f"{found.rows:,}{drawn} rows of training data, {sum(columns.values()):,} columns"


def profile_document(found: TrainingProfile | None) -> dict[str, Any] | None:
    """Return a profile as JSON has it: how many rows, of how many, and the columns of each input and output."""
    if found is None:
        return None
    return {
        "rows": found.rows,
        "of": found.of,
        "inputs": {port.name: port.columns for port in found.inputs},
        "outputs": {model: {port.name: port.columns for port in ports} for model, ports in found.outputs.items()},
    }
