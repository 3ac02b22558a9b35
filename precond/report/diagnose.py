"""Margins in bands, accuracy by frequency, hidden parts, and what another network knows → a page,
three CSV tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from attribution.diagnosis.frequency import Frequencies
from attribution.diagnosis.margins import SubspaceMargins
from attribution.diagnosis.prediction_difference import PredictionDifference
from precond.report.consistency import (
    TwoNetworks,
    consistency_json,
    least_known,
    orders_table,
    units_table,
)
from precond.report.evidence import Gallery, Subject, Table, Thumb
from precond.report.header import Figure
from precond.report.pages import render_page
from precond.report.plot.curves import share_chart
from precond.report.plot.pictures import row_picture, signed_picture
from precond.report.tables import csv_text

SHEETS = ("report.css", "debug.css")
UNIT_TITLES = ("Units that the other network knows least", "Units of the other one known least")


@dataclass(frozen=True, eq=False)
class HiddenParts:
    """What one input loses by marginal and by conditional draws; ``row``: its number."""

    row: int
    values: NDArray[np.floating]
    marginal: PredictionDifference
    conditional: PredictionDifference


@dataclass(frozen=True, eq=False, kw_only=True)
class Diagnosis:
    """All that was looked at; what the data does not allow is None or empty.  ``certified`` (S, N)
    stands beside ``margins.sizes``; ``rows``: the inputs of both."""

    margins: SubspaceMargins
    certified: NDArray[np.float64]
    rows: NDArray[np.int64]
    frequencies: Frequencies | None = None
    hidden: tuple[HiddenParts, ...] = ()
    against: TwoNetworks | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DiagnosePage:
    """Everything the page shows."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    margins: Table
    frequencies: Table | None
    chart: Markup | None
    strips: tuple[tuple[Thumb, ...], ...]
    orders: Table | None
    units: tuple[Table, ...]
    galleries: tuple[Gallery, ...]


def diagnose_files(
    subject: Subject, found: Diagnosis, flat: NDArray[np.floating]
) -> dict[str, str | bytes]:
    """File name → content: ``index.html``, ``margins.csv``, ``frequencies.csv``, ``hidden.csv``,
    ``consistency.json``.  ``flat``: all inputs of the data, of which some are drawn."""
    against = found.against
    sides = () if against is None else (against.own, against.other)
    page = DiagnosePage(
        title=f"Diagnosis of {subject.model}",
        lead=lead_of(found),
        facts=(("Model", subject.model), ("Data", subject.data)),
        notes=found.notes,
        figures=_figures(found),
        margins=_margins(found),
        frequencies=None if found.frequencies is None else _frequencies(found.frequencies),
        chart=None if found.frequencies is None else _chart(found.frequencies),
        strips=tuple(_strip(one, subject) for one in found.hidden),
        orders=None if against is None else orders_table(against),
        units=tuple(
            units_table(side, title) for side, title in zip(sides, UNIT_TITLES, strict=False)
        ),
        galleries=tuple(
            gallery
            for side in sides
            if against is not None
            and (gallery := least_known(against, side, subject, flat=flat)) is not None
        ),
    )
    margins = found.margins
    files: dict[str, str | bytes] = {
        "index.html": render_page("diagnose.html", page, SHEETS),
        "margins.csv": csv_text(
            ("directions", "row", "class", "certified", "found"),
            [
                (
                    name,
                    row,
                    margins.predicted[k],
                    f"{found.certified[s, k]:.6g}",
                    f"{margins.sizes[s, k]:.6g}",
                )
                for s, name in enumerate(margins.subspaces)
                for k, row in enumerate(found.rows)
            ],
        ),
    }
    if found.frequencies is not None:
        one = found.frequencies
        files["frequencies.csv"] = csv_text(
            ("radius", "low", "high"), list(zip(one.radii, one.low, one.high, strict=True))
        )
    if against is not None:
        files["consistency.json"] = consistency_json(against)
    if found.hidden:
        head = ("row", "class", "window", "marginal", "conditional")
        files["hidden.csv"] = csv_text(
            head,
            [
                (h.row, h.marginal.target, k, f"{a:.6g}", f"{b:.6g}")
                for h in found.hidden
                for k, (a, b) in enumerate(
                    zip(h.marginal.evidence, h.conditional.evidence, strict=True)
                )
            ],
        )
    return files


