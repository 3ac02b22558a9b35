"""The report: self-contained, escaped, complete, and alive in a browser."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from clocks import slow_but
from PIL import Image
from report_sample import digits_analysis

from precond.basics.counting import percent
from precond.errors import DataError, OutputError
from precond.network.graph import Network
from precond.network.layers import Affine, Conv2d, Node, ReLU
from precond.proof.precondition import Kind
from precond.proof.verdict import Status, Verdict
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.radius import Radius
from precond.region.recording import record
from precond.region.unit_names import LayerNames, UnitNames
from precond.region.value_ranges import ValueRanges
from precond.report.analysis.first_page import is_single
from precond.report.analysis.view import chosen_for_drawing, make_page
from precond.report.analysis.write import render, write_report
from precond.report.coverage import class_coverage, match_held_out, rules_overall
from precond.report.plot.bars import Series
from precond.report.plot.curves import curve_chart
from precond.report.plot.pattern import draw_pattern, literal_lines
from precond.report.plot.pictures import (
    CELL,
    GROUND,
    LIGHT,
    OFF,
    ON,
    maps_picture,
    phase_picture,
    row_picture,
)
from precond.study.analysis import Analysis, CurvePoint, Domain
from precond.study.goals import GoalKind
from precond.study.store import to_json

HOSTILE = "</script><script>alert(1)</script><img src=x onerror='a()'>\"&"
VOID = {"meta", "img", "input", "link", "br", "hr"}


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return digits_analysis()


class Elements(HTMLParser):
    """Every element with its attributes, what a script or style holds, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def picture(uri: str) -> np.ndarray:
    head, data = uri.split(",", 1)
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def hostile(analysis: Analysis) -> Analysis:
    first, second, *rest = analysis.preconditions
    first = dataclasses.replace(
        first,
        id=HOSTILE,
        label=HOSTILE,
        note=HOSTILE,
        property=None,
        verdict=Verdict(Status.UNKNOWN, HOSTILE, reason=HOSTILE),
    )
    return dataclasses.replace(
        analysis,
        model=Path("models") / HOSTILE.replace("/", "∕"),
        data=dataclasses.replace(analysis.data, name=HOSTILE),
        property=HOSTILE,
        notes=(HOSTILE,),
        preconditions=(first, second, *rest),
    )


@pytest.mark.parametrize("images", [True, False])
def test_elements_nest_and_nothing_is_fetched(images: bool) -> None:
    text = render(digits_analysis(images=images))
    page = Elements(text)
    assert page.open == []
    for tag, attributes in page.found:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#")), (tag, value)
        assert "style" not in attributes  # the page's own policy would ignore it
        assert not any(name.startswith("on") for name in attributes)
    assert not page.named("link")
    assert "@import" not in text and "url(http" not in text
    assert len(page.named("script")) == len(page.named("style")) == 1


def test_units_are_named_by_their_concepts(analysis: Analysis) -> None:
    """On the first page and in the literals of a card."""
    names = UnitNames({"relu2": LayerNames(dict.fromkeys(range(100), "loop"))}, "")
    page = make_page(dataclasses.replace(analysis, unit_names=names))
    words = [one.words for line in page.first.rules for one in line.literals]
    assert words and all(text.endswith(" · loop") for text in words)
    card = next(row.card for row in page.rows if row.kind == Kind.LAYER.value)
    assert all("(loop)" in line for line in card.literals)
    plain = make_page(analysis)
    assert not any("loop" in one.words for line in plain.first.rules for one in line.literals)


def test_hostile_names_stay_text(analysis: Analysis) -> None:
    text = render(hostile(analysis))
    page = Elements(text)
    assert len(page.named("script")) == 1
    assert all((i["src"] or "").startswith("data:") for i in page.named("img"))
    assert text.count("<script") == 1 and "<script>alert" not in text
    assert page.text.count("<script>alert(1)</script>") >= 8
    row = next(tr for tr in page.named("tr") if tr.get("data-label") == HOSTILE)
    assert row["data-id"] == HOSTILE


