"""Reports: text, a page and JSON say the same, never what they must not, and carry what reproduces them."""

from __future__ import annotations

import html.parser
import itertools
import json
import re
import xml.etree.ElementTree as ET

import pytest

from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.experiments.facts_json import facts_document, parse_facts
from edgerun_sync.experiments.numbers import amount_text, difference_text
from edgerun_sync.experiments.scorecard import scorecard
from edgerun_sync.report.document import report_document
from edgerun_sync.report.drawing import WIDTH, curve_drawing_of, drawing_of
from edgerun_sync.report.html import html_report
from edgerun_sync.report.text import text_report
from edgerun_sync.report.view import view_of
from support.scored import DOCUMENT, PLAN, facts, models_and_drift

FORBIDDEN = re.compile(
    r"accept\w* (the )?null|null (hypothesis )?is true|trend|probability that|chance that h|no difference between|"
    r"no effect was|proves|marginally|almost significant|approach\w* significance|equal to the control",
    re.IGNORECASE,
)
MODELS, DRIFT = models_and_drift()
FIXED = parse_plan({**DOCUMENT, "analysis": "fixed"}, "here")
CASES = {
    "ship": facts(models=MODELS, drift=DRIFT),
    "back": facts(effect=-0.1),
    "broken": facts(misassigned=50),
    "early": facts(days=2.0),
    "open": facts(effect=0.0),
    "over": facts(effect=0.0, days=30.0),
    "fixed": facts(plan=FIXED, days=30.0),
    "bare": facts()._replace(phases=(facts().phases[0]._replace(estimates={}),)),
}
KINDS = {"ship": "SHIP", "back": "ROLL BACK", "broken": "NO VERDICT", "early": "KEEP RUNNING", "over": "INCONCLUSIVE"}