def lead_of(found: Diagnosis) -> str:
    """The answer in one or two sentences."""
    margins = found.margins
    bands = [k for k, name in enumerate(margins.subspaces) if name.startswith("frequencies")]
    words = f"The median change of class needs {margins.medians[0]:.3g} (ℓ2) in any direction"
    if bands:
        nearest = min(bands, key=lambda k: float(margins.medians[k]))
        words += (
            f", {margins.medians[nearest]:.3g} in {margins.subspaces[nearest]}, the nearest band"
        )
    words += "."
    one = found.frequencies
    if one is not None:
        words += (
            f" The network is right on {100 * one.whole:.1f} % of the pictures, on "
            f"{100 * one.low[0]:.1f} % of their low parts up to radius {one.radii[0]:g}, and on "
            f"{100 * one.high[0]:.1f} % of what these leave out."
        )
    if found.against is not None:
        words += f" {found.against.lead}"
    return words


def _figures(found: Diagnosis) -> tuple[Figure, ...]:
    shown = int((found.certified[0] > 0).sum())
    figures = [
        Figure(
            "Median change",
            f"{found.margins.medians[0]:.3g}",
            f"smallest found that changes the class (ℓ2), of {len(found.rows)} inputs",
        ),
        Figure(
            "✓ certified" if shown else "? certified",
            value=f"{np.median(found.certified[0]):.2g}",
            hint=f"median: no smaller change does; shown for {shown} of {len(found.rows)}",
            tone="proved" if shown else "unknown",
        ),
    ]
    if found.frequencies is not None:
        one = found.frequencies
        figures.append(
            Figure("Accuracy", f"{100 * one.whole:.1f} %", "on the whole pictures, as labelled")
        )
    return tuple(figures)


def size_words(value: float) -> str:
    """A size, or that none was found."""
    return f"{value:.3g}" if np.isfinite(value) else "none found"


def _margins(found: Diagnosis) -> Table:
    margins = found.margins
    rows = tuple(
        (
            name,
            f"{np.median(found.certified[k]):.2g}",
            size_words(float(margins.sizes[k].min())),
            size_words(float(margins.medians[k])),
            size_words(float(margins.sizes[k].max())),
        )
        for k, name in enumerate(margins.subspaces)
    )
    head = ("directions", "certified, median", "found, smallest", "median", "largest")
    remark = "ℓ2 size of a change of class along these directions only"
    return Table("How far the boundary is", remark=remark, head=head, rows=rows)


def _frequencies(one: Frequencies) -> Table:
    rows = tuple(
        (f"{radius:g}", f"{100 * low:.1f} %", f"{100 * high:.1f} %")
        for radius, low, high in zip(one.radii, one.low, one.high, strict=True)
    )
    head = ("radius", "accuracy on the low part", "on the high part")
    remark = f"{100 * one.whole:.1f} % on the whole pictures"
    return Table("Accuracy by frequency", remark=remark, head=head, rows=rows)


def _chart(one: Frequencies) -> Markup:
    points = [
        (radius, float(low), f"radius {radius:g}: {100 * low:.1f} %")
        for radius, low in zip(one.radii, one.low, strict=True)
    ]
    return share_chart(
        points,
        across="radius of the low part",
        up="accuracy",
        title="Accuracy on the low part, by its radius",
    )


def _strip(one: HiddenParts, subject: Subject) -> tuple[Thumb, ...]:
    shape = subject.image_shape
    assert shape is not None
    target, probability = one.marginal.target, one.marginal.probability
    words = f"class {target}, {100 * probability:.0f} %"
    pictures: Sequence[tuple[str, PredictionDifference]] = (
        ("marginal", one.marginal),
        ("given the rest", one.conditional),
    )
    return (
        Thumb(row_picture(one.values, shape, subject.natural), words, f"input {one.row}"),
        *(
            Thumb(
                signed_picture(found.spread(found.evidence), shape),
                caption=name,
                title=f"input {one.row}, weight of evidence, {name}",
            )
            for name, found in pictures
        ),
    )
