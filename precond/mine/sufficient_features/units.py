"""``Units``: what is kept or freed as one: a feature, a patch, a superpixel, a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from precond.basics.arguments import whole
from precond.errors import QueryError

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
ROUNDS = 10  # of moving the centres of superpixels
SPACE = 0.5  # what a superpixel's width in distance counts against the range of values


@dataclass(frozen=True, eq=False)
class Units:
    """``owner`` (n,): the unit that each feature belongs to; ``names`` (m,) of the units;
    ``word``: what one is called."""

    owner: NDArray[np.int64]
    names: tuple[str, ...]
    word: str = "feature"

    @property
    def count(self) -> int:
        return len(self.names)

    @cached_property
    def plain(self) -> bool:
        """Whether every feature is a unit of its own, in order."""
        return self.count == self.owner.size and bool((self.owner == np.arange(self.count)).all())

    def features(self, units: Flags) -> Flags:
        """The features (…, n) of the flagged units (…, m)."""
        return np.asarray(units[..., self.owner])

    def sums(self, values: Array) -> Array:
        """Sums (…, m) over each unit's features of values (…, n)."""
        if self.plain:
            return values
        return np.asarray(values @ self._members)

    def touched(self, features: Flags) -> Flags:
        """The units (…, m) of which a feature (…, n) is flagged."""
        return np.asarray(self.sums(features.astype(np.float64)) > 0)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """How many features each unit has, (m,)."""
        return np.bincount(self.owner, minlength=self.count)

    @cached_property
    def _members(self) -> Array:
        return np.asarray(self.owner[:, None] == np.arange(self.count), dtype=np.float64)

    @classmethod
    def single(cls, size: int, names: Sequence[str] | None = None) -> Units:
        """Every feature by itself."""
        given = [f"x{i}" for i in range(size)] if names is None else list(names)
        return cls(np.arange(size), tuple(name or f"x{i}" for i, name in enumerate(given)))

    @classmethod
    def patches(cls, shape: Sequence[int], side: int) -> Units:
        """Squares of ``side`` × ``side`` pixels of a picture (H, W) or (C, H, W), all channels
        together."""
        channels, height, width = _picture(shape)
        if not 1 <= whole("side of a patch", side) <= max(height, width):
            raise QueryError(
                "side of a patch", expected=f"1 to {max(height, width)} pixels", got=str(side)
            )
        across = -(-width // side)
        grid = (np.arange(height)[:, None] // side) * across + np.arange(width)[None] // side
        names = [f"patch {k // across},{k % across}" for k in range(int(grid.max()) + 1)]
        return cls(np.tile(grid.reshape(-1), channels), tuple(names), "patch")

    @classmethod
    def superpixels(cls, picture: Array, shape: Sequence[int], count: int) -> Units:
        """About ``count`` areas of near and like pixels of ``picture`` (n,).

        Source: Achanta et al. 2012 (SLIC), without its last step that joins loose pixels.
        """
        channels, height, width = _picture(shape)
        if not 1 <= whole("superpixels", count) <= height * width:
            raise QueryError("superpixels", expected=f"1 to {height * width}", got=str(count))
        side = float(np.sqrt(height * width / count))
        values = picture.reshape(channels, -1).T
        spread = max(float(values.max() - values.min()), 1e-12)
        rows, columns = np.divmod(np.arange(height * width), width)
        place = SPACE * np.stack([rows, columns], 1) / side
        points = np.concatenate([values / spread, place], 1)
        starts = [
            min(int(r), height - 1) * width + min(int(c), width - 1)
            for r in np.arange(side / 2, height, side)
            for c in np.arange(side / 2, width, side)
        ]
        centres = points[starts]
        for _ in range(ROUNDS):
            nearest = ((points[:, None] - centres[None]) ** 2).sum(2).argmin(1)
            used = np.unique(nearest)
            centres = np.stack([points[nearest == k].mean(0) for k in used])
        nearest = ((points[:, None] - centres[None]) ** 2).sum(2).argmin(1)
        _, owner = np.unique(nearest, return_inverse=True)
        names = tuple(f"superpixel {k}" for k in range(int(owner.max()) + 1))
        return cls(np.tile(owner.reshape(-1), channels), names, "superpixel")

    @classmethod
    def groups(
        cls, groups: Mapping[str, Sequence[int]], size: int, names: Sequence[str] | None = None
    ) -> Units:
        """Groups of features by name; a feature of no group stays by itself."""
        owner = np.full(size, -1, dtype=np.int64)
        words: list[str] = []
        for word, members in groups.items():
            for index in members:
                if not 0 <= whole("feature", index) < size:
                    raise QueryError(
                        f"group {word}", expected=f"features in 0..{size - 1}", got=str(index)
                    )
                if owner[index] >= 0:
                    first = words[owner[index]]
                    raise QueryError(
                        f"group {word}",
                        expected="features of no other group",
                        got=f"feature {index}, which {first} has too",
                    )
                owner[index] = len(words)
            if not members:
                raise QueryError(f"group {word}", expected="one feature or more", got="none")
            words.append(word)
        alone = np.flatnonzero(owner < 0)
        owner[alone] = len(words) + np.arange(len(alone))
        single = cls.single(size, names).names
        return cls(owner, (*words, *(single[i] for i in alone)), "group")


def _picture(shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width."""
    if len(shape) not in (2, 3):
        raise QueryError("picture", expected="(H, W) or (C, H, W)", got=str(tuple(shape)))
    height, width = shape[-2:]
    return (shape[0] if len(shape) == 3 else 1), height, width
