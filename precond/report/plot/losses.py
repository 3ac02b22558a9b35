"""What early answers cost: points of accuracy lost over the share of inputs answered early."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from precond.report.plot.labels import figure

LEFT, TOP, WIDTH, HEIGHT, NAMES = 64.0, 12.0, 460.0, 240.0, 220.0
STROKES = ("", "7 4", "2 4")  # of the first, second and third curve

Points = Sequence[tuple[float, float]]


def loss_chart(
    curves: Sequence[tuple[str, Points, tuple[float, float] | None]], allowed: float
) -> Markup:
    """Up to three curves of (share from 0 to 1, points lost), each with the place that was chosen
    on it, if there is one; the loss ``allowed`` is a level line."""
    values = [lost for _, points, _ in curves for _, lost in points]
    high = max([2 * allowed, 0.5, *(min(v, 20 * max(allowed, 0.5)) for v in values)])
    low = min([0.0, *(max(v, -high) for v in values)])

    def at(share: float, lost: float) -> tuple[float, float]:
        clipped = min(max(lost, low), high)
        return LEFT + WIDTH * share, TOP + HEIGHT * (high - clipped) / (high - low)

    parts = _frame(at, low, high)
    x, y = at(0, allowed)
    parts.append(
        Markup(
            '<path class="allowed" d="M{:.1f} {:.1f}h{:.1f}"/>'
            '<text class="tick" x="{:.1f}" y="{:.1f}">allowed: {:g}</text>'
        ).format(x, y, WIDTH, LEFT + WIDTH + 6, y + 4, allowed)
    )
    for number, (name, points, chosen) in enumerate(curves):
        line = "L".join("{:.1f} {:.1f}".format(*at(*point)) for point in points)
        dash, key = STROKES[number % len(STROKES)], TOP + HEIGHT - 14 - 18 * number
        parts.append(
            Markup(
                '<path class="curve" stroke-dasharray="{}" d="M{}"><title>{}</title></path>'
                '<path class="curve" stroke-dasharray="{}" d="M{:.1f} {:.1f}h28"/>'
                '<text x="{:.1f}" y="{:.1f}">{}</text>'
            ).format(
                *(dash, line, name, dash, LEFT + WIDTH + 6, key - 4),
                *(LEFT + WIDTH + 40, key, name),
            )
        )
        if chosen is not None:
            parts.append(
                Markup(
                    '<circle class="point" cx="{:.1f}" cy="{:.1f}" r="4.5">'
                    "<title>chosen: {:.1f} % answered early, {:+.2f} points</title></circle>"
                ).format(*at(*chosen), 100 * chosen[0], chosen[1])
            )
    words = "Points of accuracy lost over the share answered early, for each exit"
    return figure(parts, LEFT + WIDTH + NAMES, TOP + HEIGHT + 46, words=words)


def _frame(at: object, low: float, high: float) -> list[Markup]:
    """Level and upright lines with their numbers."""
    assert callable(at)
    parts = []
    for step in range(5):
        lost = low + (high - low) * step / 4
        x, y = at(0, lost)
        parts.append(
            Markup(
                '<path class="rule" d="M{:.1f} {:.1f}h{:.1f}"/>'
                '<text class="tick end" x="{:.1f}" y="{:.1f}">{:+.2f}</text>'
            ).format(x, y, WIDTH, LEFT - 8, y + 4, lost)
        )
        x, _ = at(step / 4, low)
        parts.append(
            Markup('<text class="tick mid" x="{:.1f}" y="{:.1f}">{} %</text>').format(
                x, TOP + HEIGHT + 17, 25 * step
            )
        )
    parts.append(
        Markup(
            '<text class="axis mid" x="{:.1f}" y="{:.1f}">answered early</text>'
            '<text class="axis mid" transform="translate(14 {:.1f}) rotate(-90)">points lost</text>'
        ).format(LEFT + WIDTH / 2, TOP + HEIGHT + 38, TOP + HEIGHT / 2)
    )
    return parts
