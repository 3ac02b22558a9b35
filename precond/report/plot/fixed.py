"""Neurons of each layer as one bar: always off, free, always on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from precond.report.plot.labels import figure, shorten

SIDES = (("off", "always off"), ("free", "free"), ("on", "always on"))


@dataclass(frozen=True)
class LayerRow:
    """How many neurons of a layer are always off, always on; ``gone``: how many of the layer's
    neurons the smaller network does without."""

    layer: str
    neurons: int
    off: int
    on: int
    gone: int

    @property
    def free(self) -> int:
        return self.neurons - self.off - self.on


def fixed_chart(rows: Sequence[LayerRow]) -> Markup:
    """A bar a layer, its parts as wide as their shares, with their numbers."""
    left, width, step, top = 120.0, 440.0, 30.0, 26.0
    parts = []
    for place, (kind, words) in enumerate(SIDES):
        x = left + 130.0 * place
        parts.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="2" width="12" height="12" rx="2"/>'
                '<text class="sub" x="{:.1f}" y="12">{}</text>'
            ).format(f"neurons-{kind}", x, x + 18, words)
        )
    for index, row in enumerate(rows):
        y, x = top + step * index, left
        parts.append(
            Markup('<text class="name" x="{:.1f}" y="{:.1f}">{}</text>').format(
                left - 10, y + 15, shorten(row.layer, 14)
            )
        )
        for kind, words in SIDES:
            count = getattr(row, kind)
            wide = width * count / max(row.neurons, 1)
            parts.append(
                Markup(
                    '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="20">'
                    "<title>{}: {} of {} neurons {}</title></rect>"
                ).format(f"neurons-{kind}", x, y, wide, row.layer, count, row.neurons, words)
            )
            if wide > 30:
                parts.append(
                    Markup('<text class="{} mid" x="{:.1f}" y="{:.1f}">{:,}</text>').format(
                        "sub" if kind == "free" else "inside", x + wide / 2, y + 14, count
                    )
                )
            x += wide
    return figure(
        parts,
        width=left + width + 20,
        height=top + step * len(rows) + 4,
        words="Neurons of each layer that are always off, free, or always on",
    )
