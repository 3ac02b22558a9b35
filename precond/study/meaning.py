"""What a decision sees: which literals tell a rule's inputs from the rest, and what moves a unit.

*Telling*: literals in the order in which they exclude most of the inputs that are still there, of
those without the rule's pattern.  *Meaning*: how each input value moves a unit's pre-activation,
the mean gradient over a sample of the training inputs; for a unit of the first layer these are
its weights.  And which inputs drive it most: how their mean differs from the mean of all.  All
are counted once for a network and its data, and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.basics.evenly import evenly
from precond.data.dataset import Dataset
from precond.errors import DataError
from precond.network.evaluate import forward
from precond.network.graph import INPUT, Network
from precond.network.operators import operators
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

Array = NDArray[np.float64]
SAMPLE = 64  # inputs that gradients are taken at
DRIVE = 20  # one input in so many drives a unit most
ROWS = 2000  # inputs that literals are weighed on
FEWEST, LONGEST = 2, 6  # input values that are named of a unit


@dataclass(frozen=True)
class UnitLiteral:
    """One literal of a pattern: a unit and what is said of it, such as "on" or "> 2.5"."""

    layer: str
    index: int
    words: str
    pattern: DecisionPattern

    def __str__(self) -> str:
        return f"{self.layer}[{self.index}] {self.words}"


def unit_literals(pattern: DecisionPattern) -> list[UnitLiteral]:
    """The literals of a pattern, one by one."""
    found = [
        UnitLiteral(layer, i, "on", pattern=DecisionPattern(on=frozenset({(layer, i)})))
        for layer, i in sorted(pattern.on)
    ]
    found += [
        UnitLiteral(layer, i, "off", pattern=DecisionPattern(off=frozenset({(layer, i)})))
        for layer, i in sorted(pattern.off)
    ]
    found += [
        UnitLiteral(
            layer, i, f"> {t:.3g}", pattern=DecisionPattern(above=frozenset({(layer, i, t)}))
        )
        for layer, i, t in sorted(pattern.above)
    ]
    return found + [
        UnitLiteral(
            layer, i, f"≤ {t:.3g}", pattern=DecisionPattern(below=frozenset({(layer, i, t)}))
        )
        for layer, i, t in sorted(pattern.below)
    ]


@dataclass(frozen=True, eq=False)
class Meanings:
    """Of the units of ``network``, on ``data`` whose signatures are given."""

    network: Network
    data: Dataset
    signatures: Signatures
    _gradients: dict[tuple[str, int], Array] = field(default_factory=dict)
    _graphs: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    _sampled: list[Signatures] = field(default_factory=list)

    def _train(self, most: int) -> NDArray[np.int64]:
        """Training rows, ``most`` of them at most."""
        train = self.data.train
        return np.asarray(train[evenly(len(train), most)])

    def telling(self, pattern: DecisionPattern, most: int) -> list[UnitLiteral]:
        """The literals that exclude most inputs, at most ``most``; those that exclude none more
        are left out.  The first ones where not all of their layers were recorded."""
        if not self._sampled:
            rows = self._train(ROWS)
            self._sampled.append(self.signatures.rows(rows))
        sample = self._sampled[0]
        literals = unit_literals(pattern)
        try:
            masks = [literal.pattern.holds(sample) for literal in literals]
        except DataError:
            return literals[:most]
        left = ~np.logical_and.reduce(masks) if masks else np.zeros(len(sample), dtype=np.bool_)
        chosen: list[UnitLiteral] = []
        while len(chosen) < most and literals:
            excluded = [int((left & ~mask).sum()) for mask in masks]
            best = int(np.argmax(excluded))
            if chosen and not excluded[best]:
                break
            left &= masks.pop(best)
            chosen.append(literals.pop(best))
        return chosen

    def of(self, layer: str, index: int) -> Array:
        """How each input value moves the unit, (n,)."""
        key = layer, index
        if key not in self._gradients:
            x, z = self._graph(layer)
            (slope,) = torch.autograd.grad(z[:, index].sum(), x, retain_graph=True)
            self._gradients[key] = slope.mean(0).numpy()
        return self._gradients[key]

    def driven_by(self, layer: str, index: int) -> Array | None:
        """The mean of the training inputs that drive the unit up most, less the mean of all,
        (n,); None where its values were not kept."""
        if layer not in self.signatures.pre_activations:
            return None
        rows = self._train(ROWS)
        z = self.signatures.values(layer)[rows, index]
        most = np.argsort(-z, kind="stable")[: max(1, len(rows) // DRIVE)]
        inputs = np.asarray(self.data.flat[rows], dtype=np.float64)
        return np.asarray(inputs[most].mean(0) - inputs.mean(0))

    def told_apart(self, literals: Sequence[UnitLiteral]) -> list[list[tuple[int, bool]]]:
        """``features`` of each unit: two, and up to ``LONGEST`` where those of two units of
        ``literals`` would be the same."""
        units = [(literal.layer, literal.index) for literal in literals]
        full = {unit: self.features(*unit, most=LONGEST) for unit in units}
        found = []
        for unit in units:
            others = [tuple(own) for other, own in full.items() if other != unit]
            count = FEWEST
            while count < len(full[unit]) and any(
                other[:count] == tuple(full[unit][:count]) for other in others
            ):
                count += 1
            found.append(full[unit][:count])
        return found

    @cached_property
    def _spread(self) -> Array:
        """How much each input value varies over the training inputs."""
        rows = np.asarray(self.data.flat[self._train(ROWS)], dtype=np.float64)
        return np.asarray(rows.std(0))

    def features(self, layer: str, index: int, most: int = FEWEST) -> list[tuple[int, bool]]:
        """The input values that move the unit most, each by its own spread, and whether upwards."""
        moved = self.of(layer, index) * self._spread
        order = np.argsort(-np.abs(moved), kind="stable")[:most]
        return [(int(k), bool(moved[k] > 0)) for k in order if moved[k]]

    def _graph(self, layer: str) -> tuple[Tensor, Tensor]:
        """A sample of inputs (N, n), and the layer's pre-activations (N, m) with a graph."""
        if layer not in self._graphs:
            network = self.network
            rows = np.asarray(self.data.flat[self._train(SAMPLE)], dtype=np.float64)
            with torch.enable_grad():
                x = torch.tensor(rows, requires_grad=True)
                source = network.pre_activation(layer)
                ops = operators(network, "cpu", torch.float64)
                z = forward(ops, {INPUT: x.reshape(-1, *network.input_shape)}, [source])[source]
            self._graphs[layer] = x, z.flatten(1)
        return self._graphs[layer]


def nearest_outside(
    inside: NDArray[np.floating], outside: NDArray[np.floating], most: int
) -> NDArray[np.int64]:
    """Positions of the rows of ``outside`` (M, n) nearest to a row of ``inside`` (N, n), in L2."""
    if not len(inside) or not len(outside):
        return np.zeros(0, dtype=np.int64)
    near = np.asarray(inside, dtype=np.float64)
    far = np.asarray(outside, dtype=np.float64)
    squares = (far**2).sum(1)[:, None] - 2 * far @ near.T + (near**2).sum(1)
    return np.argsort(squares.min(axis=1), kind="stable")[:most]
