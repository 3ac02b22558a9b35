"""A linear program's duals as a ``Leaf``: the multipliers of a backward pass.

Row duals of literals are β, those of a free neuron's two lower lines give its slope α, those
of the conjunct's rows its weights.  With the same layer bounds the pass gives the program's
own optimum; where it does not (half-spaces' duals are not read back, layer bounds differ), a
few ascent steps mend it, and an empty region, which has no optimum, is left to them alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from precond.proof.bounds.backward import Multipliers
from precond.proof.bounds.problem import region_of
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline
from precond.proof.engines.base import closing_leaf
from precond.proof.linear.programs import Relaxation
from precond.proof.linear.system import LinearSystem
from precond.proof.trace import Leaf

SECONDS = 30.0  # for the ascent, which its steps end long before on most networks
STEPS = 60


def empty_leaf(problem: Problem) -> Leaf | None:
    """For a region that layer bounds show to be empty, where the backward pass's do too."""
    return Leaf(empty=True) if bool(region_of(problem).empty[0]) else None


def trace_of(
    problem: Problem, conjunct: Conjunct, found: Relaxation, system: LinearSystem
) -> Leaf | None:
    """The relaxation's proof that ``conjunct`` has no solution, or None if a pass does not
    repeat it."""
    refined = region_of(problem)
    if bool(refined.empty[0]):
        return Leaf(empty=True)
    count = len(conjunct)
    weights = found.weights
    if weights is None or len(weights) != count:
        weights = np.full(count, 1.0 / count)
    outputs, inputs, bound = problem.rows(conjunct)
    tried = [Multipliers()]
    if found.weights is not None:
        tried.append(_multipliers(problem, found, system))
    leaf = closing_leaf(
        refined.region,
        _tensor(-weights @ outputs),
        _tensor(np.atleast_1d(weights @ bound))[0],
        _tensor(-weights @ inputs) if inputs.any() else None,
        tried,
        strict=all(i.strict for i in conjunct),
        steps=STEPS,
        deadline=Deadline.after(SECONDS),
    )
    return None if leaf is None else _with_weights(leaf, weights)


def _with_weights(leaf: Leaf, weights: np.ndarray) -> Leaf:
    return Leaf(weights, leaf.alpha, leaf.low, leaf.high, leaf.half)


def _multipliers(problem: Problem, found: Relaxation, system: LinearSystem) -> Multipliers:
    """Slopes of neurons that the program does not call free are those of their phase: the pass
    may see them as free."""
    alpha = {}
    for layer, slopes in found.alpha.items():
        own = np.where(system.layers[layer].low >= 0, 1.0, 0.0)
        alpha[layer] = _tensor(np.where(np.isfinite(slopes), slopes, own))
    return Multipliers(
        alpha,
        {layer: _tensor(low) for layer, (low, _) in found.beta.items()},
        {layer: _tensor(high) for layer, (_, high) in found.beta.items()},
    )


def _tensor(values: np.ndarray) -> Tensor:
    """(1, 1, m)"""
    return torch.tensor(values, dtype=torch.float64)[None, None]
