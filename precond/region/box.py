"""``Box``: a lower and an upper bound for every input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precond.basics.arguments import number, numbers, require_kind, whole
from precond.basics.notebook import NotebookLine
from precond.errors import QueryError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Box(NotebookLine):
    """``{x : lower ≤ x ≤ upper}``, flat float64 arrays (n,); finite, lower ≤ upper."""

    lower: Array
    upper: Array

    def __post_init__(self) -> None:
        lower = numbers("lower bounds of a box", self.lower).reshape(-1)
        upper = numbers("upper bounds of a box", self.upper).reshape(-1)
        if lower.shape != upper.shape or not lower.size:
            raise QueryError(
                "box",
                expected="as many lower as upper bounds, at least one",
                got=f"{lower.size} and {upper.size}",
            )
        if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
            raise QueryError("box", expected="finite bounds", got="NaN or infinity")
        if (lower > upper).any():
            i = int(np.argmax(lower - upper))
            raise QueryError(
                f"box at input {i}",
                expected="lower ≤ upper",
                got=f"[{lower[i]:g}, {upper[i]:g}]",
                fix="Swap the bounds or widen the box",
            )
        for array in (lower, upper):
            array.setflags(write=False)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @classmethod
    def uniform(cls, size: int, low: float, high: float) -> Box:
        """The same interval for each of ``size`` inputs."""
        if whole("size of a box", size) < 1:
            raise QueryError("size of a box", expected="1 or more", got=str(size))
        ends = number("low", low), number("high", high)
        return cls(np.full(size, ends[0]), np.full(size, ends[1]))

    @classmethod
    def around(cls, inputs: ArrayLike) -> Box:
        """The smallest box that holds every row of ``inputs`` (N, …)."""
        rows = numbers("inputs of a box", inputs)
        if rows.ndim < 2 or not rows.size:
            raise QueryError("box around inputs", expected="one row or more", got=str(rows.shape))
        rows = rows.reshape(rows.shape[0], -1)
        return cls(rows.min(axis=0), rows.max(axis=0))

    @classmethod
    def ball(cls, centre: ArrayLike, radius: float, within: Box | None = None) -> Box:
        """The L∞ ball around ``centre``, cut to ``within``."""
        if not number("radius of a ball", radius) >= 0:
            raise QueryError("ball", expected="a radius ≥ 0", got=str(radius))
        flat = numbers("centre of a ball", centre).reshape(-1)
        ball = cls(flat - radius, flat + radius)
        return ball if within is None else ball.intersect(within)

    def __repr__(self) -> str:
        ends = [f"[{a:g}, {b:g}]" for a, b in zip(self.lower[:3], self.upper[:3], strict=True)]
        more = f" × … ({self.size} inputs)" if self.size > 3 else ""
        return f"Box({' × '.join(ends)}{more})"

    @property
    def size(self) -> int:
        """Number of inputs."""
        return int(self.lower.size)

    @property
    def width(self) -> Array:
        return self.upper - self.lower

    def intersect(self, other: Box) -> Box:
        """The common box; QueryError where there is none."""
        self._same_size(other)
        return Box(np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper))

    def contains(self, inputs: ArrayLike) -> NDArray[np.bool_]:
        """Which rows of ``inputs`` (N, …) lie inside, (N,)."""
        rows = np.asarray(inputs, dtype=np.float64)
        if rows.ndim < 1 or rows.size != len(rows) * self.size:
            raise QueryError(
                "inputs", expected=f"rows of {self.size} values", got=f"shape {rows.shape}"
            )
        rows = rows.reshape(rows.shape[0], self.size)
        return np.asarray(((rows >= self.lower) & (rows <= self.upper)).all(axis=1))

    def _same_size(self, other: Box) -> None:
        """QueryError unless ``other`` has as many inputs."""
        if require_kind("other box", other, Box).size != self.size:
            raise QueryError("other box", expected=f"{self.size} inputs", got=str(other.size))

    def includes(self, other: Box) -> bool:
        self._same_size(other)
        return bool((self.lower <= other.lower).all() and (other.upper <= self.upper).all())

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """``count`` uniform points (count, n)."""
        share = rng.uniform(size=(count, self.size))
        with np.errstate(over="ignore", invalid="ignore"):
            points = share * self.width + self.lower
        mixed = share * self.upper + (1 - share) * self.lower  # where the width overflows
        points = np.where(np.isfinite(points), points, mixed)
        return np.clip(points, self.lower, self.upper)
