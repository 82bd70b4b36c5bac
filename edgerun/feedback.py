"""What comes back after a prediction: labels and outcomes, checked and made into rows of the log."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun._core.recorder import unit_of
from edgerun._shown import shown
from edgerun.errors import InputError, LogError
from edgerun.limits import LIMITS
from edgerun.shadow import check_timeout
from edgerun.split import key_bytes

if TYPE_CHECKING:
    from edgerun.log.recorder import Recorder
    from edgerun.log.rows import Kind

_ID = re.compile(r"[0-9a-f]{16}-(0|[1-9][0-9]{0,19})")


class Feedback:
    """The half of a runner that app and user answer through."""

    def _log(self) -> Recorder | None:
        """Return the recorder in use; None where there is no log."""
        raise NotImplementedError  # the runner, whose half this is, has it

    def label(self, prediction_id: str, value: Any) -> None:
        """Log what the truth was for a prediction, of this process or any other, now or days ago.

        Args:
            prediction_id: Prediction.id of the call.
            value: the true class, number or text; a numpy scalar, a list or a dict of such will do too.

        Raises:
            InputError: the id is none, or the value cannot be logged or is too large.
            LogError: there is no log, or no room in it: the disk refuses. The label is not logged; try again later.
            ClosedError: the runner is closed.
        """
        self._journal(*label_row(prediction_id, value))

    def outcome(
        self,
        name: str,
        value: float,
        *,
        id: str | None = None,  # noqa: A002 - Prediction.id is its name
        key: str | int | bytes | None = None,
    ) -> None:
        """Log something that came of a prediction, or of a unit: a purchase, an alarm, a repair.

        Args:
            name: of the metric.
            value: a finite number.
            id: Prediction.id of the call that it came of; or
            key: the unit, as given to predict().

        Raises:
            InputError: an argument is wrong, or not one of ``id`` and ``key`` is given.
            LogError: as label().
            ClosedError: the runner is closed.
        """
        self._journal(*outcome_row(name, value, id, key))

    def _journal(self, kind: Kind, value: Mapping[str, Any]) -> None:
        recorder = self._log()
        if recorder is None:
            raise LogError("this runner keeps no log: open it with log=, the folder to log into")
        recorder.journal(kind, value)

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until everything recorded so far is on the disk, at most ``timeout_s``.

        Returns:
            False where the time ran out or the disk refused; the log goes on trying. True also where there is no log.

        Raises:
            InputError: ``timeout_s`` is no such number.
            ClosedError: the runner is closed.
        """
        check_timeout(timeout_s)
        recorder = self._log()
        return recorder is None or recorder.flush(timeout_s)


def label_row(prediction_id: Any, value: Any) -> tuple[Kind, dict[str, Any]]:
    """Return the row of a label.

    Raises:
        InputError: the id is none, or the value cannot be logged.
    """
    from edgerun.log.rows import Kind  # noqa: PLC0415 - who keeps no log does not import it

    return Kind.LABEL, {"id": _checked_id("prediction_id", prediction_id), "value": _plain(value, depth=0)}


def outcome_row(name: Any, value: Any, id_: Any, key: Any) -> tuple[Kind, dict[str, Any]]:
    """Return the row of an outcome.

    Raises:
        InputError: an argument is wrong, or not one of id and key is given.
    """
    from edgerun.log.rows import Kind  # noqa: PLC0415 - who keeps no log does not import it

    if not isinstance(name, str) or not 0 < len(name.encode(errors="replace")) <= LIMITS.outcome_name_max_bytes:
        raise InputError(
            f"the name of an outcome is a text of 1 to {LIMITS.outcome_name_max_bytes} bytes, got {shown(name)}"
        )
    number = value.item() if isinstance(value, np.generic) else value
    if not isinstance(number, int | float) or not math.isfinite(number):
        raise InputError(f"outcome {name!r} must be a finite number, got {shown(value)}")
    if (id_ is None) == (key is None):
        raise InputError(f"outcome {name!r}: give id= of a prediction or key= of a unit, one of the two")
    row: dict[str, Any] = {"name": name, "value": float(number)}
    if id_ is not None:
        return Kind.OUTCOME, {**row, "id": _checked_id("id", id_)}
    return Kind.OUTCOME, {**row, "unit": unit_of(key_bytes(key))}


def _checked_id(name: str, text: Any) -> str:
    if not isinstance(text, str) or _ID.fullmatch(text) is None or int(text.partition("-")[2]) >= 2**64:
        raise InputError(f"{name} must be the id of a prediction, as Prediction.id gives it, got {shown(text)}")
    return text


def _plain(value: Any, depth: int) -> Any:
    """Return a value as msgpack holds it."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if isinstance(value, float):
        return float(value)
    if depth < LIMITS.label_max_depth:
        if isinstance(value, list | tuple):
            return [_plain(item, depth + 1) for item in value]
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {key: _plain(item, depth + 1) for key, item in value.items()}
    raise InputError(f"a label is None, a bool, a number, a text, or a list or dict of such, got {shown(value)}")
