"""``FeatureQuestion``: one input, what is said of it, and where free features may be.

Units in S stay as in x, the others lie anywhere in ``reach``; S *suffices* when the property
holds of all such inputs.  That is a claim over a box, so ``prove`` answers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.errors import QueryError
from precond.mine.sufficient_features.units import Flags, Units
from precond.network.evaluate import forward
from precond.network.graph import INPUT, Network
from precond.network.operators import Operators, operators
from precond.proof.claim import Claim
from precond.proof.rows import Rows, stack_rows
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
WORK = 1 << 22  # numbers in the largest array of one evaluation


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureQuestion:
    """``x`` (n,) lies in ``reach``; ``free`` flags (m,) say which units may move."""

    network: Network
    x: Array
    property: Property
    reach: Box
    units: Units
    device: str = "cpu"

    def __post_init__(self) -> None:
        outside = np.flatnonzero((self.x < self.reach.lower) | (self.x > self.reach.upper))
        if len(outside):
            i = int(outside[0])
            raise QueryError(
                f"input, feature {i}",
                expected=f"a value of the domain, [{self.reach.lower[i]:g}, "
                f"{self.reach.upper[i]:g}]",
                got=f"{self.x[i]:g}",
                fix="Choose a wider domain",
            )

    @cached_property
    def whole(self) -> Claim:
        """The claim with nothing kept."""
        return Claim(self.network, self.reach, DecisionPattern(), property=self.property)

    def claim(self, free: Flags) -> Claim:
        """The claim with ``free`` (m,) units free."""
        lower, upper = self.ends(free)
        return Claim(self.network, Box(lower, upper), DecisionPattern(), property=self.property)

    def ends(self, free: Flags) -> tuple[Array, Array]:
        """Lower and upper ends (…, n) of the boxes with ``free`` (…, m) units free."""
        move = self.units.features(free)
        return (
            np.where(move, self.reach.lower, self.x),
            np.where(move, self.reach.upper, self.x),
        )

    @cached_property
    def still(self) -> Flags:
        """Units (m,) that cannot move at all: they are free, and it costs nothing."""
        return ~self.units.touched(self.reach.width > 0)

    def changed(self, points: Array) -> Flags:
        """The units (k, m) in which ``points`` (k, n) differ from x."""
        return self.units.touched(points != self.x)

    # -- margins: row r is kept where its margin is positive ----------------------------

    @cached_property
    def ops(self) -> Operators:
        return operators(self.network, self.device, torch.float64)

    @cached_property
    def rows(self) -> Rows:
        """One row for each way to fail; ``property`` has clauses of one inequality."""
        rows = stack_rows(self.whole.problem, self.device)
        assert len(rows.owner) == rows.conjuncts
        return rows

    def tensor(self, values: Array) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def margins(self, points: Array) -> Array:
        """Margins (k, R) at ``points`` (k, n), in float64."""
        widest = max(self.network.width(name) for name in self.network.shapes)
        size = max(1, WORK // widest)
        found = [self._margins(points[at : at + size]) for at in range(0, len(points), size)]
        return np.concatenate(found) if found else np.zeros((0, len(self.rows.owner)))

    def _margins(self, points: Array) -> Array:
        with torch.no_grad():
            return np.asarray(self._forward(self.tensor(points)).cpu().numpy())

    def _forward(self, x: Tensor) -> Tensor:
        network = self.network
        values = forward(self.ops, {INPUT: x.reshape(-1, *network.input_shape)}, [network.output])
        return self.rows.margins(values[network.output].flatten(1), x)

    def slopes(self, points: Array, row: NDArray[np.int64]) -> tuple[Array, Array]:
        """At points (k, n) the margin of row ``row`` (k,) and its gradient (k, n)."""
        x = self.tensor(points).requires_grad_(True)
        margin = self._forward(x).gather(1, torch.tensor(row, device=self.device)[:, None])
        (gradient,) = torch.autograd.grad(margin.sum(), x)
        return (
            np.asarray(margin.detach()[:, 0].cpu().numpy()),
            np.asarray(gradient.cpu().numpy()),
        )
