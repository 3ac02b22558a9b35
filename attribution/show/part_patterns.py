"""A drawing of part patterns (``diagnosis/explanatory_graph.py``): what each pattern saw.

One row a pattern: the pictures where it is seen most, cut around the place where it is seen.  A
pattern of one part shows that part over and over.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attribution.diagnosis.explanatory_graph import LayerPatterns
from precond.errors import DataError, QueryError

GAP = 2
"""Pixels between pictures, white."""


def pattern_sheet(
    layer: LayerPatterns,
    pictures: NDArray[np.floating],
    patterns: Sequence[int],
    *,
    shown: int = 8,
    side: int = 9,
) -> NDArray[np.float64]:
    """Rows of ``patterns``, each with ``shown`` cuts of ``side`` × ``side`` pixels, from pictures
    (N, H, W) or (N, C, H, W) in [0, 1]; (height, width) or (height, width, 3).  What lies outside a
    picture is black."""
    count = layer.places.shape[1]
    if pictures.ndim not in (3, 4) or len(pictures) != count:
        raise DataError(
            "pictures", expected=f"({count}, H, W) or ({count}, C, H, W)", got=str(pictures.shape)
        )
    if not patterns or not all(0 <= k < len(layer.filters) for k in patterns):
        raise QueryError(
            "patterns", expected=f"some of 0 to {len(layer.filters) - 1}", got=str(list(patterns))
        )
    if shown < 1 or side < 1:
        raise QueryError("cuts", expected="1 or more, of 1 pixel or more", got=f"{shown}, {side}")
    colour = pictures.ndim == 4 and pictures.shape[1] == 3
    planes = pictures.mean(1) if pictures.ndim == 4 and not colour else pictures
    if colour:
        planes = np.moveaxis(planes, 1, -1)
    shown = min(shown, count)
    cell = side + GAP
    sheet = np.ones((len(patterns) * cell - GAP, shown * cell - GAP, *planes.shape[3:]))
    for row, pattern in enumerate(patterns):
        best = np.argsort(-layer.scores[pattern], kind="stable")[:shown]
        for column, picture in enumerate(best):
            cut = _cut(planes[picture], layer.places[pattern, picture], side)
            down, across = row * cell, column * cell
            sheet[down : down + side, across : across + side] = cut
    return sheet


def _cut(plane: NDArray[np.floating], place: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """``side`` × ``side`` pixels of a picture (H, W, …) around a place in units of the picture."""
    height, width = plane.shape[:2]
    before, after = side // 2, side - side // 2 - 1
    padding = ((before, after), (before, after), *[(0, 0)] * (plane.ndim - 2))
    wide = np.pad(np.asarray(plane, dtype=np.float64), padding)
    down, across = (
        min(int(share * length), length - 1)
        for share, length in zip(place, (height, width), strict=True)
    )
    return wide[down : down + side, across : across + side]
