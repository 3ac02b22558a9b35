"""``Tcav`` and ``Dissection`` → a page and two CSV tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attribution.concepts.dissection import Dissection
from attribution.concepts.tcav import ConceptScore, Tcav
from precond.report.evidence import Gallery, Subject, Table
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.tables import csv_text

SHEETS = ("report.css", "debug.css")
UNITS = 200  # rows of the table of units


@dataclass(frozen=True)
class Extremes:
    """Inputs most and least like one concept."""

    most: Gallery
    least: Gallery


@dataclass(frozen=True, kw_only=True)
class ConceptsPage:
    """Everything the page shows."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    scores: Table | None
    units: Table | None
    galleries: tuple[Extremes, ...]


def concepts_files(
    subject: Subject,
    layer: str,
    *,
    scores: Tcav | None = None,
    dissection: Dissection | None = None,
    galleries: tuple[Extremes, ...] = (),
    notes: tuple[str, ...] = (),
) -> dict[str, str | bytes]:
    """File name → content: ``index.html``, and ``tcav.csv`` and ``units.csv`` where known."""
    figures = (*_score_figures(scores), *_unit_figures(dissection))
    page = ConceptsPage(
        title=f"Concepts in {layer} of {subject.model}",
        lead=lead_of(scores, dissection),
        facts=(("Model", subject.model), ("Data", subject.data), ("Layer", layer)),
        notes=notes,
        figures=figures,
        scores=None if scores is None else _scores(scores),
        units=None if dissection is None else _units(dissection),
        galleries=galleries,
    )
    files: dict[str, str | bytes] = {"index.html": render_page("concepts.html", page, SHEETS)}
    if scores is not None:
        head = (
            "concept",
            "class",
            "tcav",
            "usual",
            "spread",
            "slope",
            "p_scores",
            "p_case",
            "corrected",
        )
        files["tcav.csv"] = csv_text(
            (*head, "significant"), [(*_numbers(one), int(one.significant)) for one in scores.table]
        )
    if dissection is not None:
        files["units.csv"] = csv_text(
            ("unit", "threshold", *dissection.concepts, "concept", "p", "significant"),
            [
                (
                    unit,
                    f"{dissection.thresholds[unit]:.6g}",
                    *(f"{value:.6g}" for value in line),
                    dissection.names.get(unit),
                    f"{dissection.best(unit)[1]:.6g}",
                    int(unit in dissection.significant),
                )
                for unit, line in enumerate(dissection.overlap)
            ],
        )
    return files


def lead_of(scores: Tcav | None, dissection: Dissection | None) -> str:
    """The answer in one or two sentences."""
    words = []
    if scores is not None:
        clear = sum(one.significant for one in scores.table)
        tests = len(scores.table)
        words.append(
            f"{clear} of {tests} pairs of a concept and a class are significant: the concept moves "
            "the class more than random inputs do."
            if clear
            else f"None of {tests} pairs of a concept and a class is significant: no concept moves "
            "a class more than random inputs do."
        )
    if dissection is not None:
        words.append(
            f"{len(dissection.names)} of {len(dissection.overlap)} units detect one of the "
            f"{len(dissection.concepts)} concepts; for {len(dissection.significant)} of them that "
            "is significant: more than shuffled masks give."
        )
        if dissection.rotated:
            share = float(np.mean(dissection.rotated))
            fewer = share < dissection.interpretable
            words.append(
                f"Of random directions of the layer {100 * share:.0f} % do: "
                + ("single units stand out." if fewer else "single units do not stand out.")
            )
    return " ".join(words)


def _numbers(one: ConceptScore) -> tuple[object, ...]:
    values = (one.score, one.usual, one.spread, one.slope, one.p_scores, one.p_case, one.corrected)
    return (one.concept, one.label, *(f"{value:.6g}" for value in values))


def _score_figures(scores: Tcav | None) -> tuple[Figure, ...]:
    if scores is None:
        return ()
    clear = sum(one.significant for one in scores.table)
    accuracy = min(scores.vectors.items(), key=lambda item: item[1].accuracy)
    return (
        Figure("Significant", f"{clear} of {len(scores.table)}", "pairs of a concept and a class"),
        Figure(
            "Hardest concept",
            f"{100 * accuracy[1].accuracy:.0f} %",
            f"{accuracy[0]}: its examples told from random inputs (50 % is chance)",
        ),
    )


def _unit_figures(dissection: Dissection | None) -> tuple[Figure, ...]:
    if dissection is None:
        return ()
    figures = [
        Figure(
            "Units with a name",
            f"{100 * dissection.interpretable:.0f} %",
            f"detect a concept: IoU above {dissection.detects:g}; "
            f"{len(dissection.significant)} of {len(dissection.names)} significant",
        )
    ]
    if dissection.rotated:
        figures.append(
            Figure(
                "Random directions",
                f"{100 * np.mean(dissection.rotated):.0f} %",
                f"detect one, in the mean of {len(dissection.rotated)} rotations of the layer",
            )
        )
    return tuple(figures)


def _scores(scores: Tcav) -> Table:
    order = sorted(scores.table, key=lambda one: (not one.significant, one.corrected, one.concept))
    rows = tuple(
        (
            one.concept,
            str(one.label),
            f"{one.score:.2f}",
            f"{one.usual:.2f} ± {one.spread:.2f}",
            f"{one.corrected:.2g}",
            "significant" if one.significant else "not significant",
        )
        for one in order
    )
    remark = "share of the class's inputs whose score the concept would raise"
    head = ("concept", "class", "TCAV", "random sets", "p, corrected", "")
    return Table("TCAV scores", remark=remark, head=head, rows=rows)


def _units(dissection: Dissection) -> Table:
    best = dissection.overlap.argmax(1)
    values = dissection.overlap.max(1)
    order = np.argsort(-values, kind="stable")[:UNITS]
    rows = tuple(
        (
            str(unit),
            _name(dissection, int(unit)),
            f"{values[unit]:.3f}",
            f"{dissection.best(int(unit))[1]:.2g}",
            dissection.concepts[best[unit]],
        )
        for unit in order
    )
    remark = f"largest overlap first; named above {dissection.detects:g}"
    head = ("unit", "detects", "IoU", "p, corrected", "nearest concept")
    return Table("Units", remark=remark, head=head, rows=rows)


def _name(dissection: Dissection, unit: int) -> str:
    """The concept a unit detects, and whether that is more than chance."""
    name = dissection.names.get(unit)
    if name is None:
        return "–"
    return name if unit in dissection.significant else f"{name} (not significant)"
