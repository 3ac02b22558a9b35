"""Regions of a certificate with the bounds that are known in each, in machine words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.checker.words import WORD, Array, Fixed, exponent, shift


@dataclass(eq=False)
class Cells:
    """G regions: lower bounds (2, G, m) of every value and its negative, lines of nonlinear nodes.

    Lines of an activation: slopes below and above, (G, m) in units of 2^-p, intercept above,
    and where any slope in [s, 1] may lie below.  Of a max-pool: weights of its inputs
    below (G, m, k), the input above, its slope and intercept (G, m).

    ``slack``, (G, m) of affine nodes whose floats are not their constants: minus the most that
    their values are off.
    """

    values: dict[str, Fixed]
    empty: NDArray[np.bool_]
    lines: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    slack: dict[str, Fixed] = field(default_factory=dict)

    def rows(self, which: Array) -> Cells:
        values = {name: x[:, which] for name, x in self.values.items()}
        lines = {name: tuple(x[which] for x in parts) for name, parts in self.lines.items()}
        slack = {name: x[which] for name, x in self.slack.items()}
        return Cells(values, self.empty[which], lines, slack=slack)

    def mass(self, name: str, index: Any = slice(None)) -> Fixed:
        """A lower bound of Σ value⁻, (G, 1), over the values ``index``: what a unit less in each
        of their coefficients may add."""
        x = self.values[name]
        return Fixed(np.minimum(x.n[0][:, index], 0).sum(-1, keepdims=True), x.e)


def joined(parts: list[Cells]) -> Cells:
    """The regions of all parts, their values alone."""
    values = {}
    for name in parts[0].values:
        own = [part.values[name] for part in parts]
        e = exponent(WORD, *own)
        values[name] = Fixed(np.concatenate([shift(x.n, x.e - e) for x in own], 1), e)
    return Cells(values, np.concatenate([part.empty for part in parts]))