class Page(html.parser.HTMLParser):
    """What a browser would fetch, and the text that it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.shown: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.shown.append(data)


def page_of(card):
    page = Page()
    page.feed(html_report(card))
    return page


@pytest.mark.parametrize("name", CASES)
def test_no_report_says_what_nobody_may(name):
    card = scorecard(CASES[name])
    for said in (text_report(card), " ".join(page_of(card).shown)):
        assert not FORBIDDEN.search(said.replace(DOCUMENT["null"], "")), FORBIDDEN.search(said)


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_the_verdict_and_its_reason_and_its_rule_stand_on_every_report(name, kind):
    card = scorecard(CASES[name])
    (treatment,) = card.treatments
    assert treatment.verdict.kind == kind
    for said in (text_report(card), "".join(page_of(card).shown)):
        flat = " ".join(said.split())
        assert f"challenger: {kind}" in flat
        assert " ".join(treatment.verdict.reason.split()) in flat
        assert "The first that applies" in flat
    assert report_document(card)["verdicts"] == {"challenger": {"verdict": kind, "reason": treatment.verdict.reason}}


def test_no_effect_is_shown_of_a_broken_experiment():
    card = scorecard(CASES["broken"])
    assert view_of(card).treatments[0].lines == ()
    assert "less the control" not in text_report(card)
    assert report_document(card)["metrics"] == {"challenger": []}


@pytest.mark.parametrize("name", CASES)
def test_the_page_needs_nothing_else_and_escapes_what_it_is_told(name):
    card = scorecard(CASES[name])
    page = page_of(card)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe", "object", "b<"})
    assert not [value for _, attrs in page.tags for field, value in attrs.items() if field in {"src", "href", "onload"}]
    assert "&lt;script&gt;" in html_report(card)
    assert "no more calls are right &lt;b&gt;" in html_report(card)


def test_intervals_are_drawings_that_lie_within_their_frame():
    card = scorecard(CASES["ship"])
    drawings = re.findall(r"<svg class=\"interval\".*?</svg>", html_report(card), re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        root = ET.fromstring(drawing)
        places = [float(value) for part in root for field, value in part.attrib.items() if field in {"x1", "x2", "cx"}]
        assert all(0 <= place <= WIDTH for place in places)
    for line in view_of(card).treatments[0].lines:
        found = drawing_of(line)
        assert found.sequential[0] < found.fixed[0] < found.point < found.fixed[1] < found.sequential[1]


@pytest.mark.parametrize("name", CASES)
def test_the_document_is_json_and_its_facts_give_the_same_report(name):
    card = scorecard(CASES[name])
    document = json.loads(json.dumps(report_document(card), allow_nan=False))
    again = scorecard(parse_facts(document["facts"], "here"))
    assert report_document(again) == report_document(card)
    assert text_report(again) == text_report(card)
    assert html_report(again) == html_report(card)
    assert document["facts"] == json.loads(json.dumps(facts_document(card.facts)))


def test_of_two_intervals_the_one_that_the_analysis_goes_by_comes_first():
    sequential, fixed = (view_of(scorecard(CASES[name])).treatments[0].lines[0] for name in ("ship", "fixed"))
    assert sequential.interval.endswith("valid at every look")
    assert fixed.interval.endswith("valid only at the planned end")
    assert sequential.beside.endswith("valid only at the planned end")


def test_lines_of_the_text_fit_a_terminal():
    for case in CASES.values():
        prose = text_report(scorecard(case)).split("\n\n")
        assert max(map(len, itertools.chain.from_iterable(part.splitlines() for part in prose))) <= 120


HOSTILE = '<script>alert(1)</script>"&\x1b[31m'


def hostile():
    """The same facts under names that a bundle, a column or a label may have."""
    found = facts(models=MODELS, drift=DRIFT)
    models = MODELS._replace(
        classes=(HOSTILE, "1"), shadows={f"{HOSTILE} at x": one for one in MODELS.shadows.values()}
    )
    drift = tuple(one._replace(name=f"{HOSTILE}, since {HOSTILE}") for one in DRIFT)
    return found._replace(bundle=HOSTILE, models=models, drift=drift)


def test_names_cannot_become_tags_or_terminal_commands():
    card = scorecard(hostile())
    page = html_report(card)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 5
    assert "\x1b" not in text_report(card)
    assert not [tag for tag, _ in page_of(card).tags if tag == "script"]


@pytest.mark.parametrize("name", CASES)
def test_headings_go_down_one_at_a_time_and_there_is_one_title(name):
    levels = [int(tag[1]) for tag, _ in page_of(scorecard(CASES[name])).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))


@pytest.mark.parametrize("name", CASES)
def test_tables_name_their_rows_and_columns_and_drawings_say_what_they_show(name):
    page = page_of(scorecard(CASES[name]))
    assert all(attrs.get("scope") in {"col", "row"} for tag, attrs in page.tags if tag == "th")
    assert sum(tag == "table" for tag, _ in page.tags) >= 3
    for tag, attrs in page.tags:
        if tag == "svg":
            assert attrs["role"] == "img"
            assert len(attrs["aria-label"]) > 20
    assert ("html", {"lang": "en"}) in page.tags


def test_curves_are_drawn_within_their_frame_and_name_their_axes():
    card = scorecard(CASES["ship"])
    page = html_report(card)
    assert page.count("<figcaption>") == 2
    assert (page.count(">confidence</text>"), page.count(">right</text>")) == (2, 2)
    for curve in view_of(card).curves:
        drawn = curve_drawing_of(curve)
        assert len(drawn.points) == 3
        for point in drawn.points:
            assert drawn.left <= point.x <= drawn.left + drawn.side
            assert drawn.top <= point.high <= point.y <= point.low <= drawn.bottom


def test_what_was_drawn_and_what_cannot_be_told_is_said():
    said = " ".join(text_report(scorecard(CASES["ship"])).split())
    assert "From one in 4 units, drawn by a hash." in said
    assert "From one in 2 calls, drawn by a hash." in said
    for part in ("Confidence", "Accuracy by day", "next at aside", "Not told watched"):
        assert part in said, part


def test_a_report_from_before_these_parts_can_still_be_read():
    document = facts_document(CASES["ship"])
    for name in ("decay", "reliability", "scores", "one_in", "shadow_one_in"):
        del document["models"][name]
    for column in document["drift"]:
        del column["kind"], column["design_effects"]
    card = scorecard(parse_facts(document, "here"))
    assert card.treatments[0].verdict.kind == "SHIP"
    assert card.facts.models.one_in == 1


def test_the_page_is_one_main_part_with_a_background_of_its_own():
    page = html_report(scorecard(CASES["ship"]))
    assert page.count("<main>") == page.count("</main>") == 1
    assert "html { background: var(--page); }" in page
    assert "@media print" in page


def test_one_point_is_one_point():
    accuracy = PLAN.metrics["accuracy"]
    said = [amount_text(accuracy, 0.01), difference_text(accuracy, -0.01), amount_text(accuracy, 0.011)]
    assert said == ["1 point", "-1 point", "1.1 points"]
