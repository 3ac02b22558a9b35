"""Signed bars by name: to the right what counts for something, to the left what counts against."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from precond.report.plot.labels import figure, shorten

NAME, HALF, STEP, NUMBER = 330.0, 220.0, 20.0, 76.0
LONGEST = 48  # characters of a name; the table has it whole


def signed_bars(values: Sequence[tuple[str, float, str]], title: str) -> Markup:
    """One bar for each (name, value, words shown at the bar), in this order."""
    limit = max((abs(value) for _, value, _ in values), default=0.0) or 1.0
    middle, parts = NAME + NUMBER + HALF, []
    for row, (name, value, words) in enumerate(values):
        y, width = 4 + STEP * row, HALF * abs(value) / limit
        left = middle if value >= 0 else middle - width
        number = middle + width + 6 if value >= 0 else middle - width - 6
        parts.append(
            Markup(
                '<text class="end" x="{:.1f}" y="{:.1f}">{}<title>{}</title></text>'
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="14">'
                "<title>{}: {:+.6g}, {}</title></rect>"
                '<text class="tick{}" x="{:.1f}" y="{:.1f}">{:+.3g}</text>'
            ).format(
                *(NAME, y + 11, shorten(name, LONGEST), name),
                *("for" if value >= 0 else "against", left, y, max(width, 0.5)),
                *(name, value, words),
                *("" if value >= 0 else " end", number, y + 11, value),
            )
        )
    height = 8 + STEP * len(values)
    parts.append(Markup('<path class="middle" d="M{:.1f} 0V{:.1f}"/>').format(middle, height))
    return figure(parts, middle + HALF + NUMBER, height, words=title)
