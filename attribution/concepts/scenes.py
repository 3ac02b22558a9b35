"""Rendered scenes whose concepts are known to the pixel: shapes, colours, textures, sizes.

A scene is a coloured picture with one object on a grey ground.  The object has a shape, a colour,
a texture and a size, drawn at random and independently of each other, and a place.  For every
concept there is a mask: the pixels of the object where it has that concept, none otherwise.  A
seed gives the same scenes everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import QueryError

Floats = NDArray[np.float32]
Masks = NDArray[np.bool_]

SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = {"red": (0.9, 0.15, 0.15), "green": (0.15, 0.8, 0.2), "blue": (0.2, 0.3, 0.95)}
TEXTURES = ("plain", "stripes", "checks")
SIZES = {"small": 0.16, "large": 0.3}
"""Half the width of an object, as a share of the picture."""
GROUND = 0.5
SMALLEST = 12
DARK = 0.45
"""What a texture's dark parts keep of the colour."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """``pictures`` (N, 3, S, S) in [0, 1]; ``masks`` concept → (N, S, S); ``labels`` (N,): the
    number of the shape in ``SHAPES``."""

    pictures: Floats
    masks: Mapping[str, Masks]
    labels: NDArray[np.int64]

    def having(self, concept: str) -> NDArray[np.int64]:
        """Numbers of the scenes with a concept."""
        if concept not in self.masks:
            raise QueryError("concept", expected=", ".join(self.masks), got=concept)
        return np.flatnonzero(self.masks[concept].any((1, 2)))


def render_scenes(count: int, *, size: int = 24, seed: int = 0) -> Scenes:
    """``count`` scenes of ``size`` × ``size`` pixels."""
    if count < 1:
        raise QueryError("scenes", expected="one or more", got=str(count))
    if size < SMALLEST:
        raise QueryError("size of a scene", expected=f"{SMALLEST} or more", got=str(size))
    generator = np.random.default_rng(seed)
    concepts = (*SHAPES, *COLOURS, *TEXTURES, *SIZES)
    masks = {name: np.zeros((count, size, size), dtype=np.bool_) for name in concepts}
    pictures = np.empty((count, 3, size, size), dtype=np.float32)
    labels = generator.integers(len(SHAPES), size=count)
    for number in range(count):
        colour, texture, large = (
            str(generator.choice(names)) for names in (list(COLOURS), TEXTURES, list(SIZES))
        )
        half = SIZES[large] * size * generator.uniform(0.9, 1.1)
        across, down = generator.uniform(half, size - 1 - half, 2)
        shape = SHAPES[labels[number]]
        inside = _inside(shape, size, (across, down), half=half)
        ground = GROUND + generator.normal(0, 0.02, (3, size, size))
        paint = np.array(COLOURS[colour])[:, None, None] * _shade(texture, size)
        pictures[number] = np.clip(np.where(inside, paint, ground), 0, 1)
        for concept in (shape, colour, texture, large):
            masks[concept][number] = inside
    return Scenes(pictures, masks, labels)


def _inside(shape: str, size: int, middle: tuple[float, float], half: float) -> Masks:
    """The pixels of an object, (S, S)."""
    down, across = np.mgrid[:size, :size].astype(np.float64)
    x, y = (across - middle[0]) / half, (down - middle[1]) / half
    within = (np.abs(x) <= 1) & (np.abs(y) <= 1)
    regions = {
        "circle": x**2 + y**2 <= 1,
        "square": within,
        "triangle": within & (np.abs(x) <= (y + 1) / 2),
        "cross": within & (np.minimum(np.abs(x), np.abs(y)) <= 0.34),
    }
    return np.asarray(regions[shape])


def _shade(texture: str, size: int) -> NDArray[np.float64]:
    """What is left of the colour at each pixel, (S, S)."""
    down, across = np.mgrid[:size, :size]
    dark = {
        "plain": np.zeros((size, size), dtype=np.bool_),
        "stripes": down // 2 % 2 == 1,
        "checks": (down // 2 + across // 2) % 2 == 1,
    }[texture]
    return np.where(dark, DARK, 1.0)
