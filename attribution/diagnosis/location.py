"""How firmly something seen in pictures sits on landmarks: location instability (Zhang, Cao, Shi,
Wu, Zhu 2018).

For a part seen at p̂(I) in picture I and a landmark at p_L(I), in units of the picture,

    D = √ var over I of ( ‖p̂(I) − p_L(I)‖ / √2 )

over the pictures where the part is seen most strongly, averaged over the landmarks.  0: always at
the same distance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attribution.diagnosis.explanatory_graph import DIAGONAL, grid
from precond.errors import DataError, QueryError

Array = NDArray[np.float64]


def location_instability(
    places: Array, scores: Array, landmarks: NDArray[np.floating], *, top: int = 100
) -> Array:
    """Of parts seen at ``places`` (V, N, 2) with ``scores`` (V, N), (V,); ``landmarks`` (N, L, 2)
    in units of the picture.  ``top``: of how many pictures, those of the largest scores."""
    count = places.shape[1]
    if landmarks.ndim != 3 or landmarks.shape[::2] != (count, 2) or not landmarks.shape[1]:
        raise DataError("landmarks", expected=f"({count}, L, 2)", got=str(landmarks.shape))
    if top < 2:
        raise QueryError("pictures of location instability", expected="2 or more", got=str(top))
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    seen = np.take_along_axis(places, rows[..., None], 1)
    gaps = np.linalg.norm(seen[:, :, None] - landmarks[rows], axis=3) / DIAGONAL
    return np.asarray(gaps.std(1).mean(1))


def peaks(maps: NDArray[np.floating]) -> tuple[Array, Array]:
    """Where each filter of maps (N, C, H, W) is most active, (C, N, 2), and how much, (C, N)."""
    count, channels, height, width = maps.shape
    flat = maps.reshape(count, channels, -1)
    places = grid(height, width)[flat.argmax(2)]
    return np.moveaxis(places, 1, 0), np.asarray(flat.max(2).T, dtype=np.float64)
