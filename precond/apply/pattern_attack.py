"""Try to break a proved pattern: many inputs made to satisfy it, looked at one by one.

Starts are inputs of the class, mixes of two of them, and mixes with inputs of other classes.
From each a projected gradient walks inside the box: while a literal is violated towards the
pattern, and inside it towards the nearest other answer, so that most of its steps are inputs
with the pattern, each nearer to a violation than the last.  The walk is in float32; every
point of it that has the pattern there is evaluated again in float64, and only what satisfies
the pattern's closure (on is z ≥ 0, off is z ≤ 0) then counts, and what violates the property
then is put to exact replay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.network.evaluate import forward
from precond.network.graph import INPUT
from precond.network.operators import Operators, operators
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.descent import Pace, descend
from precond.proof.replay import replay
from precond.proof.rows import stack_rows

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
STEPS = 40  # of a walk
SEED = 0
REPLAYED = 100  # violations that are replayed exactly
TOLERANCE = 1e-4  # of a pre-activation in float32, for what is worth a look in float64


@dataclass(frozen=True, eq=False, kw_only=True)
class PatternAttack:
    """``evaluated``: inputs run.  ``inside``: of these with the pattern, in float64.
    ``violating``: of these without the property, in float64; ``replayed``: of these that exact
    arithmetic agrees on (of the first ``REPLAYED``).  ``least``: the smallest margin of the
    property seen inside the pattern.  ``worst`` (n,): the input that has it."""

    evaluated: int
    inside: int
    violating: int
    replayed: int
    least: float
    worst: Array | None
    seconds: float


def attack_pattern(
    claim: Claim,
    inputs: NDArray[np.floating],
    others: NDArray[np.floating],
    *,
    count: int = 100_000,
    deadline: Deadline | None = None,
    batch: int = 2000,
    device: str = "cpu",
) -> PatternAttack:
    """Make inputs until ``wanted`` of them satisfy the claim's pattern (or ``deadline``).

    ``inputs`` (N, n) of the class, ``others`` (M, n) of the rest, to mix from.
    """
    limit = Deadline(float("inf")) if deadline is None else deadline
    began = Deadline.after(0.0).at
    walk = _Walk(claim, device)
    rng = np.random.default_rng(SEED)
    own = np.asarray(inputs, dtype=np.float64).reshape(len(inputs), claim.box.size)
    rest = np.asarray(others, dtype=np.float64).reshape(len(others), claim.box.size)
    evaluated = inside = violating = replayed = rounds = 0
    least, worst = float("inf"), None
    while inside < count and not limit.passed and (inside or rounds < 10):
        rounds += 1
        start = _starts(own, rest, batch, claim, rng)
        for points in walk.points(start, rng):
            evaluated += len(start)
            if not len(points):
                continue
            margin, has, holds = walk.look(points)
            inside += int(has.sum())
            if not has.any():
                continue
            low = int(np.where(has, margin, np.inf).argmin())
            if margin[low] < least:
                least, worst = float(margin[low]), points[low].copy()
            bad = np.flatnonzero(has & ~holds)
            for row in bad[: max(0, REPLAYED - violating)]:
                replayed += replay(claim, points[row]).counts
            violating += len(bad)
            if inside >= count or limit.passed:
                break
    seconds = Deadline.after(0.0).at - began
    return PatternAttack(
        evaluated=evaluated,
        inside=inside,
        violating=violating,
        replayed=replayed,
        least=least,
        worst=worst,
        seconds=seconds,
    )


def _starts(own: Array, rest: Array, count: int, claim: Claim, rng: np.random.Generator) -> Array:
    """Inputs of the class, mixes of two of them, mixes with others, (count, n) in the box."""
    first = own[rng.integers(0, len(own), count)]
    second = own[rng.integers(0, len(own), count)]
    if len(rest):
        foreign = rng.random(count) < 0.4
        second[foreign] = rest[rng.integers(0, len(rest), int(foreign.sum()))]
    part = rng.random((count, 1)) * (rng.random((count, 1)) < 0.8)
    mixed = (1 - part) * first + part * second
    noise = rng.normal(size=mixed.shape) * claim.box.width * 0.1 * rng.random((count, 1))
    points: Array = np.clip(mixed + noise, claim.box.lower, claim.box.upper)
    return points


class _Walk:
    def __init__(self, claim: Claim, device: str) -> None:
        self.claim = claim
        self.device = device
        self.network = claim.network
        self.quick = operators(self.network, device, torch.float32)
        self.exactly = operators(self.network, device, torch.float64)
        self.limits = {
            self.network.pre_activation(layer): pair
            for layer, pair in claim.problem.intervals.items()
        }
        self.wanted = list(dict.fromkeys([*self.limits, self.network.output]))
        self.rows = {
            kind: stack_rows(claim.problem, device, kind) for kind in (torch.float32, torch.float64)
        }

    def points(self, start: Array, rng: np.random.Generator) -> list[Array]:
        """The points with the pattern (in float32) of one walk, a list entry a step; a row
        that a step did not move is not counted again."""
        kept: list[Array] = []
        lower, upper = (self._tensor(b) for b in (self.claim.box.lower, self.claim.box.upper))
        goal = self._tensor(
            rng.integers(0, len(self.claim.problem.conjuncts), len(start)), torch.int64
        )
        x = self._tensor(start)
        before: Tensor | None = None

        def look(x: Tensor, values: dict[str, Tensor]) -> Tensor:
            nonlocal before
            outside = self._outside(values, x)
            gap = self._gaps(values[self.network.output].flatten(1), x)
            has = outside.detach() <= TOLERANCE
            fresh = has if before is None else has & (x.detach() != before).any(1)
            before = x.detach()
            kept.append(before[fresh].double().cpu().numpy())
            # Some rows head for the nearest other answer, some for one that was drawn.
            nearest = gap.detach().argmin(1)
            chosen = torch.where(goal % 2 == 0, nearest, goal)
            margin = gap.gather(1, chosen[:, None]).squeeze(1)
            return torch.where(has, margin, outside * 10 + 0.1 * margin).sum()

        descend(
            self.quick,
            x,
            (lower, upper),
            Pace(0.1, 0.93),
            look,
            wanted=self.wanted,
            steps=STEPS - 1,
        )
        return kept

    def look(self, points: Array) -> tuple[Array, Flags, Flags]:
        """In float64: the property's margin (k,), which points have the pattern, and which the
        property."""
        margins, inside, holds = [], [], []
        with torch.no_grad():
            for part in np.array_split(points, max(1, len(points) // 4000)):
                x = self._tensor(part, torch.float64)
                values = self._values(self.exactly, x)
                inside.append((self._outside(values, x) <= 0).cpu().numpy())
                y = values[self.network.output].flatten(1)
                margins.append(self._gaps(y, x).amin(1).cpu().numpy())
                holds.append(self.claim.property.holds(y.cpu().numpy(), part))
        return np.concatenate(margins), np.concatenate(inside), np.concatenate(holds)

    def _values(self, ops: Operators, x: Tensor) -> dict[str, Tensor]:
        shaped = x.reshape(-1, *self.network.input_shape)
        return forward(ops, {INPUT: shaped}, self.wanted)

    def _outside(self, values: dict[str, Tensor], x: Tensor) -> Tensor:
        """How far each row is outside the pattern: the largest violation plus the mean one."""
        total = x.new_zeros(len(x))
        worst = x.new_zeros(len(x))
        for source, (low, high) in self.limits.items():
            z = values[source].flatten(1)
            gap = (self._tensor(low, z.dtype) - z).clamp(min=0)
            gap = gap + (z - self._tensor(high, z.dtype)).clamp(min=0)
            total = total + gap.sum(1)
            worst = torch.maximum(worst, gap.amax(1))
        return total + worst

    def _gaps(self, y: Tensor, x: Tensor) -> Tensor:
        """Per conjunct how far it is from holding, (rows, conjuncts): ≤ 0 means it holds."""
        rows = self.rows[y.dtype]
        return rows.largest(rows.margins(y, x))

    def _tensor(self, values: NDArray[np.generic], kind: torch.dtype = torch.float32) -> Tensor:
        return torch.tensor(np.array(values), dtype=kind, device=self.device)
