"""An input that is a picture, and what moved an output: four panels, or a panel a unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attribution.attribution import Attribution
from attribution.show.interpret import evidence
from attribution.show.visualise import (
    Clip,
    Panel,
    compared,
    grey_image,
    limit_of,
    scale_picture,
    signed_map,
    signed_overlay,
)
from attribution.slices import Slice
from precond.network.graph import Network

UNITS_SHOWN = 5
SIZE = 320  # pixels of one panel


def pixel_names(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of a picture's values, counted from 0."""
    many = len(shape) == 3 and shape[0] > 1
    return tuple(
        f"pixel ({place[-2]}, {place[-1]})" + (f" of channel {place[0]}" if many else "")
        for place in np.ndindex(*shape)
    )


def four_panels(
    image: NDArray[np.float64], values: NDArray[np.float64], natural: tuple[float, float] | None
) -> tuple[Panel, ...]:
    """The input, its signed map, both together, and the scale."""
    limit = limit_of(values, Clip.MASS)
    return (
        Panel(grey_image(image, natural), "the input"),
        Panel(signed_map(values, limit), "its attributions: red for, blue against"),
        Panel(signed_overlay(image, values, limit, natural=natural), "both together"),
        Panel(
            scale_picture(limit, SIZE), f"scale: full colour at ± {limit:.3g} ({Clip.MASS.value})"
        ),
    )


def unit_panels(
    cut: Slice,
    row: NDArray[np.float64],
    found: Attribution,
    shape: tuple[int, ...],
    natural: tuple[float, float] | None,
) -> tuple[Panel, ...]:
    """The input, and the most influential units, each with the gradient of its value."""
    units = evidence(cut, row, found.flat(), units=UNITS_SHOWN)
    texts = [
        f"{found.unit_name(one.index)}: influence {one.influence:+.3g}, "
        + (f"value {one.activation:.3g}" if one.picture.any() else "no gradient (off) here")
        for one in units
    ]
    maps = compared([one.picture.reshape(shape) for one in units], texts)
    return (Panel(grey_image(row.reshape(shape), natural), "the input"), *maps)


def picture_shape(network: Network) -> tuple[int, ...] | None:
    shape = network.input_shape
    return shape if len(shape) == 3 and shape[0] in (1, 3) else None
