"""The collector's log: a line of JSON for each thing that happened. No header and no body is in it, so no token is."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_PLAIN = frozenset(vars(logging.makeLogRecord({})))


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, message, and what it carries besides."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        more = {name: value for name, value in vars(record).items() if name not in _PLAIN and name != "taskName"}
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        document = {"time": time, "level": record.levelname.lower(), "message": record.getMessage(), **more}
        if record.exc_info and record.exc_info[1] is not None:
            document["problem"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        return json.dumps(document, default=str)


def log_to_stderr() -> None:
    """Write the log of the collector and of its server to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("edgerun.collector", logging.INFO), ("uvicorn.error", logging.WARNING)):
        found = logging.getLogger(name)
        found.handlers, found.propagate = [handler], False
        found.setLevel(level)
