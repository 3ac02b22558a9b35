"""Many balls at once: rigorous bounds, a gradient attack, and replay, batched over inputs.

For input x predicted as t the property over its ball is y_t − y_j > 0 for every j ≠ t (for one
logit, that it is on its side of the threshold); its *margin* is the smallest of these
differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.operators import Operators, operators
from precond.proof.bounds.backward import lower_bound
from precond.proof.bounds.layer_passes import INTERVALS, LayerPasses
from precond.proof.bounds.multipliers import improve
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.region import refine
from precond.proof.deadline import Deadline
from precond.proof.descent import Direction, Pace, descend
from precond.proof.gate import excludes

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
CHUNK_BYTES = 128 << 20
ATTACK_STEPS = 40
RESTARTS = 4


@dataclass(frozen=True, eq=False)
class Balls:
    """Boxes [``lower``, ``upper``] (N, n) around ``points`` (N, n), each of a class (N,)."""

    points: Array
    lower: Array
    upper: Array
    classes: Rows

    def __len__(self) -> int:
        return len(self.points)

    def rows(self, which: Rows) -> Balls:
        """Those at the positions ``which``."""
        return Balls(
            self.points[which], self.lower[which], self.upper[which], classes=self.classes[which]
        )


def margin_bounds(
    network: Network,
    lower: Array,
    upper: Array,
    classes: Rows,
    *,
    steps: int = 0,
    deadline: Deadline,
    device: str = "cpu",
) -> Array:
    """Rigorous lower bounds (N,) of the margin of ``classes`` (N,) over N boxes (N, n).

    ``steps`` > 0 optimises the relaxation's slopes.  −∞ for boxes not reached by the
    ``deadline``.
    """
    ops = operators(network, device, torch.float64)
    result = np.full(len(lower), -np.inf)
    size = chunk(network, 4 if steps else 1)
    for start in range(0, len(lower), size):
        if deadline.passed:
            return result
        rows = slice(start, start + size)
        result[rows] = _margins(
            ops,
            lower=tensor(lower[rows], ops),
            upper=tensor(upper[rows], ops),
            classes=classes[rows],
            steps=steps,
            deadline=deadline,
        )
    return result


def _margins(
    ops: Operators, lower: Tensor, upper: Tensor, classes: Rows, steps: int, deadline: Deadline
) -> Array:
    network = ops.network
    form, constant = (part.to(ops.device) for part in rivals(network, classes))
    with torch.no_grad():
        refined = refine(ops, lower, upper, passes=LayerPasses(deadline=deadline))
        objective = Objective(network.output, form, constant)
        if not steps:
            bound = lower_bound(refined.region, objective)
    if steps:
        bound, _ = improve(refined.region, objective, steps=steps, deadline=deadline)
    values = bound.value.detach()
    return np.asarray(values.min(dim=1).values.cpu().numpy())


def rivals(network: Network, classes: Rows) -> tuple[Tensor, Tensor]:
    """The margins of ``classes`` (N,) over each rival: forms (N, R, K) and constants (N, R)."""
    each = [network.classes.margins(t) for t in range(network.classes.count)]
    forms, constants = (torch.tensor(np.stack([pair[k] for pair in each])) for k in (0, 1))
    return forms[classes], constants[classes]


def batch_attack(
    network: Network,
    balls: Balls,
    *,
    deadline: Deadline,
    seed: int = 0,
    device: str = "cpu",
) -> dict[int, Array]:
    """Candidate witnesses by projected gradient: position → input (n,), violating in float64.

    Each ball is attacked from its centre and ``RESTARTS`` − 1 random points of it, with signed
    steps that shrink, on the smallest margin.
    """
    ops = operators(network, device, torch.float64)
    rng = np.random.default_rng(seed)
    found: dict[int, Array] = {}
    size = max(1, chunk(network, 1) // 2)
    for attempt in range(RESTARTS):
        left = np.array([k for k in range(len(balls)) if k not in found], dtype=np.int64)
        for start in range(0, len(left), size):
            if deadline.passed:
                return found
            part = left[start : start + size]
            some = balls.rows(part)
            begin = some.points
            if attempt:
                begin = some.lower + rng.uniform(size=begin.shape) * (some.upper - some.lower)
            found |= _attack(ops, begin, balls=some, numbers=part, deadline=deadline)
    return found


def _attack(
    ops: Operators,
    begin: Array,
    balls: Balls,
    numbers: Rows,
    deadline: Deadline,
) -> dict[int, Array]:
    network = ops.network
    low, high = tensor(balls.lower, ops), tensor(balls.upper, ops)
    own = torch.tensor(balls.classes, device=ops.device)[:, None]
    x = torch.minimum(torch.maximum(tensor(begin, ops), low), high)
    found: dict[int, Array] = {}

    def look(x: Tensor, values: dict[str, Tensor]) -> Tensor | None:
        scores = network.classes.scores(values[network.output].flatten(1))
        others = scores.scatter(1, own, -torch.inf).amax(1)
        margin = scores.gather(1, own)[:, 0] - others
        for position in (margin < 0).nonzero()[:, 0].tolist():
            if int(numbers[position]) not in found:
                found[int(numbers[position])] = x.detach()[position].cpu().numpy()
        return None if len(found) == len(numbers) or deadline.passed else margin.sum()

    pace = Pace(0.5, 0.92, Direction.SIGNS)
    descend(
        ops, x, box=(low, high), pace=pace, look=look, wanted=[network.output], steps=ATTACK_STEPS
    )
    return found


def violates(
    network: Network, points: Array, classes: Rows, *, device: str = "cpu"
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which points (N, n) are not given their class: (surely, in float32), (N,) each.

    *Surely*: rigorous bounds over the single point show a rival output above the class's, so it
    holds for the real-valued network.
    """
    scores = network.classes.scores(outputs(network, points, device=device))
    own = np.arange(scores.shape[1]) == classes[:, None]
    rival = np.where(own, -np.inf, scores).argmax(axis=1)
    place = rival - (rival > classes)  # among the rivals of the class
    forms, constants = rivals(network, classes)
    ops = operators(network, device, torch.float64)
    surely = np.zeros(len(points), dtype=np.bool_)
    size = chunk(network, 1)
    for start in range(0, len(points), size):
        rows = slice(start, start + size)
        chosen = np.arange(len(points))[rows], place[rows]
        form, constant = (-part[chosen][:, None].to(ops.device) for part in (forms, constants))
        at = tensor(points[rows], ops)
        with torch.no_grad():
            refined = refine(ops, at, at, passes=INTERVALS)
            bound = lower_bound(refined.region, Objective(network.output, form, constant))
        surely[rows] = excludes(bound.value[:, 0]).cpu().numpy()
    small = outputs(network, points, device=device, dtype=torch.float32)
    return surely, np.asarray(network.classes.predicted(small) != classes)


def chunk(network: Network, factor: int) -> int:
    """How many balls are bounded at once."""
    widest = max(network.width(name) for name in network.shapes)
    return int(max(1, min(512, CHUNK_BYTES // (8 * factor * widest * (network.output_size + 8)))))


def tensor(values: NDArray[np.floating], ops: Operators) -> Tensor:
    return torch.tensor(np.asarray(values, dtype=np.float64), device=ops.device)
