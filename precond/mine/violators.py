"""Violators: inputs of the domain without the property, and which literals each one misses.

A violator x misses the literals M(x) of a signature.  It refutes every pattern that keeps
none of them, so the patterns that imply the property are hitting sets of all M(x): a literal
that alone is kept of some M(x) cannot be dropped.  One violator thus answers many questions,
and keeps its answer while the pattern weakens (Reiter 1987; Liffiton et al. 2016: minimal
unsatisfiable sets by their correction sets).

``hunt`` looks for violators of many patterns at once, by signed gradient steps that shrink.
A literal is missed where its closure is: on where z < 0, off where z > 0.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.network.evaluate import iterate, outputs
from precond.network.operators import operators
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.descent import Direction, Pace, descend
from precond.proof.rows import stack_rows
from precond.region.literals import Literals

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
MOST = 1500  # violators kept
MOST_ROWS = 600  # searched from
MOST_VALUES = 2 << 20  # decisions of as many rows as take their steps together


class ViolatorPool:
    """The violators met so far: ``points`` (W, n), ``missed`` (W, T).

    ``claim``: its network, box and property are meant; its pattern takes no part.  A kind of
    pool says what of the T conditions a point misses (``_missed``): literals of a signature
    here, features that keep their value in ``sufficient_features``.
    """

    def __init__(self, claim: Claim, count: int) -> None:
        self.claim = claim
        self.points: Array = np.zeros((0, claim.box.size))
        self.missed: Flags = np.zeros((0, count), dtype=np.bool_)
        self.base: Flags = np.zeros(count, dtype=np.bool_)

    def _missed(self, points: Array) -> Flags:
        """What each of ``points`` (k, n) misses, (k, T)."""
        raise NotImplementedError

    def require(self, base: Flags) -> None:
        """From now on only sets that keep ``base`` (T,) are asked about."""
        self.base = base
        self._keep(np.asarray(~(self.missed & base).any(1)))

    def add(self, points: Array) -> int:
        """Take those of ``points`` (k, n) that violate and miss a set of conditions that no other
        does; how many there were."""
        claim = self.claim
        points = points[claim.box.contains(points)] if len(points) else points
        if len(points):
            y = outputs(claim.network, points)
            points = points[~claim.property.holds(y, points)]
        if not len(points):
            return 0
        missed = self._missed(points)
        useful = ~(missed & self.base).any(1)
        useful &= self._unseen(missed)
        self.points = np.concatenate([self.points, points[useful]])
        self.missed = np.concatenate([self.missed, missed[useful]])
        if len(self.points) > MOST:
            fewest = np.argsort(self.missed.sum(1), kind="stable")[:MOST]
            self._keep(np.isin(np.arange(len(self.points)), fewest))
        return int(useful.sum())

    def _keep(self, rows: Flags) -> None:
        self.points, self.missed = self.points[rows], self.missed[rows]

    def _unseen(self, missed: Flags) -> Flags:
        """The first row of each set of missed conditions that no known violator has."""
        seen = {row.tobytes() for row in np.packbits(self.missed, axis=1)}
        fresh = np.zeros(len(missed), dtype=np.bool_)
        for k, row in enumerate(np.packbits(missed, axis=1)):
            fresh[k] = row.tobytes() not in seen
            seen.add(row.tobytes())
        return fresh

    def within(self, kept: Flags) -> Array:
        """The violators (k, n) that satisfy all of ``kept`` (T,)."""
        return self.points[~(self.missed & kept).any(1)]

    def refutes(self, kept: Flags) -> bool:
        """Whether there is one."""
        return bool(len(self.within(kept)))

    def critical(self, kept: Flags) -> Flags:
        """Conditions that alone exclude a known violator, (T,)."""
        alone = (self.missed & kept).sum(1) == 1
        return np.asarray((self.missed[alone] & kept).any(0), dtype=np.bool_)

    def forcing(self, kept: Flags, index: int) -> Array:
        """The violators (k, n) that only condition ``index`` of ``kept`` excludes."""
        alone = ((self.missed & kept).sum(1) == 1) & self.missed[:, index] & kept[index]
        return np.asarray(self.points[alone])

    def forget(self, point: Array) -> None:
        """Leave out a point that exact arithmetic does not confirm."""
        self._keep(~(self.points == point).all(1))


class Violators(ViolatorPool):
    """Those of patterns: the conditions are the ``literals`` of a signature."""

    def __init__(self, claim: Claim, literals: Literals, device: str = "cpu") -> None:
        super().__init__(claim, len(literals.phases))
        self.literals = literals
        self.device = device

    def _missed(self, points: Array) -> Flags:
        network, literals = self.claim.network, self.literals
        source = {layer: network.pre_activation(layer) for layer in literals.layers}
        result = np.zeros((len(points), len(literals.phases)), dtype=np.bool_)
        for rows, values in iterate(network, points, list(dict.fromkeys(source.values()))):
            for layer, part in literals.part.items():
                z = values[source[layer]].flatten(1).numpy()
                result[rows, part] = z * literals.phases[part] < 0
        return result

    def nearer(self, centre: Array, most: int = 40) -> None:
        """Add what lies on the segments from ``centre`` (n,) to the violators and violates:
        nearer ones miss fewer literals."""
        order = np.argsort(self.missed.sum(1), kind="stable")[:most]
        share = np.linspace(0.05, 0.95, 12)[None, :, None]
        ends = self.points[order][:, None, :]
        self.add((centre + share * (ends - centre)).reshape(-1, centre.size))


def hunt(
    pool: Violators,
    kept: Flags,
    starts: Array,
    centre: Array,
    deadline: Deadline,
    *,
    steps: int = 40,
) -> int:
    """Look for violators that satisfy ``kept[i]`` (R, T) from ``starts[i]`` (R, n), and add what
    violates to ``pool``; how many were new.

    The first step is as long as the start is far from ``centre`` (n,), or a quarter of the
    box where it is the centre.
    """
    kept, starts = kept[:MOST_ROWS], starts[:MOST_ROWS]
    size = max(1, MOST_VALUES // len(pool.literals.phases))
    return sum(
        _hunt(
            pool,
            kept[at : at + size],
            starts[at : at + size],
            centre=centre,
            deadline=deadline,
            steps=steps,
        )
        for at in range(0, len(starts), size)
        if not deadline.passed
    )


def _hunt(
    pool: Violators, kept: Flags, starts: Array, centre: Array, deadline: Deadline, steps: int
) -> int:
    """``hunt`` from few enough starts that a step takes a moment."""
    claim, literals, device = pool.claim, pool.literals, pool.device
    network = claim.network
    ops = operators(network, device, torch.float64)

    def tensor(values: object) -> Tensor:
        return torch.tensor(np.asarray(values), dtype=torch.float64, device=device)

    lower, upper = tensor(claim.box.lower), tensor(claim.box.upper)
    width = upper - lower
    wanted = {layer: network.pre_activation(layer) for layer in literals.layers}
    needed = {layer: tensor(kept[:, part]) for layer, part in literals.part.items()}
    needed = {layer: mask for layer, mask in needed.items() if bool(mask.any())}
    phases = {layer: tensor(literals.phases[literals.part[layer]]) for layer in needed}
    lack = _Lack(claim, device)
    x = torch.minimum(torch.maximum(tensor(starts), lower), upper)
    away = ((x - tensor(centre)).abs() / width.clamp(min=1e-300)).amax(1, keepdim=True)
    rate = torch.where(away > 1e-9, 0.5 * away, torch.full_like(away, 0.25)).clamp(max=0.25)
    names = list(dict.fromkeys([*(wanted[layer] for layer in needed), network.output]))
    found = x.clone()
    open_ = torch.ones(len(x), dtype=torch.bool, device=device)
    scales: dict[str, Tensor] = {}

    def look(x: Tensor, values: dict[str, Tensor]) -> Tensor | None:
        nonlocal found, open_
        missing, violates = lack(values[network.output].flatten(1), x)
        loss, solved = missing, violates
        for layer, mask in needed.items():
            z = values[wanted[layer]].flatten(1)
            if layer not in scales:
                scales[layer] = z.detach().abs().mean().clamp(min=1e-12)
            off = (-phases[layer] * z / scales[layer] + 1e-6).clamp(min=0) * mask
            loss = loss + off.sum(1)
            solved = solved & ((phases[layer] * z >= 0) | (mask == 0)).all(1)
        with torch.no_grad():
            # Until a row is solved, the last point that violates at all is the one to keep.
            take = open_ & (violates | solved)
            found = torch.where(take.unsqueeze(1), x.detach(), found)
            open_ = open_ & ~solved
        return None if deadline.passed or not bool(open_.any()) else loss.sum()

    pace = Pace(rate, 0.87, Direction.SCALED_TURNS)
    descend(ops, x, (lower, upper), pace=pace, look=look, wanted=names, steps=steps)
    return pool.add(found.cpu().numpy())


class _Lack:
    """How far outputs are from violating the property, in units of the first mean."""

    def __init__(self, claim: Claim, device: str) -> None:
        self.rows = stack_rows(claim.problem, device)
        self.scale: Tensor | None = None

    def __call__(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is missing of the nearest conjunct (R,), and where nothing is."""
        if not self.rows.conjuncts:
            return y.sum(1) * 0.0, torch.zeros(len(y), dtype=torch.bool, device=y.device)
        margin = self.rows.margins(y, x)
        if self.scale is None:
            self.scale = margin.detach().abs().mean().clamp(min=1e-12)
        lacks = self.rows.sum((0.02 + margin / self.scale).clamp(min=0))
        return lacks.amin(1), (self.rows.largest(margin) <= 0).any(1)
