"""What the certifier asks the float engines: better multipliers, and where to split.

Nothing here has to be right: the checker decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from precond.network.operators import operators
from precond.proof.bounds.layer_passes import INTERVALS
from precond.proof.bounds.leaf import leaf_of
from precond.proof.bounds.lines import ActivationLines
from precond.proof.bounds.multipliers import improve
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.problem import region_of
from precond.proof.bounds.region import Refined, refine
from precond.proof.bounds.row_bounds import improved_bounds, row_bounds
from precond.proof.claim import Conjunct, Problem
from precond.proof.deadline import Deadline
from precond.proof.limits import Limits, layer_tensors, limits_of
from precond.proof.linear.encode import Bounds
from precond.proof.rows import stack_rows
from precond.proof.trace import Leaf
from precond.region.box import Box

Array = NDArray[np.float64]
Split = tuple[int, float]
FEW_INPUTS = 24
BATCH = 256  # boxes looked at together
DIGITS = 8, 12  # bits of slopes after the point, and of other multipliers


@dataclass(frozen=True, eq=False)
class LeafTrial:
    """Multipliers, the float bound they give, and the coordinate whose split may help most."""

    leaf: Leaf
    bound: float
    split: Split | None


def problem_in(problem: Problem, state: Array, bounds: Bounds | None = None) -> Problem | None:
    """``problem`` in the region ``state`` (2, coordinates), with layer bounds that are known there;
    None if its box is empty."""
    network, size = problem.network, problem.network.input_size
    lower, upper = state[0, :size], -state[1, :size]
    if (lower > upper).any():
        return None
    intervals, first = {}, size
    for layer in network.decision_layers:
        part = state[:, first : first + network.width(layer)]
        first += network.width(layer)
        if np.isfinite(part).any():
            intervals[layer] = part[0].copy(), -part[1]
    return replace(problem, box=Box(lower, upper), intervals=intervals, bounds=bounds)


def improved(
    problem: Problem, conjunct: Conjunct, weights: Array | None, steps: int, deadline: Deadline
) -> LeafTrial:
    """Multipliers for a conjunct in the problem's region, by ascent."""
    refined = region_of(problem, deadline=deadline)
    if bool(refined.empty[0]):
        return LeafTrial(Leaf(empty=True), np.inf, split=None)
    if not len(conjunct):
        return LeafTrial(Leaf(), -np.inf, _widest(problem, np.ones(problem.network.input_size)))
    mix = np.eye(len(conjunct))
    if weights is not None and len(weights) == len(conjunct):
        mix = np.vstack([mix, np.asarray(weights, dtype=np.float64)])
    rows = stack_rows(problem.only((conjunct,)), "cpu")
    choices = rows.mixed(torch.tensor(mix))
    found, used = improved_bounds(refined.region, choices, steps=steps, deadline=deadline)
    best = int(found.value[0].argmax())
    with torch.no_grad():
        chosen = rows.mixed(torch.tensor(mix[best : best + 1]))
        plain = row_bounds(refined.region, chosen, keep=True)
    leaf = leaf_of(used, best, weights=mix[best])
    if int((problem.box.width > 0).sum()) <= FEW_INPUTS:
        split = _widest(problem, plain.form[0, 0].abs().numpy())
    else:
        split = _dearest(problem, refined, plain.coefficients)
    return LeafTrial(leaf, float(found.value[0, best]), split)


def in_boxes(
    problem: Problem,
    boxes: tuple[Array, Array],
    conjunct: Conjunct,
    weights: Array,
    steps: int,
    deadline: Deadline,
) -> list[tuple[Leaf, Split | None]]:
    """For each box (lower and upper, (G, n)) multipliers for the conjunct's bound with weights
    (G, inequalities), by ``steps`` of ascent, and the cut of the input that matters most."""
    found: list[tuple[Leaf, Split | None]] = []
    rows = stack_rows(problem.only((conjunct,)), "cpu")
    ops = operators(problem.network, "cpu", torch.float64)
    limits = Limits(layer_tensors(problem.intervals))
    for begin in range(0, len(weights), BATCH):
        part = slice(begin, begin + BATCH)
        lower, upper = boxes[0][part], boxes[1][part]
        mixed = rows.mixed(torch.tensor(weights[part])[:, None])
        with torch.no_grad():
            refined = refine(ops, torch.tensor(lower), torch.tensor(upper), limits=limits)
            plain = row_bounds(refined.region, mixed)
        _, used = improved_bounds(refined.region, mixed, steps=steps, deadline=deadline)
        for k, form in enumerate(plain.form[:, 0].abs().numpy()):
            mix = weights[begin + k]
            leaf = leaf_of(used, subdomain=k, weights=mix) if steps else Leaf(mix)
            box = replace(problem, box=Box(lower[k], upper[k]))
            found.append((leaf, _widest(box, form)))
    return found


