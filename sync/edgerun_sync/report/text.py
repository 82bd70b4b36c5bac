"""A report as text, for a terminal."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from edgerun.cli.output import columns, printable
from edgerun_sync.report.view import RULE, view_of

if TYPE_CHECKING:
    from edgerun_sync.experiments.scorecard import Scorecard
    from edgerun_sync.report.tables import Table
    from edgerun_sync.report.view import Treatment

WIDTH = 100
"""Characters of a line of prose."""

_SIGNS = {"ok": "ok", "broken": "BROKEN", "waits": "waits"}


def text_report(card: Scorecard) -> str:
    """Return a scorecard as text."""
    view = view_of(card)
    parts = [f"{view.title}\n{columns(view.about)}"]
    parts += [f"{treatment.arm}: {treatment.kind}\n{_prose(treatment.reason)}" for treatment in view.treatments]
    parts.append(_prose(RULE, "rule  "))
    parts.append("\n".join(_prose(said, f"{_SIGNS[state]:<8}{name:<18}") for name, state, said in view.health))
    parts += [_table(view.units), _table(view.labels)]
    parts += [_metrics(treatment) for treatment in view.treatments if treatment.lines]
    parts += [_table(table) for table in view.models]
    parts += [_prose(said, "drift  ") for said in view.drift]
    parts.append("\n".join(_prose(note, "note  ") for note in view.notes))
    parts.append(columns(view.origin))
    return "\n\n".join(parts)


def _metrics(treatment: Treatment) -> str:
    lines = []
    for line in treatment.lines:
        head = f"{line.role:<10}{line.name}: "
        if line.control:
            lines.append(_prose(f"{line.treatment} against {line.control}, {line.difference}", head))
            lines.append(_prose(line.interval, " " * 10))
            lines.append(_prose(f"beside: {line.beside}", " " * 10))
            lines.append(_prose(line.said, " " * 10))
        else:
            lines.append(_prose(line.said, head))
    return f"{printable(treatment.arm)} less the control\n" + "\n".join(lines)


def _table(table: Table) -> str:
    """A table as columns where they fit, else a paragraph for each row."""
    note = [_prose(table.note, "  ")] if table.note else []
    lines = columns([table.head, *table.rows])
    if max(map(len, lines.splitlines())) > WIDTH:
        lines = "\n".join(_row(table, row) for row in table.rows)
    return "\n".join([printable(table.title), *textwrap.indent(lines, "  ").splitlines(), *note])


def _row(table: Table, row: tuple[str, ...]) -> str:
    said = "; ".join(f"{name} {cell}" for name, cell in zip(table.head[1:], row[1:], strict=True) if cell)
    return textwrap.fill(printable(f"{row[0]}: {said}"), WIDTH - 2, subsequent_indent="  ", break_on_hyphens=False)


def _prose(text: str, before: str = "") -> str:
    """A text in lines that fit, the first one after some words, the others below them."""
    return textwrap.fill(
        printable(text),
        WIDTH,
        initial_indent=before,
        subsequent_indent=" " * min(len(before), 26),
        break_on_hyphens=False,
    )
