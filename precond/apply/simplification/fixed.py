"""Neurons that are always on, or always off, over a box.

*Off*: the pre-activation z ≤ 0 for every input of the box, so that ReLU(z) = 0.  *On*: z ≥ 0
for every input, so that ReLU(z) = z.  One propagation bounds all neurons at once.  Of those that
it leaves open, a neuron that was seen on both sides is free; the others are put to the prover one
by one, those whose bound misses by least first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.basics.progress import Progress, Silent
from precond.errors import QueryError
from precond.network.evaluate import iterate
from precond.network.graph import Network
from precond.network.layers import ReLU
from precond.network.parts import head
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.bounds.problem import layer_bounds, region_of
from precond.proof.claim import Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.effort import Effort
from precond.proof.gate import is_off, is_on
from precond.proof.prover.prove import prove
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
BOUNDS = 0.5  # of the budget, for the one propagation
SAMPLES = 2000  # inputs of the box that are looked at


@dataclass(frozen=True, eq=False)
class FixedNeurons:
    """Of one ReLU layer, which neurons are on and which are off all over the box, (m,) each.

    A neuron that is 0 all over the box is both."""

    on: Mask
    off: Mask

    @property
    def count(self) -> int:
        return int((self.on | self.off).sum())


@dataclass(frozen=True)
class OneSidedNeuron:
    """A neuron that was seen on one side only, by how much its bound misses, and which side."""

    miss: float
    layer: str
    neuron: int
    on: bool


def fixed_neurons(
    network: Network,
    box: Box,
    *,
    points: NDArray[np.floating],
    effort: Effort,
    progress: Progress | None = None,
) -> dict[str, FixedNeurons]:
    """By ReLU layer.  ``points`` (N, n): inputs of the box to look at, besides those drawn."""
    progress = progress or Silent()
    deadline = Deadline.after(effort.budget)
    layers = [
        name for name in network.decision_layers if isinstance(network.node[name].layer, ReLU)
    ]
    problem = Problem(network, box, intervals={}, conjuncts=())
    if (refusal := beyond_floats(problem)) is not None:
        raise QueryError(f"bounds of {network.origin}: {refusal}")
    region = region_of(problem, effort.device, deadline=deadline.earlier(BOUNDS * deadline.left))
    bounds = layer_bounds(region)
    known = {name: [is_on(bounds[name][0]), is_off(bounds[name][1])] for name in layers}
    seen = _seen(network, layers, _inputs(box, points, effort.seed))
    candidates = sorted(_open(bounds, known, seen), key=lambda one: one.miss)
    progress.stage("neurons put to the prover", len(candidates))
    for candidate in candidates:
        if deadline.passed:
            break
        claim = phase_claim(
            network, box, candidate.layer, neurons=[(candidate.neuron, candidate.on)]
        )
        seconds = min(effort.each, deadline.left)
        if prove(claim, budget=seconds, device=effort.device, seed=effort.seed).is_proved:
            known[candidate.layer][0 if candidate.on else 1][candidate.neuron] = True
        progress.step()
    return {name: FixedNeurons(*pair) for name, pair in known.items()}


def phase_claim(
    network: Network, box: Box, layer: str, neurons: Sequence[tuple[int, bool]]
) -> Claim:
    """That all over the box the pre-activations of these neurons of ``layer`` are ≥ 0 (True) or
    ≤ 0 (False): a claim about the part of the network that computes them."""
    part = head(network, network.pre_activation(layer))
    clauses = tuple((Inequality(((k, 1.0 if on else -1.0),), 0.0),) for k, on in neurons)
    return Claim(
        part, box, DecisionPattern(), property=Property(clauses, f"fixed neurons of {layer}")
    )


def _open(
    bounds: Mapping[str, tuple[Array, Array]],
    known: Mapping[str, list[Mask]],
    seen: Mapping[str, tuple[Mask, Mask]],
) -> Iterator[OneSidedNeuron]:
    """Neurons that are not known to be fixed and were seen on one side only."""
    for layer, (on, off) in known.items():
        low, high = bounds[layer]
        above, below = seen[layer]
        for k in np.flatnonzero(~on & ~off & ~(above & below)).tolist():
            is_above = bool(above[k])
            miss = float(-low[k] if is_above else high[k]) / float(high[k] - low[k])
            yield OneSidedNeuron(miss, layer, k, on=is_above)


def _inputs(box: Box, points: NDArray[np.floating], seed: int) -> Array:
    """Inputs of the box: ``points`` that lie in it, some anywhere, and some corners."""
    rng = np.random.default_rng(seed)
    flat = np.asarray(points, dtype=np.float64).reshape(-1, box.size)
    inside = flat[box.contains(flat)][:SAMPLES]
    anywhere = rng.uniform(box.lower, box.upper, size=(SAMPLES // 2, box.size))
    side = rng.random((SAMPLES // 2, box.size)) < rng.random((SAMPLES // 2, 1))
    return np.concatenate([inside, anywhere, np.where(side, box.lower, box.upper)])


def _seen(network: Network, layers: Sequence[str], inputs: Array) -> dict[str, tuple[Mask, Mask]]:
    """By layer, which neurons were above 0 for an input, and which below."""
    sources = {layer: network.pre_activation(layer) for layer in layers}
    wide = {layer: np.zeros((2, network.width(layer)), dtype=np.bool_) for layer in layers}
    for rows, values in iterate(network, inputs, list(sources.values())):
        for layer, source in sources.items():
            z = values[source].reshape(rows.stop - rows.start, -1).cpu().numpy()
            wide[layer] |= np.stack([(z > 0).any(0), (z < 0).any(0)])
    return {layer: (sides[0], sides[1]) for layer, sides in wide.items()}
