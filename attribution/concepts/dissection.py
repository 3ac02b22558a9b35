"""Network dissection: which units of a layer detect which concepts (Bau et al. 2017, §2).

For unit k with activations A_k(x) over places, T_k is the threshold that a share q of all values
over the data reach.  A_k is brought to the size of the pictures (bilinear), and M_k(x) = A_k ≥ T_k
is compared with the mask L_c(x) of each concept:

    IoU(k, c) = Σ_x |M_k(x) ∩ L_c(x)| / Σ_x |M_k(x) ∪ L_c(x)|

A unit detects the concept of its largest IoU where that exceeds 0.04.  The lowest value a unit ever
takes (0 behind a ReLU) never counts as active, however often it occurs.

A layer of vectors has no places.  There a unit is active for an input or not, and the input has the
concept where its mask has any pixel.

A large IoU may be luck: many units and many concepts are tried, and both like the middle of a
picture.  So the masks are shuffled over the inputs, S = 99 times, and overlaps are counted anew.
Each overlap becomes t = (IoU − mean) / standard deviation over the S + 1 counts, and

    p(k, c) = (1 + number of shuffles whose largest t reaches t(k, c)) / (S + 1)

which holds for all units and concepts together (Westfall, Young 1993).  A unit's name is
*significant* where p ≤ 0.05.

Concepts may belong to the layer as a whole rather than to its units.  So the same is counted for
random rotations of the layer: A' = Q A with Q orthogonal, drawn uniformly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from attribution.evaluate import values_at
from attribution.inputs import array_rows, count_rows
from attribution.slices import Slice
from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
Masks = NDArray[np.bool_]
DETECTS = 0.04
TOP = 0.005
SHUFFLES = 99
ALPHA = 0.05
ROWS = 128


@dataclass(frozen=True, eq=False, kw_only=True)
class Dissection:
    """``overlap`` (K, C): IoU of K units and C ``concepts``, and its ``p`` (K, C) against shuffled
    masks; ``thresholds`` (K,); ``rotated``: the share of interpretable directions in each random
    rotation; ``detects``: IoU to exceed; ``places``: values of a unit for one input."""

    layer: str
    concepts: tuple[str, ...]
    overlap: Array
    p: Array
    thresholds: Array
    places: int
    rotated: tuple[float, ...]
    detects: float = DETECTS

    @property
    def names(self) -> dict[int, str]:
        """Unit → the concept it detects, for units that detect one."""
        best = self.overlap.argmax(1)
        return {
            int(unit): self.concepts[best[unit]]
            for unit in np.flatnonzero(self.overlap.max(1) > self.detects)
        }

    def best(self, unit: int) -> tuple[float, float]:
        """The largest IoU of a unit, and its p."""
        place = int(self.overlap[unit].argmax())
        return float(self.overlap[unit, place]), float(self.p[unit, place])

    @property
    def significant(self) -> dict[int, str]:
        """Those of ``names`` that shuffled masks do not explain."""
        return {unit: name for unit, name in self.names.items() if self.best(unit)[1] <= ALPHA}

    @property
    def interpretable(self) -> float:
        """Share of the units that detect a concept."""
        return len(self.names) / len(self.overlap)


@dataclass(frozen=True, eq=False)
class _Scan:
    """What is read again and again: values of the slice and masks, part by part."""

    cut: Slice
    inputs: Any
    masks: Mapping[str, Masks]
    rotation: Array | None

    def values(self) -> Iterator[tuple[slice, Tensor]]:
        """(rows, values (b, K, h, w)); a vector has one place."""
        for start in range(0, count_rows(self.inputs), ROWS):
            rows = slice(start, start + ROWS)
            found = torch.as_tensor(values_at(self.cut, array_rows(self.inputs, rows)))
            if found.dim() not in (2, 4):
                raise QueryError(
                    f"layer {self.cut} to dissect",
                    expected="units (K,) or channels (K, H, W)",
                    got=str(tuple(found.shape[1:])),
                )
            found = found.reshape(*found.shape, *(1,) * (4 - found.dim()))
            if self.rotation is not None:
                found = torch.einsum("ij,bjhw->bihw", torch.as_tensor(self.rotation), found)
            yield rows, found

    def marks(self, rows: slice | NDArray[np.int64], places: bool) -> Tensor:
        """Masks (b, C, H, W), or whether there is any pixel (b, C, 1, 1)."""
        found = self.stacked[rows]
        return found if places else found.flatten(2).any(2)[:, :, None, None]

    @cached_property
    def stacked(self) -> Tensor:
        """All masks, (N, C, H, W)."""
        return torch.stack([torch.as_tensor(mask) for mask in self.masks.values()], dim=1)

    def thresholds(self, top: float) -> tuple[Tensor, Tensor]:
        """The smallest of the top values of each unit, and its lowest value of all."""
        kept: Tensor | None = None
        lowest, total = None, 0
        count = 0
        for _, values in self.values():
            flat = values.transpose(0, 1).flatten(1)
            if kept is None:
                per_row = values.shape[2] * values.shape[3]
                total = count_rows(self.inputs) * per_row
                count = max(1, round(top * total))
                kept, lowest = flat[:, :0], flat.amin(1)
            assert lowest is not None
            both = torch.cat([kept, flat], 1)
            kept = both.topk(min(count, both.shape[1]), 1).values
            lowest = torch.minimum(lowest, flat.amin(1))
        assert kept is not None and lowest is not None
        return kept.amin(1), lowest

    def overlap(self, top: float, orders: Sequence[NDArray[np.int64]] = ()) -> _Overlaps:
        """IoU of every unit and concept, with the masks in place and in each of the ``orders``."""
        threshold, lowest = self.thresholds(top)
        every = [np.arange(count_rows(self.inputs)), *orders]
        both = torch.zeros(len(every), len(threshold), len(self.masks), dtype=torch.float64)
        active, there = (torch.zeros(size).double() for size in ((len(threshold), 1), (1, 1)))
        cells = 1
        for rows, values in self.values():
            cells = values.shape[2] * values.shape[3]
            size = (self.stacked.shape[2], self.stacked.shape[3])
            if cells > 1 and values.shape[2:] != size:
                values = interpolate(values, size, mode="bilinear", align_corners=False)
            limit = threshold[None, :, None, None]
            on = (values >= limit) & (values > lowest[None, :, None, None])
            left = on.transpose(0, 1).flatten(1).float()
            for place, order in enumerate(every):
                marks = self.marks(order[rows], cells > 1)
                right = marks.transpose(0, 1).flatten(1).float()
                both[place] += (left @ right.T).double()
                if not place:
                    there = there + right.double().sum(1)[None]
            active += left.double().sum(1, keepdim=True)
        union = active + there - both
        return _Overlaps((both / union.clamp(min=1)).numpy(), threshold.numpy(), places=cells)


@dataclass(frozen=True, eq=False)
class _Overlaps:
    """IoU (1 + S, K, C): of the masks in place, then of S shuffles; ``thresholds`` (K,)."""

    all: Array
    thresholds: Array
    places: int

    @property
    def p(self) -> Array:
        """(K, C)."""
        spread = self.all.std(0)
        apart = (self.all - self.all.mean(0)) / np.where(spread > 0, spread, 1.0)
        chance = apart[1:].reshape(len(apart) - 1, -1).max(1, initial=-np.inf)
        reached = (chance[:, None, None] >= apart[:1] - 1e-9).sum(0)
        return np.asarray((1 + reached) / len(apart))


def dissect(
    cut: Slice,
    inputs: Any,
    masks: Mapping[str, Masks],
    *,
    top: float = TOP,
    rotations: int = 3,
    seed: int = 0,
    done: Callable[[], None] = lambda: None,
) -> Dissection:
    """IoU of every unit at the slice and every concept's mask (N, H, W), over ``inputs`` (N, …).

    ``top``: the share q of a unit's values that count as active.
    """
    _require(inputs, masks, top)
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(count_rows(inputs)) for _ in range(SHUFFLES)]
    found = _Scan(cut, inputs, masks, rotation=None).overlap(top, orders)
    overlap = found.all[0]
    done()
    shares = []
    for _ in range(rotations):
        rotation = random_rotation(len(overlap), generator)
        turned = _Scan(cut, inputs, masks, rotation=rotation).overlap(top).all[0]
        shares.append(float((turned.max(1) > DETECTS).mean()))
        done()
    return Dissection(
        layer=str(cut),
        concepts=tuple(masks),
        overlap=overlap,
        p=found.p,
        thresholds=found.thresholds,
        places=found.places,
        rotated=tuple(shares),
    )


def random_rotation(size: int, generator: np.random.Generator) -> Array:
    """An orthogonal matrix, uniform over all: Q of Gaussian = Q R, R's diagonal positive."""
    q, r = np.linalg.qr(generator.normal(size=(size, size)))
    return np.asarray(q * np.sign(np.diag(r)))


def _require(inputs: Any, masks: Mapping[str, Masks], top: float) -> None:
    if not 0 < top < 1:
        raise QueryError("top share of values", expected="more than 0, less than 1", got=f"{top:g}")
    if not masks:
        raise DataError("masks", expected="one concept or more", got="none")
    count = count_rows(inputs)
    sizes = {name: mask.shape for name, mask in masks.items()}
    for name, size in sizes.items():
        if len(size) != 3 or size[0] != count:
            raise DataError(f"mask {name}", expected=f"({count}, H, W)", got=str(size))
        if size != next(iter(sizes.values())):
            first = next(iter(sizes.values()))
            raise DataError(f"mask {name}", expected=f"the others' size {first}", got=str(size))
        if not masks[name].any():
            raise DataError(f"mask {name}", expected="a pixel with the concept", got="none")