def test_policy_allows_only_the_inlined_script_and_style(analysis: Analysis) -> None:
    text = render(analysis)
    policy = next(m["content"] for m in Elements(text).named("meta") if "http-equiv" in m)
    assert policy is not None and "default-src 'none'" in policy
    for tag in ("script", "style"):
        inner = re.search(f"<{tag}>(.*?)</{tag}>", text, re.S)
        assert inner is not None
        digest = base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_header_and_figures_count_what_is_there(analysis: Analysis) -> None:
    page = make_page(analysis)
    figures = {f.label: f.value for f in page.figures}
    statuses = [p.verdict.status for p in analysis.preconditions]
    proved = sum(s is Status.PROVED for s in statuses)
    assert figures["layer rules"] == "20" and figures["input preconditions"] == "10"
    assert figures["✓ unconfirmed"] == "1"  # I7
    assert figures["✓ proved"] == str(proved - 1)
    assert figures["✗ refuted"] == str(statuses.count(Status.REFUTED))
    assert figures["≈ empirical"] == str(statuses.count(Status.EMPIRICAL))
    assert figures["∅ vacuous"] == str(statuses.count(Status.VACUOUS))
    facts = dict(page.facts)
    assert facts["Content hash"] == analysis.network.hash[:12]
    assert "124 neurons" in facts["Network"] and "1200 inputs to learn from" in facts["Data"]
    right = analysis.signatures.predicted == analysis.data.labels
    assert facts["Accuracy"].endswith(f"{100 * right[1200:].mean():.1f} % held out")
    assert facts["Time"] == "1 min 24 s of a budget of 2 min 00 s"
    text = Elements(render(analysis)).text
    assert "Interrupted." in text
    assert "Interrupted." not in render(dataclasses.replace(analysis, interrupted=False))


def test_coverage_matches_a_loop_over_inputs(analysis: Analysis) -> None:
    found = {c.label: c for c in class_coverage(analysis, match_held_out(analysis))}
    assert list(found) == [str(k) for k in range(10)]
    labels = analysis.data.labels
    assert labels is not None
    rows = [r for r in analysis.data.held_out if labels[r] == 6]
    own = [p for p in analysis.preconditions if p.label == "6"]

    def has(pattern: DecisionPattern, row: int) -> bool:
        return all(
            analysis.signatures.values(layer)[row, i] > 0 for layer, i in pattern.on
        ) and all(analysis.signatures.values(layer)[row, i] <= 0 for layer, i in pattern.off)

    covered = sum(any(p.kind is Kind.LAYER and has(p.pattern, r) for p in own) for r in rows)
    assert found["6"].inputs == len(rows) and found["6"].rules == 2
    assert found["6"].by_rules == pytest.approx(covered / len(rows))
    assert covered > 0


def test_a_proof_covers_only_inputs_in_its_own_box(analysis: Analysis) -> None:
    item = next(p for p in analysis.preconditions if p.id == "I6")
    rows = analysis.data.held_out[item.pattern.holds(analysis.signatures)[analysis.data.held_out]]
    assert len(rows) == 2
    for domain, inside in ((Box.around(analysis.data.inputs[rows[:1]]), 1), (None, 2)):
        small = dataclasses.replace(
            analysis, preconditions=(dataclasses.replace(item, domain=domain),)
        )
        match = match_held_out(small)[0]
        assert (match.pattern.sum(), match.inside.sum()) == (2, inside)


def test_overall_figures_come_from_the_curve_or_by_counting(analysis: Analysis) -> None:
    matches = match_held_out(analysis)
    assert rules_overall(analysis, matches) == (0.91, 0.842)
    rules = [p for p in analysis.preconditions if p.kind is Kind.LAYER]
    without = dataclasses.replace(analysis, curve=())
    coverage, precision = rules_overall(without, matches)
    held = np.array([p.pattern.holds(analysis.signatures)[1200:] for p in rules])
    predicted = analysis.signatures.predicted[1200:]
    right = held & (predicted[None, :] == np.array([[int(p.label)] for p in rules]))
    assert coverage == pytest.approx(held.any(axis=0).mean())
    assert precision == pytest.approx(right.sum() / held.sum())


def in_balls(analysis: Analysis) -> Analysis:
    """The same with every input precondition over its ball; I6 needs no neuron, has no bound."""
    items = tuple(
        dataclasses.replace(
            p,
            pattern=DecisionPattern(frozenset()),
            verdict=dataclasses.replace(p.verdict, bound=None),
        )
        if p.id == "I6"
        else p
        for p in analysis.preconditions
    )
    domain = Domain.balls(Radius(0.3), ValueRanges.uniform(64, (0, 1)))
    return dataclasses.replace(analysis, domain=domain, preconditions=items)


