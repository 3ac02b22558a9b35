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


def percent(share: float | None) -> str:
    """``12.3 %``; a dash where there is nothing to divide by; never rounded up to 100 %."""
    if share is None:
        return "–"
    if 0.9995 <= share < 1.0:
        return ">99.9 %"
    if 0.0 < share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if 0.0 < share < 1.0 else f"{100 * share:.0f} %"


def shorten(text: str, length: int) -> str:
    """``text``, or its start and an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"
