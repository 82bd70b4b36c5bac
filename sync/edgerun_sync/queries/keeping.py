"""Answers that an engine keeps, so that further questions are asked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from edgerun_sync.queries import tables

if TYPE_CHECKING:
    from edgerun_sync.queries.engines import Engine


class Keeper:
    """Keeps answers in an engine, and remembers what was asked.

    Attributes:
        queries: in SQL, by the names of the answers.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.queries: dict[str, str] = {}

    def keep(self, name: str, question: Any) -> Any:
        """Return the answer to a question as a table.

        Raises:
            QueryError: the engine failed.
        """
        said = self.queries[name] = tables.statement(question, self.engine.dialect)
        self.engine.keep(f"edgerun {name}", said)
        return ibis.table(question.schema(), name=f"edgerun {name}")
