"""Curves: shares over time or over a count, and precision against coverage."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

from markupsafe import Markup

from precond.basics.counting import percent
from precond.report.plot.labels import axis_words, figure, share_rules
from precond.study.analysis import CurvePoint

LEFT, TOP, WIDTH, HEIGHT = 60.0, 12.0, 460.0, 240.0
STEPS = (1.0, 2.0, 5.0, 10.0)


def share_chart(
    points: Sequence[tuple[float, float, str]],
    *,
    across: str,
    up: str,
    title: str,
    end: float | None = None,
    stairs: bool = False,
) -> Markup:
    """A curve through (x, share, words) with x ≥ 0 and shares from 0 to 1; the words are shown
    at each point.  ``end``: x up to which it goes on level; ``stairs``: level between points."""
    most = max([end or 0.0, *(x for x, _, _ in points), 1e-9])
    tick = _tick(most)
    scale = WIDTH / (tick * -(-most // tick))

    def at(x: float, share: float) -> tuple[float, float]:
        return LEFT + scale * x, TOP + HEIGHT * (1 - share)

    parts = share_rules(5, LEFT, TOP, width=WIDTH, height=HEIGHT)
    value = 0.0
    while value * scale <= WIDTH + 1e-6:
        x, _ = at(value, 0)
        parts.append(
            Markup('<text class="tick mid" x="{:.1f}" y="{:.1f}">{:g}</text>').format(
                x, TOP + HEIGHT + 17, value
            )
        )
        value += tick
    line = _line([at(x, share) for x, share, _ in points], stairs)
    if end is not None and line:
        line += f"H{at(end, 0)[0]:.1f}"
    parts.append(Markup('<path class="curve" d="{}"/>').format(line))
    for x, share, words in points:
        if words:
            px, py = at(x, share)
            parts.append(
                Markup(
                    '<circle class="point" cx="{:.1f}" cy="{:.1f}" r="3.5">'
                    "<title>{}</title></circle>"
                ).format(px, py, words)
            )
    below = (LEFT + WIDTH / 2, TOP + HEIGHT + 38, across)
    parts.append(axis_words(below, (TOP + HEIGHT / 2, up)))
    return figure(parts, width=LEFT + WIDTH + 24, height=TOP + HEIGHT + 46, words=title)


def _line(places: Sequence[tuple[float, float]], stairs: bool) -> str:
    """The commands of a path through the places."""
    joint = "H{:.1f}V{:.1f}" if stairs else "L{:.1f} {:.1f}"
    return "".join((joint if k else "M{:.1f} {:.1f}").format(*at) for k, at in enumerate(places))


def _tick(most: float) -> float:
    """A round distance (1, 2 or 5 times a power of ten) that most / 6 does not exceed."""
    rough = most / 6
    power = 10.0 ** floor(log10(rough))
    return next(step * power for step in STEPS if step * power >= rough * (1 - 1e-9))


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
    below = (left + width / 2, top + height + 36, "coverage of held-out inputs")
    parts.append(axis_words(below, (top + height / 2, "precision")))
    return figure(
        parts, width=left + width + 24, height=top + height + 44, words="Precision against coverage"
    )
