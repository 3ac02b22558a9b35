"""A decision pattern drawn on its network, as inline SVG.

One block per decision layer from input (left) to output (right).  Up to ``DOTS`` neurons
are dots in columns of ``COLUMN``; a wider layer is a grid of small squares, a very wide
one a picture.  A layer of pictures (C, H, W) is a small map for each channel,
smaller still where the whole layer is free.
On is a filled mark, off a hollow one, free a faint speck, so colour is never the only sign; in
maps on is dark, off light.
All marks of one state share one path (zero-length strokes with round or square caps),
which keeps hundreds of drawings small.  Colours come from the page's style sheet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from precond.network.graph import Network
from precond.region.pattern import DecisionPattern
from precond.region.unit_names import UnitNames
from precond.report.plot.labels import shorten
from precond.report.plot.pictures import grid_size, maps_picture, phase_picture

DOTS = 64
COLUMN = 16
SPECKS = 400  # a wider layer shows its free neurons as empty ground
PICTURE = 2048  # a layer wider than this is drawn as a picture
PITCH = 12.0
HEIGHT = COLUMN * PITCH
FREE = HEIGHT / 3  # side of the maps of a layer that is free
TOP = 34.0
GAP = 40.0
END = 62.0  # width of the input and output boxes


@dataclass(frozen=True)
class _Block:
    """One layer's marks: SVG and the space it takes."""

    content: Markup
    width: float
    height: float


def draw_pattern(network: Network, pattern: DecisionPattern, label: str) -> Markup:
    """The pattern on the network; ``label`` names what it implies, beside the output."""
    blocks = [_block(network.shapes[name], name, pattern) for name in network.decision_layers]
    height = max([HEIGHT, *(b.height for b in blocks)])
    middle = TOP + height / 2
    parts = [_end(0.0, middle=middle, name="input", text=f"{network.input_size}")]
    x = END
    for name, block in zip(network.decision_layers, blocks, strict=True):
        parts.append(_arrow(x, middle))
        x += GAP
        shown = max(block.width, 46.0)
        parts.append(
            Markup(
                '<text class="layer" x="{}" y="12">{}<title>{}</title></text>'
                '<text class="sub" x="{}" y="25">{}</text>'
            ).format(
                _n(x + shown / 2),
                shorten(name, 14),
                name,
                _n(x + shown / 2),
                _size(network.shapes[name]),
            )
        )
        parts.append(
            Markup('<g transform="translate({} {})">{}</g>').format(
                _n(x + (shown - block.width) / 2),
                _n(TOP + (height - block.height) / 2),
                block.content,
            )
        )
        x += shown
    parts.append(_arrow(x, middle))
    x += GAP
    parts.append(_end(x, middle, name="output", text=shorten(label, 9)))
    x += END
    total = TOP + height + 6
    return Markup(
        '<svg class="pattern" role="img" width="{0}" height="{1}" viewBox="0 0 {0} {1}" '
        'aria-label="{2}">{3}</svg>'
    ).format(_n(x), _n(total), summary(pattern), Markup("").join(parts))


def summary(pattern: DecisionPattern) -> str:
    """One line for people who cannot see the drawing."""
    bounded = len(pattern.above) + len(pattern.below)
    words = [f"{len(pattern.on)} neurons on", f"{len(pattern.off)} off"]
    if bounded:
        words.append(f"{bounded} bounded by a value")
    return f"Pattern over {', '.join(pattern.layers) or 'no layer'}: {', '.join(words)}"


