"""Words and frames that drawings share: shares in words, long names, the SVG element itself."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup


def figure(
    parts: Iterable[Markup], width: float, height: float, words: str, kind: str = "chart"
) -> Markup:
    """``parts`` as one drawing; ``words`` say what it shows to people who cannot see it."""
    return Markup(
        '<svg class="{4}" role="img" aria-label="{3}" width="{0:.0f}" height="{1:.0f}" '
        'viewBox="0 0 {0:.0f} {1:.0f}">{2}</svg>'
    ).format(width, height, Markup("").join(parts), words, kind)


def stripes(name: str, ground: str, line: str, width: int) -> Markup:
    """The definition of a hatching ``name``, its two colours those of style classes."""
    return Markup(
        '<defs><pattern id="{}" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect class="{}" width="6" height="6"/>'
        '<rect class="{}" width="{}" height="6"/></pattern></defs>'
    ).format(name, ground, line, width)


def share_rules(steps: int, left: float, top: float, width: float, height: float) -> list[Markup]:
    """Level lines at even shares from 0 to 100 %, the share written before each."""
    line = Markup(
        '<path class="rule" d="M{:.1f} {:.1f}h{:.1f}"/>'
        '<text class="tick end" x="{:.1f}" y="{:.1f}">{} %</text>'
    )
    heights = [top + height * (1 - k / steps) for k in range(steps + 1)]
    return [
        line.format(left, y, width, left - 8, y + 4, 100 * k // steps)
        for k, y in enumerate(heights)
    ]


def axis_words(across: tuple[float, float, str], up: tuple[float, str]) -> Markup:
    """What the axes mean: (x, y, words) below, (y, words) upright at the left edge."""
    return Markup(
        '<text class="axis mid" x="{:.1f}" y="{:.1f}">{}</text>'
        '<text class="axis mid" transform="translate(14 {:.1f}) rotate(-90)">{}</text>'
    ).format(*across, *up)


def shorten(text: str, length: int) -> str:
    """``text``, or its start and an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"
