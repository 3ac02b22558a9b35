"""Shares: what became of all inputs, stacked, at each radius."""

from __future__ import annotations

from markupsafe import Markup

from precond.apply.certification.answers import BallOutcome, Robustness
from precond.report.plot.labels import figure, stripes

ORDER = (BallOutcome.CERTIFIED, BallOutcome.UNKNOWN, BallOutcome.ATTACKED, BallOutcome.WRONG)


def radius_chart(found: Robustness) -> Markup:
    """Shares of inputs over the radius: certified below, attacked and wrong above, what is
    unknown between; radii at even distances, their values written below."""
    left, top, width, height = 64.0, 12.0, 520.0, 260.0
    total, count = max(len(found.rows), 1), len(found.radii)
    bar = width / count

    parts = []
    for k in range(5):
        y = top + height * (1 - k / 4)
        parts.append(
            Markup(
                '<path class="rule" d="M{:.1f} {:.1f}h{:.1f}"/>'
                '<text class="tick end" x="{:.1f}" y="{:.1f}">{} %</text>'
            ).format(left, y, width, left - 8, y + 4, 25 * k)
        )
    for k, radius in enumerate(found.radii):
        y = top + height
        x = left + bar * k + bar * 0.14
        for outcome in ORDER:
            share = found.count(k, outcome) / total
            y -= height * share
            parts.append(
                Markup(
                    '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                    "<title>radius {:g}: {} {} of {}</title></rect>"
                ).format(
                    outcome.value,
                    x,
                    y,
                    bar * 0.72,
                    height * share,
                    radius,
                    found.count(k, outcome),
                    outcome.value,
                    total,
                )
            )
            if height * share > 16:
                parts.append(
                    Markup('<text class="{} mid" x="{:.1f}" y="{:.1f}">{}</text>').format(
                        "striped" if outcome is BallOutcome.UNKNOWN else "inside",
                        x + bar * 0.36,
                        y + height * share / 2 + 4,
                        found.count(k, outcome),
                    )
                )
        parts.append(
            Markup('<text class="tick mid" x="{:.1f}" y="{:.1f}">{:g}</text>').format(
                x + bar * 0.36, top + height + 17, radius
            )
        )
    parts.append(
        Markup('<text class="axis mid" x="{:.1f}" y="{:.1f}">radius</text>').format(
            left + width / 2, top + height + 36
        )
    )
    return figure(
        [stripes("stripes", "stripe-ground", "stripe", 2), *parts],
        left + width + 16,
        top + height + 44,
        "Certified, unknown and attacked inputs by radius",
    )
