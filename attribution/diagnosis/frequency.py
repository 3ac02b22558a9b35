"""Which frequencies a network uses (Wang, Wu, Huang, Xing 2020, "High-frequency component helps
explain the generalization of convolutional neural networks", §3).

Let z = F(x) be the discrete Fourier transform of a picture, each channel by itself, with frequency
0 in the middle.  The low part for a radius r keeps what lies within r of the middle, the high part
the rest:

    x_low = F⁻¹(z · [d ≤ r]),   x_high = x − x_low,   d = √(u² + v²)

A network's accuracy on either part says whether it needs the other one.  The high part has no mean:
its values are no picture of the data's range, and a low accuracy there may come from that alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from attribution.diagnosis.class_scores import scores_module
from attribution.evaluate import outputs
from attribution.slices import Slice
from precond.errors import DataError, QueryError
from precond.network.graph import Network

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frequencies:
    """Accuracies: ``whole`` on the pictures, ``low`` and ``high`` (R,) on their parts."""

    radii: tuple[float, ...]
    whole: float
    low: Array
    high: Array


def frequency_parts(pictures: NDArray[np.floating], radius: float) -> tuple[Array, Array]:
    """(low part, high part) of pictures (…, H, W)."""
    from scipy.fft import fft2, ifft2

    if pictures.ndim < 2:
        raise DataError("pictures", expected="(…, H, W)", got=str(pictures.shape))
    if not radius >= 0:
        raise QueryError("radius of frequencies", expected="0 or more", got=f"{radius:g}")
    height, width = pictures.shape[-2:]
    down, across = (np.fft.fftfreq(side) * side for side in (height, width))
    within = np.hypot(down[:, None], across[None]) <= radius
    values = np.asarray(pictures, dtype=np.float64)
    low = np.asarray(ifft2(fft2(values) * within).real)
    return low, values - low


def frequency_accuracy(
    model: nn.Module | Network,
    inputs: NDArray[np.floating],
    labels: NDArray[np.int64],
    radii: Sequence[float],
    *,
    shape: Sequence[int],
    done: Callable[[], None] = lambda: None,
) -> Frequencies:
    """Accuracy on low and high parts of ``inputs`` (N, …), pictures of ``shape`` (…, H, W)."""
    if len(shape) < 2 or int(np.prod(shape)) * len(inputs) != inputs.size:
        raise DataError("shape of a picture", expected="(H, W) or (C, H, W)", got=str(tuple(shape)))
    if not radii:
        raise QueryError("radii of frequencies", expected="one or more", got="none")
    if labels.shape != (len(inputs),):
        raise DataError("labels", expected=f"one for each of {len(inputs)}", got=str(labels.shape))
    pictures = inputs.reshape(len(inputs), *shape)
    cut = Slice(scores_module(model))

    def accuracy(values: NDArray[np.floating]) -> float:
        predicted = outputs(cut, values.reshape(inputs.shape)).argmax(1)
        done()
        return float((predicted == labels).mean())

    parts = [frequency_parts(pictures, radius) for radius in radii]
    return Frequencies(
        radii=tuple(float(radius) for radius in radii),
        whole=accuracy(pictures),
        low=np.array([accuracy(low) for low, _ in parts]),
        high=np.array([accuracy(high) for _, high in parts]),
    )