def test_ball_run_says_what_each_kind_is_claimed_over(analysis: Analysis) -> None:
    page = make_page(in_balls(analysis))
    assert dict(page.facts)["Domain"] == (
        "layer rules: [0, 1] for every input; "
        "input preconditions: L∞ ball of radius 0.3 around each input"
    )
    cards = {row.id: row.card for row in page.rows}
    source = next(p.source for p in analysis.preconditions if p.id == "I7")
    assert cards["I7"].claim.endswith(f"(over the L∞ ball of radius 0.3 around input {source})")
    assert cards["L0-7"].claim.endswith("(over [0, 1] for every input)")
    facts = dict(make_page(analysis).facts)
    assert facts["Domain"] == "claims are about [0, 1] for every input"


def test_ball_run_charts_layer_rules_only(analysis: Analysis) -> None:
    page = make_page(in_balls(analysis))
    assert page.series == (Series.RULES,) and "hatched" not in page.bars
    assert "ball around one training input" in page.bars_note
    other = make_page(analysis)
    assert other.series == tuple(Series) and not other.bars_note
    assert other.bars.count('class="hatched"') == other.bars.count('class="solid"') == 10


def test_no_neuron_needed_is_said_and_counted(analysis: Analysis) -> None:
    page = make_page(in_balls(analysis))
    figure = next(f for f in page.figures if f.label == "input preconditions")
    assert figure.hint == "of these 1 need no neuron: the whole ball proves"
    row = next(row for row in page.rows if row.id == "I6")
    assert row.layers == "no neuron needed" and row.cells[0].text == "0"
    assert row.card.unconstrained == "No neuron needed: every input of its ball has the property."
    assert "Proved margin" not in dict(row.card.facts)
    assert row.card.drawing is None
    assert [g.title for g in row.card.galleries] == [
        "Input it was found from",
        "Box inside the region",
    ]


def test_inputs_anywhere_and_inside_the_ball_are_told_apart(analysis: Analysis) -> None:
    run = in_balls(analysis)
    entry = next(p for p in run.preconditions if p.id == "I5")
    held = np.isin(np.arange(1797), run.data.held_out)
    has = entry.pattern.holds(run.signatures) & held
    assert entry.domain is not None
    inside = has & entry.domain.contains(run.data.inputs)
    row = next(row for row in make_page(run).rows if row.id == "I5")
    facts = dict(row.card.facts)
    assert facts["Held-out inputs with this pattern (anywhere)"] == str(has.sum())
    assert facts["Of these, inside its ball too"] == str(inside.sum()) == row.cells[2].text


def test_table_shows_proved_first_then_by_support(analysis: Analysis) -> None:
    rows = make_page(analysis).rows
    order = ["proved", "unknown", "refuted", "vacuous", "empirical"]
    places = [(order.index(row.status), -int(row.cells[2].text)) for row in rows]
    assert places == sorted(places) and {row.status for row in rows} == set(order)


def test_table_agrees_with_the_json_file(analysis: Analysis) -> None:
    run = in_balls(analysis)
    stored = {p["id"]: p for p in to_json(run)["preconditions"]}
    page = make_page(run)
    assert len(page.rows) == len(stored)
    for row in page.rows:
        entry = stored[row.id]
        support = entry["support"]
        literals = sum(len(part) for part in entry["pattern"].values())
        assert [cell.text for cell in row.cells[:3]] == [
            str(n) for n in (literals, support["train"], support["held_out"])
        ]
        shown = [cell.text for cell in row.cells[3:5]]
        assert shown == [percent(support["precision"]), percent(support["recall"])]
        assert row.status == entry["verdict"]["status"]
        facts = dict(row.card.facts)
        inside = next((v for k, v in facts.items() if k.lower().find("inside its ball") >= 0), None)
        assert inside in (None, str(support["held_out"])) and (inside is None) == row.id.startswith(
            "L"
        )


def test_last_proof_is_shown_with_the_number_of_proofs(analysis: Analysis) -> None:
    page = make_page(analysis)
    cells = {row.id: row.cells[5] for row in page.rows}
    assert cells["I6"].text == "1.2 s (17 proofs)" and cells["I6"].order == 1.204
    assert "last proof" in cells["I6"].title
    assert cells["L0-7"].text == "1.2 s"
    text = render(analysis)
    assert "time of the last proof only" in text


def about_correctness(analysis: Analysis) -> Analysis:
    """Layer rules for correct predictions and none for wrong ones."""
    first = analysis.preconditions[0]
    rule = dataclasses.replace(
        first, label="correct", property=None, verdict=Verdict(Status.EMPIRICAL)
    )
    return dataclasses.replace(analysis, goal=GoalKind.CORRECTNESS, preconditions=(rule,))


