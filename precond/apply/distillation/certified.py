"""How robust a fast path is: the share of early answers that is proved to stay in a ball.

Over the ball of an input every pre-activation has rigorous bounds.  A decision z > t that they do
not settle is left open, so a rule's sum lies in an interval of whole numbers, a rule may be open as
well, and so the lead of one class over another lies in an interval.  From these follows of an
exit whether all inputs of the ball, or none, are answered there, and whether its label is the same
for all that are.  The class of the fast path is certified where every way that an input of
the ball can take ends in the same class.

As for plain networks the claim is about real-valued layers; votes are whole numbers and exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from precond.apply.certification.batch import chunk, margin_bounds
from precond.apply.distillation.path import FastPath
from precond.apply.distillation.votes import VoteExit
from precond.network.graph import Network
from precond.network.operators import operators
from precond.network.parts import head
from precond.proof.bounds.region import refine
from precond.proof.deadline import Deadline
from precond.proof.gate import excludes
from precond.region.radius import Radius
from precond.region.value_ranges import ValueRanges

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class CertifiedShare:
    """Of ``inputs`` answered early: how many keep the exit and the class that they are given
    (``exit``), the class alone (``path``), and how many the plain network certainly keeps in its
    class (``plain``), over all inputs within ``radius`` (``of_range``: a share of each value's
    range)."""

    radius: float
    of_range: bool = False
    inputs: int
    exit: int
    path: int
    plain: int

    @property
    def within(self) -> Radius:
        """The radius, as people read it."""
        return Radius(self.radius, self.of_range)


@dataclass(frozen=True, eq=False)
class _Ways:
    """An exit over each ball, (N,): whether it answers every input, or none, and whether the
    label of all that it answers is the one given."""

    always: Flags
    never: Flags
    same: Flags


def certified_share(
    path: FastPath, inputs: NDArray[np.floating], radius: Radius, ranges: ValueRanges
) -> CertifiedShare:
    """Over L∞ balls around those ``inputs`` (N, …) that ``path`` answers early, cut to what the
    values range over.  Proved rules count as the plain network's answers, which they are."""
    found = path.predict(inputs)
    early = np.flatnonzero(found.exits < len(path.exits))
    if not len(early):
        return CertifiedShare(
            radius=radius.size, of_range=radius.of_range, inputs=0, exit=0, path=0, plain=0
        )
    points = np.asarray(inputs, dtype=np.float64).reshape(len(inputs), -1)[early]
    lower, upper = ranges.holding(points).balls(points, radius)
    classes, exits = found.labels[early], found.exits[early]
    margins = margin_bounds(
        path.network, lower, upper, classes=classes, deadline=Deadline.after(np.inf)
    )
    plain = excludes(margins)
    safe, there = plain, np.zeros(len(early), dtype=np.bool_)
    for number in reversed(range(len(path.exits))):
        exit = path.exits[number]
        if not isinstance(exit, VoteExit):  # it gives the plain network's class, if any
            safe = safe & plain
            there &= False
            continue
        ways = _ways(path.network, exit, lower, upper=upper, classes=classes)
        safe = (ways.never | ways.same) & (ways.always | safe)
        there = np.where(exits == number, ways.always & ways.same, there & ways.never)
    return CertifiedShare(
        radius=radius.size,
        of_range=radius.of_range,
        inputs=len(early),
        exit=int(there.sum()),
        path=int(safe.sum()),
        plain=int(plain.sum()),
    )


def _ways(network: Network, exit: VoteExit, lower: Array, upper: Array, classes: Rows) -> _Ways:
    low, high = layer_bounds(network, exit.reading.layer, lower, upper=upper)
    neurons = exit.reading.neurons(network)
    levels = exit.levels.double().numpy()
    surely = (low[:, None, neurons] > levels).reshape(len(lower), -1)
    maybe = (high[:, None, neurons] > levels).reshape(len(lower), -1)
    vote, threshold = exit.vote, float(exit.threshold)
    weight, limit, votes, start = (
        part.double().numpy() for part in (vote.weight, vote.limit, vote.votes, vote.start)
    )
    plus, minus = np.maximum(weight, 0), np.minimum(weight, 0)
    fires = surely @ plus.T + maybe @ minus.T > limit
    may_fire = maybe @ plus.T + surely @ minus.T > limit
    least, most = leads(fires, may_fire, votes, start=start)
    rows, count = np.arange(len(lower)), len(votes)
    ahead = least[rows, classes].copy()  # of the class given, over each other
    ahead[rows, classes] = np.inf
    most[:, np.arange(count), np.arange(count)] = np.inf
    return _Ways(
        always=(ahead.min(1) >= threshold),
        never=(most.min(2).max(1) < threshold),
        same=_others(most, classes, threshold),
    )


def _others(most: Array, classes: Rows, threshold: float) -> Flags:
    """Whether no other class than the one given can lead by as much as the threshold."""
    reach = most.min(2)
    reach[np.arange(len(reach)), classes] = -np.inf
    return np.asarray(reach.max(1) < threshold)


def leads(fires: Flags, may_fire: Flags, votes: Array, start: Array) -> tuple[Array, Array]:
    """The least and the most (N, C, C) by which one class can be ahead of another, where rules
    that may fire but need not are open."""
    gap = votes[:, None] - votes[None]  # (C, C, H)
    base = start[:, None] - start[None]
    known, open = fires.astype(np.float64), (may_fire & ~fires).astype(np.float64)
    settled = np.einsum("nh,ijh->nij", known, gap) + base
    least = settled + np.einsum("nh,ijh->nij", open, np.minimum(gap, 0))
    most = settled + np.einsum("nh,ijh->nij", open, np.maximum(gap, 0))
    return least, most


def layer_bounds(network: Network, layer: str, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Rigorous bounds (N, m) of a decision layer's pre-activations over N boxes."""
    first = head(network, layer)
    ops = operators(first, "cpu", torch.float64)
    size, parts = chunk(first, 4), []
    with torch.no_grad():
        for start in range(0, len(lower), size):
            box = [torch.tensor(side[start : start + size]) for side in (lower, upper)]
            parts.append(refine(ops, box[0], box[1]).bounds[layer])
    low, high = (torch.cat([part[k] for part in parts]).numpy() for k in range(2))
    return low, high
