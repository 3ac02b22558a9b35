"""Captions of known noise: a check of concept scores (Kim et al. 2018, §4.3).

A caption is written into a picture: a small sign, one for each class.  With noise p, a share p of
the pictures has the caption of a class drawn at random, the others that of their own.  A network
trained on such pictures may look at the caption, at the picture, or at both, and which one it does
is known without any explanation: by its accuracy on pictures *without* captions.  A network that
looks at the picture keeps its accuracy there.  The TCAV score of the caption must then be low where
that accuracy is high.

Signs are 3 × 5 pixels, black on white, in the lower left corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError, QueryError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_DIGITS = (
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001010010010",
    "111101111101111",
    "111101111001111",
)
SIGNS: NDArray[np.bool_] = np.array([[cell == "1" for cell in digit] for digit in _DIGITS]).reshape(
    -1, 5, 3
)
"""One for each of ten classes, (10, 5, 3)."""


@dataclass(frozen=True, eq=False)
class Captioned:
    """``pictures`` (N, C, H, W) with captions; ``captions`` (N,): the class each one names."""

    pictures: Floats
    captions: Ints


def write_captions(pictures: Floats, captions: Ints) -> Floats:
    """``pictures`` (N, C, H, W) in [0, 1] with the sign of ``captions`` (N,) in each."""
    height, width = SIGNS.shape[1] + 2, SIGNS.shape[2] + 2
    if pictures.ndim != 4 or pictures.shape[2] < height or pictures.shape[3] < width:
        got = str(pictures.shape)
        raise DataError("pictures", expected=f"(N, C, H, W), {height} × {width} or more", got=got)
    if captions.shape != (len(pictures),):
        raise DataError("captions", expected=f"({len(pictures)},)", got=str(captions.shape))
    if captions.size and not 0 <= captions.min() <= captions.max() < len(SIGNS):
        got = f"{captions.min()} to {captions.max()}"
        raise DataError("captions", expected=f"classes 0 to {len(SIGNS) - 1}", got=got)
    result = pictures.copy()
    result[:, :, -height:, :width] = 1.0
    result[:, :, -height + 1 : -1, 1 : width - 1] = 1.0 - SIGNS[captions][:, None]
    return result


def caption_noise(pictures: Floats, labels: Ints, noise: float, *, seed: int = 0) -> Captioned:
    """Captions of the pictures' own classes, but for a share ``noise`` of them at random."""
    if not 0 <= noise <= 1:
        raise QueryError("noise of captions", expected="0 to 1", got=f"{noise:g}")
    generator = np.random.default_rng(seed)
    count = len(labels)
    classes = np.unique(labels)
    loose = generator.permutation(count) < round(noise * count)
    captions = np.where(loose, generator.choice(classes, count), labels).astype(np.int64)
    return Captioned(write_captions(pictures, captions), captions)