def test_correctness_has_its_own_classes(analysis: Analysis) -> None:
    run = about_correctness(analysis)
    labels = run.data.labels
    assert labels is not None
    held = run.data.held_out
    right = run.signatures.predicted[held] == labels[held]
    page = make_page(run)
    assert [c.label for c in page.classes] == ["correct", "misclassified"]
    assert [c.inputs for c in page.classes] == [right.sum(), (~right).sum()]
    has = run.preconditions[0].pattern.holds(run.signatures)[held]
    assert page.classes[0].by_rules == pytest.approx((has & right).sum() / right.sum())
    assert page.classes[1].by_rules == 0.0
    assert page.series == (Series.RULES,)
    assert "(its true label)" not in render(run)


def test_a_question_is_not_read_from_its_name(analysis: Analysis) -> None:
    """A property's file may be called what another question is called."""
    run = dataclasses.replace(
        about_correctness(analysis), property="misclassified", goal=GoalKind.PROPERTY
    )
    assert [c.label for c in make_page(run).classes] == ["correct"]


def test_no_rules_no_chart(analysis: Analysis) -> None:
    run = dataclasses.replace(about_correctness(analysis), preconditions=(), curve=())
    text = render(run)
    assert '<svg class="chart"' not in text and "No chart: there are no layer rules" in text
    assert make_page(run).classes == ()


def test_card_of_a_refuted_claim_shows_witness_and_prediction(analysis: Analysis) -> None:
    row = next(r for r in make_page(analysis).rows if r.id == "I4")
    facts = dict(row.card.facts)
    assert facts["Answer"] == "refuted" and facts["Proofs to find it"] == "17"
    gallery = next(g for g in row.card.galleries if g.title.startswith("Witness"))
    witness = analysis.preconditions[14].verdict.witness
    assert witness is not None
    y = analysis.signatures.outputs[3]  # the sample's witness is input 3
    assert gallery.thumbs[0].caption == f"witness → {int(y.argmax())}"
    assert facts["Outputs at the witness"].startswith(f"y0 = {y[0]:.4g}")
    assert np.array_equal(
        picture(gallery.thumbs[0].uri), np.rint(witness.reshape(8, 8) * 255).astype(np.uint8)
    )
    assert row.card.attempts[1] == ("branch", "1.2 s", "refuted")


def test_misclassified_inputs_carry_true_and_predicted_label(analysis: Analysis) -> None:
    labels, predicted = analysis.data.labels, analysis.signatures.predicted
    assert labels is not None
    item = next(p for p in analysis.preconditions if p.id == "L6-7")
    wrong = np.flatnonzero(item.pattern.holds(analysis.signatures) & (labels != predicted))
    card = next(r.card for r in make_page(analysis).rows if r.id == "L6-7")
    gallery = next(g for g in card.galleries if g.title.startswith("Misclassified"))
    assert {t.caption for t in gallery.thumbs} == {f"{labels[r]} → {predicted[r]}" for r in wrong}
    assert gallery.remark == f"{len(wrong)} in all"


def test_other_data_than_images_gets_tables_of_ranges() -> None:
    analysis = digits_analysis(images=False)
    card = next(r.card for r in make_page(analysis).rows if r.id == "I6")
    table = card.tables[0]
    held = np.isin(np.arange(1797), analysis.data.held_out)
    item = next(p for p in analysis.preconditions if p.id == "I6")
    rows = analysis.data.inputs[item.pattern.holds(analysis.signatures) & held]
    assert card.galleries == ()
    assert table.head == ("input", "lowest", "mean", "highest", "box from", "box to")
    assert len(table.rows) == 40 and "first 40 of 64" in table.remark
    assert table.rows[3][1:4] == tuple(
        f"{v:.4g}" for v in (rows[:, 3].min(), rows[:, 3].mean(), rows[:, 3].max())
    )


