"""Shares: what became of all inputs, stacked, at each radius."""

from __future__ import annotations

from markupsafe import Markup

from precond.apply.certification.answers import BallOutcome, Robustness
from precond.report.plot.labels import figure, share_rules, stripes

ORDER = (BallOutcome.CERTIFIED, BallOutcome.UNKNOWN, BallOutcome.ATTACKED, BallOutcome.WRONG)


def radius_chart(robustness: Robustness) -> Markup:
    """Shares of inputs over the radius: certified below, attacked and wrong above, what is
    unknown between; radii at even distances, their values written below."""
    left, top, width, height = 64.0, 12.0, 520.0, 260.0
    total, count = max(len(robustness.rows), 1), len(robustness.radii)
    bar = width / count

    parts = share_rules(4, left, top, width=width, height=height)
    for k, radius in enumerate(robustness.radii):
        y = top + height
        x = left + bar * k + bar * 0.14
        for outcome in ORDER:
            share = robustness.count(k, outcome) / total
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
                    robustness.count(k, outcome),
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
                        robustness.count(k, outcome),
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
        [stripes("stripes", ground="stripe-ground", line="stripe", width=2), *parts],
        width=left + width + 16,
        height=top + height + 44,
        words="Certified, unknown and attacked inputs by radius",
    )
