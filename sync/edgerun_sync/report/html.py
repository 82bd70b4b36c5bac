"""A report as one page of HTML that needs nothing else: no script, no font, no address."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

from edgerun_sync.report.document import report_document
from edgerun_sync.report.drawing import CURVE_SIZE, WIDTH, curve_drawing_of, drawing_of
from edgerun_sync.report.view import RULE, view_of

if TYPE_CHECKING:
    from jinja2 import Template

    from edgerun_sync.experiments.scorecard import Scorecard

TEMPLATE = "page.html.jinja"


def html_report(card: Scorecard) -> str:
    """Return a scorecard as a page; everything that names or reasons hold is escaped.

    The page has the report as JSON too, from which it can be computed again.
    """
    return _template().render(
        view=view_of(card),
        rule=RULE,
        width=WIDTH,
        drawing_of=drawing_of,
        curve_size=CURVE_SIZE,
        curve_drawing_of=curve_drawing_of,
        queries=card.facts.provenance.queries,
        document=json.dumps(report_document(card), allow_nan=False, indent=1),
    )


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("edgerun_sync.report").joinpath(TEMPLATE).read_text("utf-8"))
