"""Arrays as pictures: rows of data and neuron grids → PNG data URIs.

A picture is scaled so that the data's natural range [low, high] runs from black to white;
values outside are clipped.  Pictures larger than ``LARGEST`` pixels a side are reduced, so
that a report stays one file of sensible size; small ones stay as they are and the page
enlarges them without smoothing.
"""

from __future__ import annotations

import base64
import io
from math import ceil, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from precond.errors import DataError

LARGEST = 64
GREY, RED, BLUE = (
    np.array(c, dtype=np.float64) for c in ((221,) * 3, (178, 24, 43), (33, 102, 172))
)
ON = (37, 99, 171)
OFF = (194, 87, 12)
LIGHT = (240, 172, 110)  # off, where on and off must differ without colour
GROUND = (128, 128, 128, 40)
GAP = 2  # pixels between the maps of channels
CELL = 4  # pixels a neuron takes in a grid picture, one of them a gap


def data_uri(image: Image.Image) -> str:
    """``image`` as a ``data:image/png;base64,…`` address."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def row_picture(row: ArrayLike, shape: tuple[int, ...], natural: tuple[float, float]) -> str:
    """One input (any shape of the right size) as a picture.

    ``shape`` is (H, W) or (C, H, W) with 1, 3 or more channels; of two channels, or more
    than three, the mean is shown.  DataError when the row has another size.
    """
    values = np.asarray(row, dtype=np.float64).reshape(-1)
    if len(shape) not in (2, 3) or values.size != int(np.prod(shape)):
        raise DataError(
            "picture",
            expected=f"{int(np.prod(shape))} values as (H, W) or (C, H, W)",
            got=f"{values.size} values and shape {shape}",
            fix="Give the data's image shape",
        )
    low, high = natural
    scale = high - low if high > low else 1.0
    pixels = np.clip(np.nan_to_num((values.reshape(shape) - low) / scale), 0.0, 1.0)
    if pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0) if pixels.shape[0] == 3 else pixels.mean(axis=0)
    image = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
    if max(image.size) > LARGEST:
        image.thumbnail((LARGEST, LARGEST))
    return data_uri(image)


def signed_picture(values: NDArray[np.float64], shape: tuple[int, ...]) -> str:
    """Attributions (n,) as a picture: red positive, blue negative, grey 0, symmetric.

    The strongest colour is the 99.5th percentile of the magnitudes.  Channels are summed.
    """
    plane = values.reshape(shape)
    plane = plane.sum(axis=0) if plane.ndim == 3 else plane
    limit = float(np.percentile(np.abs(plane), 99.5)) or float(np.abs(plane).max()) or 1.0
    strength = np.clip(plane / limit, -1, 1)[..., None]
    mixed = GREY + np.abs(strength) * (np.where(strength > 0, RED, BLUE) - GREY)
    return data_uri(Image.fromarray(np.rint(mixed).astype(np.uint8)))


def phase_picture(phases: NDArray[np.int8]) -> tuple[str, int, int]:
    """A layer's phases (width,) as a square-ish grid: address, columns and rows.

    On (+1) is a filled cell, off (−1) a hollow one, free (0) transparent; row-major.
    """
    columns, rows = grid_size(phases.size)
    padded = np.zeros(rows * columns, dtype=np.int8)
    padded[: phases.size] = phases
    grid = padded.reshape(rows, columns)
    filled = np.zeros((CELL, CELL), dtype=np.bool_)
    filled[:-1, :-1] = True
    hollow = filled.copy()
    hollow[1, 1] = False
    pixels = np.zeros((rows * CELL, columns * CELL, 4), dtype=np.uint8)
    pixels[np.kron(grid > 0, filled)] = (*ON, 255)
    pixels[np.kron(grid < 0, hollow)] = (*OFF, 255)
    return data_uri(Image.fromarray(pixels)), columns, rows


def maps_picture(phases: NDArray[np.int8]) -> tuple[str, int, int]:
    """A convolutional layer's phases (C, H, W) as a small map a channel: address, width and height
    in pixels.

    A neuron is a pixel: on (+1) dark, off (−1) light, free (0) the faint ground of its map.  Maps
    stand in the most square grid, row by row.
    """
    count, height, width = phases.shape
    columns = max(1, min(count, ceil(sqrt(count * (height + GAP) / (width + GAP)))))
    rows = ceil(count / columns)
    pixels = np.zeros((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 4), np.uint8)
    for channel, plane in enumerate(phases):
        y, x = channel // columns * (height + GAP), channel % columns * (width + GAP)
        cell = pixels[y : y + height, x : x + width]
        cell[:] = GROUND
        cell[plane > 0] = (*ON, 255)
        cell[plane < 0] = (*LIGHT, 255)
    return data_uri(Image.fromarray(pixels)), pixels.shape[1], pixels.shape[0]


def region_picture(share: NDArray[np.floating], region: NDArray[np.bool_], *, fires: bool) -> str:
    """A channel's map (H, W) with a region of it: where it ``fires``, the darker the larger the
    ``share`` of inputs that fire there; where it is silent, light; grey outside the region."""
    strength = share[..., None] if fires else np.ones((*share.shape, 1))
    inside = 255 + strength * (np.array(ON if fires else LIGHT, dtype=np.float64) - 255)
    mixed = np.where(region[..., None], inside, GREY - 40)
    return data_uri(Image.fromarray(np.rint(mixed).astype(np.uint8)))


def grid_size(count: int) -> tuple[int, int]:
    """Columns and rows of the most square grid that holds ``count`` cells."""
    columns = max(1, ceil(sqrt(count)))
    return columns, max(1, ceil(count / columns))
