"""A weakest pattern of one layer and its proof in one go, for networks with few inputs.

The search starts from the literals that known violators force (``cover``) and bisects the
region's box.  A piece is closed when linear bounds prove the property in it, or when the
polytope and the literals kept leave nothing of it.  A violator that a piece turns up forces
one literal more; pieces closed before stay closed, as the region has only become smaller.
What stays open for long lies where the region nearly touches the violators: after
``PATIENCE`` pieces without news (a violator, or half of what was open closed) the literal that
excludes most of what is open is kept as well.

When nothing is open, all literals that no violator forces are dropped, only the pieces that
they cut are opened again, and what turns out to make a difference is kept again.  A literal is
``needed`` if the pattern without it, or one that says more, did not close within ``PATIENCE``
pieces.  So what is left in the end is proved, and each of its literals alone
excludes a violator or is needed.

Source: Reiter 1987 (needed literals and violators); Gopinath et al. 2019, algorithm 1.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from precond.mine.input_preconditions.patience import HASTE, IDLE, PATIENCE, LastNews
from precond.mine.input_preconditions.section import Section
from precond.network.evaluate import outputs
from precond.network.operators import operators
from precond.proof.bounds.pieces import Pieces, batch_for, halves, step
from precond.proof.bounds.subdomains import youngest
from precond.proof.claim import Problem
from precond.proof.deadline import Deadline
from precond.proof.limits import Limits
from precond.proof.rows import stack_rows
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.polytope import Polytope
from precond.region.sampling import hit_and_run

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
SAMPLES = 2048
ROUNDS = 6  # of sampling before bisection


class Bisection:
    """``kept`` (m,): literals of the section's layer; ``points`` (W, n): violators found, and
    ``missed`` (W, m) the literals that each does not satisfy."""

    def __init__(
        self, section: Section, property: Property, x: Array, order: NDArray[np.int64]
    ) -> None:
        self.section = section
        self.property = property
        self.x = x
        self.order = order
        width = len(section.offsets)
        self.kept: Flags = np.zeros(width, dtype=np.bool_)
        self.needed: Flags = np.zeros(width, dtype=np.bool_)
        self.settled = False
        self.stalled: list[Flags] = []  # patterns that did not prove within patience
        self.points: Array = np.zeros((0, x.size))
        self.missed: Flags = np.zeros((0, width), dtype=np.bool_)
        self.against: list[Array] = []  # violators that satisfy every literal
        self.pieces = 0  # bounded so far
        self.proofs = 0  # times that pieces were opened
        self.batches = 0  # times that the region was sampled
        self.idle_limit: float = IDLE
        self.width = torch.tensor(section.box.width)
        self.ops = operators(section.network, "cpu", torch.float64)
        problem = Problem(section.network, section.box, {}, conjuncts=property.negation())
        self.rows = stack_rows(problem, "cpu")
        self.open: list[Pieces] = []
        self.closed: list[tuple[Flags, Pieces]] = []

    def run(self, deadline: Deadline, each: float) -> Status:
        """PROVED: ``kept`` closes every piece.  REFUTED: a violator satisfies all literals
        (``against``).  UNKNOWN: time ran out, or all literals leave pieces open.  ``each``:
        seconds of patience.  ``settled``: every literal kept is forced or ``needed``."""
        self._sample_until_covered()
        box = self.section.box
        self.open = [Pieces.whole(torch.tensor(box.lower)[None], torch.tensor(box.upper)[None])]
        return self._search(deadline, each)

    def resume(self, deadline: Deadline, each: float) -> Status:
        """Go on after UNKNOWN, where it is known that all literals do prove."""
        self.idle_limit = np.inf
        return self._search(deadline, each)

    def _search(self, deadline: Deadline, each: float) -> Status:
        with torch.no_grad():
            status = self._close(deadline, each, np.ones_like(self.kept), hasty=True)
            if status is Status.PROVED:
                self.settled = self._shrink(deadline, each)
        return status

    def _close(self, deadline: Deadline, each: float, allowed: Flags, *, hasty: bool) -> Status:
        """Bisect until nothing is open, and keep more of the ``allowed`` literals (m,) on the
        way.  ``hasty``: wait longer at first, and the less the longer it takes."""
        self.proofs += bool(self.open) and not self.against
        news, least, idle = LastNews(self.pieces), np.inf, 0
        while self.open and not self.against:
            if deadline.passed:
                return Status.UNKNOWN
            share = self._share() if hasty else 0.0
            if hasty and share <= least / 2:
                news, least = LastNews(self.pieces), share
            patience = PATIENCE
            if hasty:
                patience = int(PATIENCE * max(0.2, 2 - 2 * self.pieces / HASTE))
            narrow = self._step()
            if self.uncovered():
                self.kept = self.cover(self.kept, allowed)
                news, least = LastNews(self.pieces), np.inf
            elif self.open and (narrow or news.old(self.pieces, patience, each)):
                if narrow or news.old(self.pieces, PATIENCE, each):
                    self.stalled.append(self.kept)
                idle = 0 if self._grant(allowed) else idle + 1
                if (narrow and idle) or idle > self.idle_limit:
                    return Status.UNKNOWN
                news, least = LastNews(self.pieces), np.inf
        return Status.REFUTED if self.against else Status.PROVED

    def _shrink(self, deadline: Deadline, each: float) -> bool:
        """Drop all literals that no violator forces, and keep again those that turn out to make
        a difference, until what is left is forced or needed; whether it came to that."""
        while True:
            spare = self.kept & ~self.forced(self.kept)
            for index in np.flatnonzero(spare).tolist():
                weaker = self.kept.copy()
                weaker[index] = False
                if any((weaker <= failed).all() for failed in self.stalled):
                    self.needed[index] = True
            spare &= ~self.needed
            if not spare.any():
                if not (self.kept & ~self.forced(self.kept)).any():
                    return True
                continue
            before = self.kept, self.closed
            self._reopen(spare)
            self.kept = self.kept & ~spare
            if self._close(deadline, each, spare, hasty=False) is not Status.PROVED:
                (self.kept, self.closed), self.open = before, []
                return False

    # -- violators ---------------------------------------------------------------------

    def take(self, points: Array) -> int:
        """Add the violators among ``points`` (k, n) that miss a set of literals not met yet."""
        section = self.section
        inside = section.box.contains(points)
        inside &= (points @ section.rows.T <= section.limits).all(1)
        points = points[inside]
        if len(points):
            y = outputs(section.network, points)
            points = points[~self.property.holds(y, points)]
        if not len(points):
            return 0
        missed = points @ section.slopes.T > section.offsets
        none = ~missed.any(1)
        self.against += list(points[none])
        points, missed = points[~none], missed[~none]
        packed = np.packbits(np.concatenate([self.missed, missed]), axis=1)
        _, first = np.unique(packed, axis=0, return_index=True)
        fresh = np.sort(first[first >= len(self.missed)]) - len(self.missed)
        self.points = np.concatenate([self.points, points[fresh]])
        self.missed = np.concatenate([self.missed, missed[fresh]])
        return len(fresh)

    def uncovered(self) -> bool:
        """Whether a violator satisfies all that is kept."""
        return bool((~(self.missed & self.kept).any(1)).any())

    def forcing(self, index: int) -> Array:
        """The violators (k, n) that only literal ``index`` of ``kept`` excludes."""
        alone = ((self.missed & self.kept).sum(1) == 1) & self.missed[:, index]
        return np.asarray(self.points[alone & self.kept[index]])

    def cover(self, base: Flags, allowed: Flags | None = None) -> Flags:
        """``base`` and those (of ``allowed``) that exclude most of the violators it leaves, until
        none is left that they can exclude; ties by the order, last first."""
        kept = base.copy()
        usable = self.missed if allowed is None else self.missed & allowed
        left = ~(self.missed & kept).any(1) & usable.any(1)
        rank = np.empty(len(kept))
        rank[self.order] = np.arange(len(kept)) / len(kept)
        while left.any():
            best = int((usable[left].sum(0) + rank).argmax())
            kept[best] = True
            left &= ~self.missed[:, best]
        return kept

    def forced(self, kept: Flags) -> Flags:
        """``kept`` without what neither violators force nor is needed, first in the order
        first."""
        fewest = kept.copy()
        count = (self.missed & fewest).sum(1)
        for index in self.order[(kept & ~self.needed)[self.order]].tolist():
            missed = self.missed[:, index]
            if not (count[missed] == 1).any():
                fewest[index] = False
                count = count - missed
        return fewest

    def _sample_until_covered(self) -> None:
        for seed in range(ROUNDS):
            if not self._sample(seed) or self.against:
                break
            self._nearer()
            self.kept = self.forced(self.cover(np.zeros_like(self.kept)))

    def _sample(self, seed: int) -> int:
        section = self.section
        rows = np.concatenate([section.rows, section.slopes[self.kept]])
        limits = np.concatenate([section.limits, section.offsets[self.kept]])
        region = Polytope(rows, limits, ())
        if not region.contains(self.x[None])[0]:
            return 0
        self.batches += 1
        rng = np.random.default_rng(seed)
        return self.take(hit_and_run(region, section.box, self.x, count=SAMPLES, rng=rng))

    def _nearer(self) -> None:
        """Violators on the segments from X to the known ones: they miss fewer literals."""
        few = np.argsort(self.missed.sum(1), kind="stable")[:64]
        share = np.linspace(0.04, 0.96, 24)[None, :, None]
        ends = self.points[few][:, None, :]
        self.take((self.x + share * (ends - self.x)).reshape(-1, self.x.size))

    # -- pieces ------------------------------------------------------------------------

    def _step(self) -> bool:
        """Bound some open pieces and cut those that stay open; whether one is too narrow."""
        section, kept = self.section, self.kept
        matrix = np.concatenate([section.rows, section.slopes[kept]])
        limits = np.concatenate([section.limits, section.offsets[kept]])
        layers = {}
        if kept.any():
            on, off = kept & (section.phases > 0), kept & (section.phases < 0)
            layers[section.layer] = (
                torch.tensor(np.where(on, 0.0, -np.inf))[None],
                torch.tensor(np.where(off, 0.0, np.inf))[None],
            )
        pieces = youngest(self.open, batch_for(self.rows, len(limits), self.x.size))
        self.pieces += len(pieces)
        half = torch.tensor(matrix), torch.tensor(limits)
        stepped = step(self.ops, pieces, self.rows, limits=Limits(layers, half))
        if bool(stepped.closed.any()):
            done = pieces.rows(stepped.closed.nonzero().squeeze(1))
            self.closed = [*self.closed, (kept, done)]
        if not len(stepped.rest):
            return False
        more = halves(stepped.rest, stepped.form, self.width)
        self.open.append(stepped.rest if more is None else more)
        self.take(stepped.points.numpy())
        return more is None

    def _share(self) -> float:
        """The share of the box that is open."""
        varies = self.width > 0
        return sum(
            float(((p.upper - p.lower)[:, varies] / self.width[varies]).prod(1).sum())
            for p in self.open
        )

    def _grant(self, allowed: Flags) -> bool:
        """Keep the ``allowed`` literal that excludes most of what is open, if any excludes some."""
        section = self.section
        centres = torch.cat([(p.inner_lower + p.inner_upper) / 2 for p in self.open]).numpy()
        outside = (centres @ section.slopes.T > section.offsets).sum(0)
        outside[self.kept | ~allowed] = 0
        if not outside.any():
            return False
        best = int(outside.argmax())
        self.kept = self.kept.copy()
        self.kept[best] = True
        return True

    def _reopen(self, dropped: Flags) -> None:
        """Open the pieces again that were closed while a dropped literal cut them."""
        still = []
        for kept, pieces in self.closed:
            gone = np.flatnonzero(kept & dropped)
            rows = torch.tensor(self.section.slopes[gone])
            limits = torch.tensor(self.section.offsets[gone])
            most = pieces.upper @ rows.clamp(min=0).T + pieces.lower @ rows.clamp(max=0).T
            cut = (most > limits).any(1)
            if bool(cut.any()):
                again = pieces.rows(cut.nonzero().squeeze(1))
                self.open.append(Pieces.whole(again.lower, again.upper))
            if not bool(cut.all()):
                still.append((kept, pieces.rows((~cut).nonzero().squeeze(1))))
        self.closed = still
