"""A linear program's duals as a ``Leaf``: the multipliers of a backward pass.

Row duals of literals are β, those of a free neuron's two lower lines give its slope α, those
of the conjunct's rows its weights.  With the same layer bounds the pass gives the program's
own optimum, and with an empty region's ray and no weights a positive number; where it does
not (half-spaces' duals are not read back, layer bounds differ), ascent steps mend it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from precond.proof.bounds.backward import Multipliers
from precond.proof.bounds.leaf import closing_leaf
from precond.proof.bounds.problem import region_of
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline
from precond.proof.linear.programs import Relaxation
from precond.proof.linear.system import LinearSystem
from precond.proof.rows import Forms, stack_rows
from precond.proof.trace import Leaf
from precond.region.pattern import Neuron

SECONDS = 30.0  # for the ascent, which its steps end long before on most networks
STEPS = 60


def empty_leaf(problem: Problem, where: Neuron, deadline: Deadline) -> Leaf | None:
    """For a region without a possible value of neuron ``where``: its layer bounds show that, or
    a bound of the neuron, which is its literal's multiplier alone; or None."""
    refined = region_of(problem, deadline=deadline)
    if bool(refined.empty[0]):
        return Leaf(empty=True)
    layer, index = where
    if layer not in problem.intervals:
        return None
    output, width = problem.network.width(problem.network.output), problem.network.width(layer)
    unit = {layer: _tensor(np.eye(width)[index])}
    zero = torch.zeros(1, output + 1, dtype=torch.float64)
    nothing = Forms(zero[:, 1:], inputs=None, constant=zero[:, 0], strict=zero[:, 0] > 0)
    for start in (Multipliers(low=unit), Multipliers(high=unit)):
        leaf = closing_leaf(
            refined.region,
            nothing,
            [start],
            steps=STEPS,
            deadline=deadline.earlier(SECONDS),
        )
        if leaf is not None:
            return leaf
    return None


def without_rows(leaf: Leaf | None, conjunct: Conjunct) -> Leaf | None:
    """A leaf that needs none of a conjunct's rows, for that conjunct."""
    return None if leaf is None else replace(leaf, weights=np.zeros(len(conjunct)))


def leaf_of(
    problem: Problem,
    conjunct: Conjunct,
    found: Relaxation,
    system: LinearSystem,
    deadline: Deadline,
) -> Leaf | None:
    """The relaxation's proof that ``conjunct`` has no solution, or None if a pass does not
    repeat it (in time)."""
    refined = region_of(problem, deadline=deadline)
    if bool(refined.empty[0]):
        return Leaf(empty=True)
    even = np.full(len(conjunct), 1.0 / max(len(conjunct), 1))
    starts = [Multipliers()]
    if found.weights is not None:
        starts.append(_multipliers(found, system))
    rows = stack_rows(problem.only((conjunct,)), "cpu")
    for weights in (found.weights, even):
        if weights is None or len(weights) != len(conjunct):
            continue
        leaf = closing_leaf(
            refined.region,
            rows.mixed(torch.tensor(weights, dtype=torch.float64)[None]),
            starts,
            steps=STEPS,
            deadline=deadline.earlier(SECONDS),
        )
        if leaf is not None:
            return replace(leaf, weights=weights)
    return None


def _multipliers(found: Relaxation, system: LinearSystem) -> Multipliers:
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
