"""Bars: coverage of each class, and the outputs for one input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.basics.counting import percent
from precond.data.dataset import class_name
from precond.report.plot.labels import figure, shorten, stripes

BARS = 40  # classes drawn; the table lists all
SCORES = 12  # outputs drawn


class Series(Enum):
    """What covers the inputs of a class; the value is the word for it."""

    RULES = "layer rules"
    PROOFS = "proved input preconditions"

    @property
    def style(self) -> str:
        """Its class in the style sheet."""
        return "solid" if self is Series.RULES else "hatched"


@dataclass(frozen=True)
class ClassCoverage:
    """Of ``inputs`` held-out inputs of a class, the shares covered (None where there are none)."""

    label: str
    inputs: int
    rules: int
    by_rules: float | None
    proved: int
    by_proofs: float | None

    def share(self, series: Series) -> float | None:
        """The share of inputs that ``series`` covers."""
        return self.by_rules if series is Series.RULES else self.by_proofs

    def count(self, series: Series) -> int:
        """How many preconditions ``series`` has in this class."""
        return self.rules if series is Series.RULES else self.proved


def bar_chart(classes: Sequence[ClassCoverage], series: Sequence[Series]) -> Markup:
    """One bar per class and series: solid for layer rules, hatched for input preconditions."""
    left, bar, top = 112.0, 380.0, 8.0
    step = 6.0 + 14.0 * len(series)
    height = top + step * len(classes) + 22
    parts = [stripes("hatch", ground="hatch-ground", line="hatch-line", width=3)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + bar * tick
        parts.append(
            Markup(
                '<path class="rule" d="M{0:.1f} {1:.1f}V{2:.1f}"/>'
                '<text class="tick mid" x="{0:.1f}" y="{3:.1f}">{4:.0f} %</text>'
            ).format(x, top, height - 20, height - 6, 100 * tick)
        )
    for index, item in enumerate(classes):
        y = top + step * index + 3
        parts.append(
            Markup('<text class="name" x="{:.1f}" y="{:.1f}">{}<title>{}</title></text>').format(
                left - 10, y + 4 + 7 * len(series), shorten(item.label, 14), item.label
            )
        )
        for position, one in enumerate(series):
            offset, share = 14.0 * position, item.share(one)
            length = bar * (share or 0.0)
            parts.append(
                Markup(
                    '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="12" rx="2">'
                    "<title>{}: {} of {} inputs of {}</title></rect>"
                    '<text class="value" x="{:.1f}" y="{:.1f}">{}</text>'
                ).format(
                    one.style,
                    left,
                    y + offset,
                    max(length, 1.0),
                    one.value,
                    percent(share),
                    item.inputs,
                    item.label,
                    left + length + 6,
                    y + offset + 10,
                    percent(share),
                )
            )
    return figure(
        parts, width=left + bar + 60, height=height, words="Coverage of held-out inputs per class"
    )


def score_chart(
    outputs: NDArray[np.float64],
    label: int,
    predicted: int,
    *,
    classes: Sequence[str] | None = None,
) -> Markup:
    """The largest outputs as bars from their common zero, true and predicted class marked."""
    order = [int(k) for k in np.argsort(-outputs, kind="stable")[:SCORES]]
    if label not in order:
        order[-1] = label
    low, high = min(0.0, float(outputs[order].min())), max(0.0, float(outputs[order].max()))
    span = (high - low) or 1.0
    names = [shorten(class_name(k, classes), 14) for k in order]
    width, step = 220.0, 19.0
    left = 70.0 + 7.0 * max(map(len, names), default=0) + 7.0

    def x(value: float) -> float:
        return left + width * (value - low) / span

    parts = [Markup('<path class="rule" d="M{:.1f} 0V{:.1f}"/>').format(x(0), step * len(order))]
    for row, k in enumerate(order):
        value, y = float(outputs[k]), step * row
        word = {predicted: " predicted", label: " true"}.get(k, "")
        kind = "wrongly" if k == predicted else "truly" if k == label else "other"
        parts.append(
            Markup(
                '<text class="name end" x="{:.1f}" y="{:.1f}">{}{}</text>'
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="12" rx="2"/>'
                '<text class="value" x="{:.1f}" y="{:.1f}">{:.3g}</text>'
            ).format(
                left - 6,
                y + 12,
                names[row],
                word,
                kind,
                min(x(0), x(value)),
                y + 2,
                max(abs(x(value) - x(0)), 1.0),
                left + width + 8,
                y + 12,
                value,
            )
        )
    return figure(
        parts, width=left + width + 60, height=step * len(order) + 2, words="Outputs", kind="small"
    )