def test_drawing_marks_each_neuron_once_by_state() -> None:
    network = Network(
        (
            Node("a", Affine(np.ones((5, 2)), np.zeros(5)), ("input",)),
            Node("narrow", ReLU(), ("a",)),
            Node("b", Affine(np.ones((100, 5)), np.zeros(100)), ("narrow",)),
            Node("wide<&", ReLU(), ("b",)),
        ),
        (2,),
    )
    pattern = DecisionPattern(
        frozenset({("narrow", 0), ("narrow", 2), ("wide<&", 7)}),
        frozenset({("narrow", 4)}),
        frozenset({("wide<&", 9, 0.5)}),
    )
    svg = str(draw_pattern(network, pattern, "3"))
    marks: dict[str, int] = {}
    for state, path in re.findall(r'<path class="(\w+)" stroke-width="[\d.]+" d="([^"]*)"', svg):
        marks[state] = marks.get(state, 0) + path.count("M")
    assert marks == {"on": 3, "off": 1, "hole": 1, "bounded": 1, "free": 2 + 98}
    assert "wide&lt;&amp;" in svg and "wide<" not in svg
    assert "3 neurons on, 1 off, 1 bounded by a value" in svg
    assert literal_lines(pattern) == (
        "narrow on: 0, 2",
        "narrow off: 4",
        "wide<& on: 7",
        "wide<&: z9 > 0.5",
    )


def test_convolutional_layers_are_maps() -> None:
    """Two maps of 2×2 with two pixels between: the first neuron of the first is on, the
    last of the second off, the others are the faint ground of their maps."""
    phases = np.zeros((2, 2, 2), dtype=np.int8)
    phases[0, 0, 0], phases[1, 1, 1] = 1, -1
    uri, width, height = maps_picture(phases)
    pixels = picture(uri)
    assert pixels.shape == (height, width, 4) == (2, 6, 4)
    assert tuple(pixels[0, 0]) == (*ON, 255) and tuple(pixels[1, 5]) == (*LIGHT, 255)
    assert tuple(pixels[1, 0]) == tuple(pixels[0, 4]) == GROUND
    assert not pixels[:, 2:4].any()
    network = Network(
        (
            Node("c", Conv2d(np.ones((2, 1, 1, 1)), np.zeros(2)), ("input",)),
            Node("r", ReLU(), ("c",)),
        ),
        (1, 2, 2),
    )
    pattern = DecisionPattern(frozenset({("r", 0)}), frozenset({("r", 7)}))
    svg = str(draw_pattern(network, pattern, "3"))
    assert uri in svg and "2 maps 2×2" in svg


def test_long_patterns_are_cut_in_words() -> None:
    pattern = DecisionPattern(frozenset(("r", i) for i in range(45)))
    assert literal_lines(pattern)[0].endswith("38, 39 … and 5 more")


def test_phase_picture_fills_on_hollows_off_and_leaves_free_clear() -> None:
    uri, columns, rows = phase_picture(np.array([1, -1, 0], dtype=np.int8))
    pixels = picture(uri)
    assert (columns, rows) == (2, 2) and pixels.shape == (2 * CELL, 2 * CELL, 4)
    assert tuple(pixels[1, 1]) == (*ON, 255)
    assert tuple(pixels[0, CELL]) == (*OFF, 255) and pixels[1, CELL + 1, 3] == 0
    assert not pixels[CELL:, :, 3].any()


def test_row_picture_scales_clips_and_orders_channels() -> None:
    grey = picture(row_picture([-1.0, 0.0, 0.5, 9.0], (2, 2), (0.0, 1.0)))
    assert grey.tolist() == [[0, 0], [128, 255]]
    colour = picture(row_picture([1.0, 0.0, 0.0, 1.0, 0.0, 0.0], (3, 1, 2), (0.0, 1.0)))
    assert colour.tolist() == [[[255, 0, 0], [0, 255, 0]]]
    two = picture(row_picture([0.0, 1.0], (2, 1, 1), (0.0, 1.0)))
    assert two.tolist() == [[128]]
    assert picture(row_picture(np.zeros(200 * 100), (200, 100), (0, 1))).shape == (64, 32)
    with pytest.raises(DataError, match=r"expected 4 values .* got 3 values"):
        row_picture([0.0, 1.0, 2.0], (2, 2), (0.0, 1.0))


def test_pictures_go_round_the_classes_by_support(analysis: Analysis) -> None:
    items = analysis.preconditions
    assert chosen_for_drawing(items) == set(range(30))
    chosen = chosen_for_drawing(items, 10)
    assert sorted(items[k].label for k in chosen) == [str(k) for k in range(10)]
    proved = {p.label for p in items if p.verdict.status is Status.PROVED}
    for k in chosen:
        own = [p for p in items if p.label == items[k].label]
        if items[k].label in proved:
            assert items[k].verdict.status is Status.PROVED
            own = [p for p in own if p.verdict.status is Status.PROVED]
            assert items[k].support.held_out == max(p.support.held_out for p in own)
    assert items[next(iter(chosen_for_drawing(items, 1)))].label == "0"


