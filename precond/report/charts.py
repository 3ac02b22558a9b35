"""Charts as inline SVG: coverage per class (bars) and precision against coverage (curve)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil

from markupsafe import Markup

from precond.report.drawing import shorten
from precond.study.analysis import CurvePoint

BARS = 40  # classes drawn; the table lists all


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
    parts = [
        Markup(
            '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><rect class="hatch-ground" width="6" height="6"/>'
            '<rect class="hatch-line" width="3" height="6"/></pattern></defs>'
        )
    ]
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
    return Markup(
        '<svg class="chart" role="img" aria-label="Coverage of held-out inputs per class" '
        'width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}">{2}</svg>'
    ).format(left + bar + 60, height, Markup("").join(parts))


def curve_chart(points: Sequence[CurvePoint]) -> Markup:
    """Precision (up) against coverage (right), one point per confidence threshold."""
    shown = sorted(
        ((p.coverage, p.precision, p) for p in points if p.precision is not None),
        key=lambda item: item[:2],
    )
    if not shown:
        return Markup("")
    left, top, width, height = 76.0, 14.0, 420.0, 290.0
    lowest = min(y for _, y, _ in shown)
    floor = max(0.0, (ceil(lowest * 20) - 1) / 20)

    def at(coverage: float, precision: float) -> tuple[float, float]:
        return left + width * coverage, top + height * (1 - (precision - floor) / (1 - floor))

    parts = []
    for k in range(5):
        x, y = at(k / 4, floor + (1 - floor) * k / 4)
        parts.append(
            Markup(
                '<path class="rule" d="M{0:.1f} {1:.1f}V{2:.1f}M{3:.1f} {4:.1f}H{5:.1f}"/>'
                '<text class="tick mid" x="{0:.1f}" y="{6:.1f}">{7:.0f} %</text>'
                '<text class="tick end" x="{8:.1f}" y="{9:.1f}">{10:.1f} %</text>'
            ).format(
                x,
                top,
                top + height,
                left,
                y,
                left + width,
                top + height + 16,
                25 * k,
                left - 8,
                y + 4,
                100 * (floor + (1 - floor) * k / 4),
            )
        )
    places = [at(coverage, precision) for coverage, precision, _ in shown]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    parts.append(Markup('<path class="curve" d="M{}"/>').format(line))
    for (x, y), (coverage, precision, point) in zip(places, shown, strict=True):
        parts.append(
            Markup(
                '<circle class="point" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}</title></circle>'
            ).format(
                x,
                y,
                f"training confidence ≥ {point.threshold:g}: {point.rules} rules, "
                f"coverage {percent(coverage)}, precision {percent(precision)}",
            )
        )
    parts.append(
        Markup(
            '<text class="axis mid" x="{:.1f}" y="{:.1f}">coverage of held-out inputs</text>'
            '<text class="axis mid" transform="translate(14 {:.1f}) rotate(-90)">precision</text>'
        ).format(left + width / 2, top + height + 36, top + height / 2)
    )
    return Markup(
        '<svg class="chart" role="img" aria-label="Precision against coverage" '
        'width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}">{2}</svg>'
    ).format(left + width + 24, top + height + 44, Markup("").join(parts))


def percent(share: float | None) -> str:
    """``12.3 %``; a dash where there is nothing to divide by; never rounded up to 100 %."""
    if share is None:
        return "–"
    if 0.9995 <= share < 1.0:
        return ">99.9 %"
    if 0.0 < share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if 0.0 < share < 1.0 else f"{100 * share:.0f} %"