def _widest(problem: Problem, weight: Array) -> Split | None:
    box = problem.box
    score = (weight + 0.02 * weight.max(initial=0.0) + 1e-300) * box.width
    axis = int(score.argmax())
    middle = float((box.lower[axis] + box.upper[axis]) / 2)
    return (axis, middle) if box.lower[axis] < middle < box.upper[axis] else None


def _dearest(
    problem: Problem, refined: Refined, coefficients: Mapping[str, Tensor]
) -> Split | None:
    """The free neuron whose relaxation costs most."""
    first, best, chosen = problem.network.input_size, 0.0, None
    for layer in problem.network.decision_layers:
        lines = refined.region.lines[layer]
        if layer in coefficients and isinstance(lines, ActivationLines):
            cost = (coefficients[layer][0, 0].abs() * lines.shift[0, 0]).numpy()
            cost = np.where(lines.free[0, 0].numpy(), cost, 0.0)
            if cost.max() > best:
                best, chosen = float(cost.max()), first + int(cost.argmax())
        first += problem.network.width(layer)
    return None if chosen is None else (chosen, 0.0)


def layer_records(problem: Problem, steps: int, deadline: Deadline) -> list[tuple[int, Leaf]]:
    """Optimised multipliers of every open neuron's two bounds, as (2 · neuron + side, leaf)."""
    network = problem.network
    start = region_of(problem, deadline=deadline)
    ops, lower, upper = start.region.ops, start.region.lower, start.region.upper
    limits = limits_of(problem)
    known = {**layer_tensors(problem.bounds or {}), **start.bounds}
    found, offset = [], 0
    for layer in network.decision_layers:
        width, source = network.width(layer), network.pre_activation(layer)
        low, high = known[layer]
        open_ = ((low < 0) & (high > 0))[0].nonzero().squeeze(1)
        if len(open_) and source in network.loose and not deadline.passed:
            with torch.no_grad():
                region = refine(
                    ops, lower, upper, limits=limits, known=known, passes=INTERVALS
                ).region
            eye = torch.eye(width, dtype=torch.float64)[open_]
            form = torch.cat([eye, -eye])[None]
            bound, used = improve(
                region,
                Objective(source, form, form.new_zeros(1, len(form[0]))),
                steps=steps,
                deadline=deadline,
                goal=torch.inf,
            )
            for r in range(2 * len(open_)):
                side, neuron = divmod(r, len(open_))
                found.append((2 * (offset + int(open_[neuron])) + side, leaf_of(used, r)))
            count = len(open_)
            low, high = low.clone(), high.clone()
            low[0, open_] = torch.maximum(low[0, open_], bound.value[0, :count])
            high[0, open_] = torch.minimum(high[0, open_], -bound.value[0, count:])
            known[layer] = low, torch.maximum(low, high)
        offset += width
    return found


class Records:
    """Rows of multipliers, collected; few digits each."""

    def __init__(self, layers: Mapping[str, int], neurons: int, rows: int) -> None:
        self.offset, self.neurons, self.rows = layers, neurons, rows
        self.columns: list[NDArray[np.int64]] = []
        self.values: list[Array] = []
        self.built: csr_array | None = None

    def __len__(self) -> int:
        return len(self.columns)

    def put(self, leaf: Leaf, digits: tuple[int, int] = DIGITS) -> int:
        """The number of a leaf's record, with so many ``DIGITS``."""
        slopes, others = (2.0**bits for bits in digits)
        dense = np.zeros(3 * self.neurons + self.rows)
        for first, parts in enumerate((leaf.alpha, leaf.low, leaf.high)):
            for layer, values in parts.items():
                begin = first * self.neurons + self.offset[layer]
                dense[begin : begin + len(values)] = np.nan_to_num(values)
        dense[: self.neurons] = np.round(dense[: self.neurons] * slopes) / slopes
        if leaf.half is not None:
            dense[3 * self.neurons :] = leaf.half
        mantissa, power = np.frexp(np.maximum(dense[self.neurons :], 0.0))
        dense[self.neurons :] = np.ldexp(np.round(mantissa * others) / others, power)
        self.columns.append(np.flatnonzero(dense > 0))
        self.values.append(dense[self.columns[-1]])
        return len(self.columns) - 1

    def matrix(self) -> csr_array:
        if self.built is None or self.built.shape[0] < len(self):
            starts = np.cumsum([0, *(len(c) for c in self.columns)])
            columns = np.concatenate([np.zeros(0, np.int64), *self.columns])
            values = np.concatenate([np.zeros(0), *self.values])
            shape = (len(self), 3 * self.neurons + self.rows)
            self.built = csr_array((values, columns, starts), shape=shape)
        return self.built