def test_percent_never_rounds_to_certainty() -> None:
    shares = [None, 0.0, 0.0001, 0.1234, 0.9996, 1.0]
    assert [percent(s) for s in shares] == ["–", "0 %", "<0.1 %", "12.3 %", ">99.9 %", "100 %"]


def test_curve_leaves_out_points_without_precision() -> None:
    points = (CurvePoint(0.5, 3, 0.5, 0.9), CurvePoint(1.0, 0, 0.0, None))
    svg = str(curve_chart(points))
    assert svg.count("<circle") == 1 and "3 rules, coverage 50.0 %, precision 90.0 %" in svg
    assert curve_chart(points[1:]) == ""


def test_little_data_still_gives_a_report(analysis: Analysis) -> None:
    """No labels, nothing held out, a layer that was not recorded, no rows."""
    none = np.zeros(0, dtype=np.int64)
    bare = dataclasses.replace(analysis.data, labels=None, parts=(analysis.data.train, none))
    first = dataclasses.replace(
        analysis.preconditions[0], pattern=DecisionPattern(frozenset({("relu1", 0)}))
    )
    partly = record(analysis.network, analysis.data.inputs, ["relu2"])
    text = render(
        dataclasses.replace(
            analysis,
            data=bare,
            signatures=partly,
            curve=(),
            preconditions=(first, *analysis.preconditions[1:]),
        )
    )
    assert "not recorded" in text and "No curve" in text
    assert "None were found" in render(dataclasses.replace(analysis, preconditions=(), curve=()))


def test_a_place_that_cannot_be_written(analysis: Analysis, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"report .*missing.*: expected a file"):
        write_report(analysis, tmp_path / "missing" / "report.html")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="can be written"):
        write_report(analysis, tmp_path / "taken")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]  # no temporary file stays


def test_names_that_are_not_text_are_written(analysis: Analysis, tmp_path: Path) -> None:
    write_report(dataclasses.replace(analysis, model=Path("a\udcff.onnx")), tmp_path / "r.html")
    assert r"a\udcff.onnx" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_five_hundred_preconditions_are_one_page_of_a_few_megabytes() -> None:
    analysis = digits_analysis(copies=17)
    text = render(analysis)
    assert len(text) < 8_000_000
    assert "the other 310 are described in words" in text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to open the page in")
@pytest.mark.parametrize("copies", slow_but((1,), (1, 67)))
def test_browser_sorts_filters_and_opens(copies: int, tmp_path: Path) -> None:
    analysis = digits_analysis(copies=copies)
    analysis = dataclasses.replace(
        analysis,
        preconditions=tuple(
            dataclasses.replace(p, id=f"P{k}") for k, p in enumerate(analysis.preconditions)
        ),
    )
    path = tmp_path / "report.html"
    write_report(analysis, path)
    opened = next(
        p.id
        for p in analysis.preconditions
        if p.verdict.status is Status.PROVED and not is_single(p)
    )
    address = f"{path.as_uri()}#sort=held_out&dir=descending&status=proved&open={opened}"
    result = subprocess.run(
        [
            "chromium",
            *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
            *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            address,
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if "<html" not in result.stdout:
        pytest.skip("chromium does not run here")
    page = Elements(result.stdout)
    root = page.named("html")[0]
    several = sum(not is_single(p) for p in analysis.preconditions)
    assert several == 21 * copies  # nine of ten balls hold one input only, and stand apart
    assert root["data-ready"] == "yes" and root["data-rows"] == str(several)
    support = {p.id: p.support.held_out for p in analysis.preconditions}
    rows = [tr for tr in page.named("tr") if tr.get("class") == "row"]
    order = [support[tr["data-id"] or ""] for tr in rows]
    assert order == sorted(order, reverse=True)
    shown = [tr for tr in rows if "hidden" not in tr]
    assert {tr["data-status"] for tr in shown} == {"proved"}
    assert root["data-shown"] == str(len(shown))
    assert f"{len(shown)} of {several} preconditions" in page.text
    cards = [tr for tr in page.named("tr") if tr.get("class") == "card-row"]
    assert sum("hidden" not in tr for tr in cards) == 1
    head = next(th for th in page.named("th") if th.get("data-key") == "held_out")
    assert head["aria-sort"] == "descending"