def _has_maps(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[1] * shape[2] > 1


def _size(shape: tuple[int, ...]) -> str:
    if _has_maps(shape):
        return f"{shape[0]} maps {shape[1]}×{shape[2]}"
    return f"{int(np.prod(shape))} neurons"


def _block(shape: tuple[int, ...], name: str, pattern: DecisionPattern) -> _Block:
    width = int(np.prod(shape))
    phases = pattern.phases(name, width)
    bounded = np.zeros(width, dtype=np.bool_)
    bounded[[i for layer, i, _ in pattern.above | pattern.below if layer == name]] = True
    said = np.where(bounded & (phases == 0), 1, phases).astype(np.int8)
    if _has_maps(shape):
        return _picture(*maps_picture(said.reshape(shape)), side=HEIGHT if said.any() else FREE)
    if width > PICTURE:
        return _picture(*phase_picture(said))
    if width > DOTS:
        columns, rows = grid_size(width)
        pitch, kind = max(3.0, min(9.0, HEIGHT / rows)), "grid"
        centres = [
            ((i % columns + 0.5) * pitch, (i // columns + 0.5) * pitch) for i in range(width)
        ]
    else:
        columns, rows = -(-width // COLUMN), min(width, COLUMN)
        pitch, kind = PITCH, "dots"
        centres = [((i // COLUMN + 0.5) * pitch, (i % COLUMN + 0.5) * pitch) for i in range(width)]

    def path(state: str, size: float, chosen: NDArray[np.bool_]) -> Markup:
        marks = "".join(
            f"M{_n(centres[i][0])} {_n(centres[i][1])}h0" for i in np.flatnonzero(chosen)
        )
        if not marks:
            return Markup("")
        return Markup('<path class="{}" stroke-width="{}" d="{}"/>').format(
            state, _n(pitch * size), marks
        )

    free = (phases == 0) & ~bounded
    content = [
        Markup('<rect class="frame" x="-3" y="-3" width="{}" height="{}" rx="4"/>').format(
            _n(columns * pitch + 6), _n(rows * pitch + 6)
        ),
        path("free", 0.25, free) if width <= SPECKS else Markup(""),
        path("on", 0.8, phases > 0),
        path("off", 0.8, phases < 0),
        path("hole", 0.4, phases < 0),
        path("bounded", 0.6, bounded),
    ]
    return _Block(
        Markup('<g class="{}">{}</g>').format(kind, Markup("").join(content)),
        columns * pitch,
        rows * pitch,
    )


def _picture(uri: str, columns: int, rows: int, side: float = HEIGHT) -> _Block:
    pitch = side / max(columns, rows)
    width, height = columns * pitch, rows * pitch
    content = Markup(
        '<rect class="frame" x="-3" y="-3" width="{}" height="{}" rx="4"/>'
        '<image href="{}" width="{}" height="{}" style="image-rendering:pixelated"/>'
    ).format(_n(width + 6), _n(height + 6), uri, _n(width), _n(height))
    return _Block(content, width, height)


def _end(x: float, middle: float, name: str, text: str) -> Markup:
    return Markup(
        '<g class="end"><rect x="{}" y="{}" width="{}" height="40" rx="6"/>'
        '<text class="sub" x="{}" y="{}">{}</text><text class="layer" x="{}" y="{}">{}</text></g>'
    ).format(
        _n(x + 1),
        _n(middle - 20),
        _n(END - 2),
        _n(x + END / 2),
        _n(middle - 4),
        name,
        _n(x + END / 2),
        _n(middle + 12),
        text,
    )


def _arrow(x: float, middle: float) -> Markup:
    return Markup('<path class="arrow" d="M{} {}h{}m-5 -4l5 4l-5 4"/>').format(
        _n(x + 8), _n(middle), _n(GAP - 18)
    )


def _n(value: float) -> str:
    """A coordinate in as few characters as a tenth of a pixel needs."""
    return f"{value:.1f}".removesuffix(".0")


def literal_lines(
    pattern: DecisionPattern, names: UnitNames | None = None, most: int = 40
) -> tuple[str, ...]:
    """The pattern in words, a line per layer and state; at most ``most`` indices a line, each with
    its unit's name where it has one."""
    named = names or UnitNames()

    def listed(items: Iterable[str]) -> str:
        words = list(items)
        rest = len(words) - most
        return ", ".join(words[:most]) + (f" … and {rest} more" if rest > 0 else "")

    lines = []
    for layer in pattern.layers:
        for word, neurons in (("on", pattern.on), ("off", pattern.off)):
            found = sorted(i for name, i in neurons if name == layer)
            if found:
                lines.append(f"{layer} {word}: {listed(named.shown(layer, i) for i in found)}")
        for sign, bounds in ((">", pattern.above), ("≤", pattern.below)):
            values = sorted((i, t) for name, i, t in bounds if name == layer)
            words = [f"z{named.shown(layer, i)} {sign} {t:g}" for i, t in values]
            if values:
                lines.append(f"{layer}: {listed(words)}")
    return tuple(lines)
