"""Branch and bound by fixing ReLU phases, with all layer bounds computed anew in every subdomain.

In a deep network a phase counts mostly by what it does to the bounds of later layers.  So each
subdomain's layer bounds come from backward passes of its own, with slopes that ascent has found
once, at the root, and are intersected with the parent's.  Few subdomains, each dear: depth first,
all conjuncts in one tree, a conjunct dropped where it is closed.  Estimates in float32 say which
neuron to split (``estimates``); only rigorous bounds close a subdomain.

A conjunct of several inequalities is excluded by any one of them or by a mixture, found at the
root: where all hold, so does their mean.

Source: Bunel et al. 2020 (phases, bounds of intermediate layers), Xu et al. 2021 (α).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from precond.network.operators import operators
from precond.proof.bounds.backward import Multipliers
from precond.proof.bounds.closed_phases import closed_problem
from precond.proof.bounds.corners import violating
from precond.proof.bounds.estimate import multipliers_as
from precond.proof.bounds.field_maps import holds_factors
from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.region import refine
from precond.proof.bounds.row_bounds import improved_bounds
from precond.proof.bounds.subdomains import youngest
from precond.proof.claim import Problem
from precond.proof.coverage import Coverage
from precond.proof.deadline import FOREVER
from precond.proof.engines.base import (
    Answer,
    Deadline,
    Outcome,
    free_bytes,
)
from precond.proof.engines.refine_split.estimates import Estimator, SubdomainEstimate
from precond.proof.engines.refine_split.record import RefineRecord
from precond.proof.engines.refine_split.root import Root
from precond.proof.engines.refine_split.subdomains import Bounds, Neurons, RefinedSubdomains
from precond.proof.gate import excludes
from precond.proof.limits import limits_of
from precond.proof.processes.two_cores import Halvable, run

Decide = Callable[[Problem, Deadline], Answer]
TRACE_SHARE = 0.125  # of free memory, for a recorded trace


class RefineSearch(Halvable[RefinedSubdomains]):
    """``blocks``: subdomains that wait, the youngest last; ``stuck``: those that stay open."""

    def __init__(self, problem: Problem, root: Root, *, leaf: Decide | None, device: str) -> None:
        self.problem, self.root, self.leaf = problem, root, leaf
        self.deadline, self.batch = FOREVER, 1
        network = problem.network
        self.layers = network.decision_layers
        self.neurons = Neurons.of(network)
        self.limits = limits_of(problem, device)
        held = all(holds_factors(node.layer) for node in network.nodes)
        self.loose = torch.float32 if held else torch.float64
        lower, upper = (side.to(self.loose) for side in (root.region.lower, root.region.upper))
        ops = operators(network, device, self.loose)
        self.estimator = Estimator(ops, lower, upper, multipliers=root.layers)
        self.rows = root.candidates.rows
        self.objective = Objective.of(self.rows, network.output).to(self.loose)
        self.slopes = multipliers_as(Multipliers(root.chosen.alpha), self.loose)
        self.blocks: list[RefinedSubdomains] = []
        self.stuck: list[RefinedSubdomains] = []
        self.numbered = 1  # subdomains so far
        self.visited = 0
        self.coverage = Coverage(root.rows.conjuncts)
        self.witness: tuple[int, np.ndarray] | None = None
        limit = TRACE_SHARE * free_bytes(device)
        self.record = RefineRecord(root.candidates, limit) if problem.keep_trace else None

    def run(self, deadline: Deadline, *, batch: int) -> list[Answer]:
        """One answer per conjunct; so many subdomains at once."""
        self.deadline, self.batch = deadline, batch
        root, device = self.root, self.root.value.device
        whole = RefinedSubdomains(
            torch.zeros(1, dtype=torch.int64, device=device),
            torch.ones(1, dtype=torch.float64, device=device),
            torch.ones(1, root.rows.conjuncts, dtype=torch.bool, device=device),
            layer=torch.zeros(1, dtype=torch.int64, device=device),
            known=root.bounds,
        )
        self._push(self._close(whole, root.value, root.chosen))
        run(self, halves=self.record is None and device.type == "cpu")
        return self._answers()

    @property
    def goes_on(self) -> bool:
        return bool(self.blocks) and not self.deadline.passed and self.witness is None

    def waiting_blocks(self) -> list[RefinedSubdomains]:
        return self.blocks

    def put(self, blocks: list[RefinedSubdomains]) -> None:
        self.blocks = blocks

    def step(self) -> int:
        block = youngest(self.blocks, self.batch)
        self._step(block)
        return len(block)

    def begin(self) -> None:
        self.stuck, self.visited = [], 0

    def said(self) -> tuple[Any, ...]:
        return self.witness, self.stuck, self.visited

    def hear(self, said: tuple[Any, ...]) -> None:
        witness, stuck, visited = said
        self.witness = self.witness or witness
        self.stuck.extend(stuck)
        self.visited += visited

    def _step(self, block: RefinedSubdomains) -> None:
        """Bound subdomains, and put the children of what stays open to the others."""
        self.visited += len(block)
        before, block = block, self._refined(block)
        left = block.open.any(1).nonzero().squeeze(1)
        if not len(left):
            return
        block, known = block.rows(left), self._loosened(before.rows(left).known)
        with torch.enable_grad():
            # From the bounds before: where a pass cannot raise one, nothing seems to depend on it.
            seen = self.estimator.of(known, self.objective, self.slopes)
            best = self.rows.best(seen.value)
            total = torch.where(block.open, best, torch.zeros_like(best)).clamp(max=0.0).sum()
        worst = best.detach().masked_fill(~block.open, torch.inf).argmin(1)
        self._try(seen, worst)
        if self.witness is not None:
            self.stuck.append(block)
            return
        gain, neuron = seen.gains(total, self.layers).max(1)
        inside = gain > 0  # a gain that is no number splits nothing
        self._split(block.rows(inside.nonzero().squeeze(1)), neuron[inside])
        for row in (~inside).nonzero().tolist():
            self._finish(block.rows(torch.tensor(row, device=inside.device)))

    def _refined(self, block: RefinedSubdomains) -> RefinedSubdomains:
        """With layer bounds of their own, without the conjuncts that these exclude."""
        region = self.root.region
        first = int(block.layer.min())
        with torch.no_grad():
            refined = refine(
                region.ops,
                region.lower.expand(len(block), -1),
                region.upper.expand(len(block), -1),
                limits=self.limits,
                known=block.known,
                passes=LayerPasses(
                    deadline=self.deadline,
                    settled=frozenset(self.layers[: first + 1]),
                    multipliers=self.root.layers,
                ),
                execution=self.problem.execution,
            )
        block = self._emptied(replace(block, known=refined.bounds), refined.empty)
        if not bool(block.open.any()):
            return block
        bound, used = improved_bounds(
            refined.region,
            self.rows,
            steps=0,
            deadline=self.deadline,
            initial=self.root.chosen,
        )
        return self._close(block, bound.value, used)

    def _emptied(self, block: RefinedSubdomains, empty: Tensor) -> RefinedSubdomains:
        """Without the subdomains that their layer bounds leave without an input."""
        closed = block.open & empty[:, None]
        if self.record is not None:
            self.record.empty(block, closed)
        return self._enter(block, closed)

    def _close(
        self, block: RefinedSubdomains, value: Tensor, used: Multipliers
    ) -> RefinedSubdomains:
        """Without the conjuncts that bounds ``value`` (G, candidates) exclude."""
        enough = excludes(value, self.rows.strict)
        closed = block.open & self.rows.any(enough)
        if self.record is not None:
            value = torch.where(enough, value, -torch.inf)
            self.record.excluded(block, closed, value, used=used)
        return self._enter(block, closed)

    def _enter(self, block: RefinedSubdomains, closed: Tensor) -> RefinedSubdomains:
        """The subdomains with what is left when pairs ``closed`` (G, conjuncts) are."""
        where, conjunct = closed.nonzero(as_tuple=True)
        self.coverage.close(conjunct, block.share[where])
        return replace(block, open=block.open & ~closed)

    def _split(self, block: RefinedSubdomains, neuron: Tensor) -> None:
        if not len(block):
            return
        count, first = len(block), self.numbered
        self.numbered += 2 * count
        self.coverage.split(block.open.nonzero()[:, 1])
        if self.record is not None:
            names = [self.neurons.name_of(n) for n in neuron.tolist()]
            self.record.split(block, names, first)
        self._push(
            RefinedSubdomains(
                torch.arange(first, self.numbered, device=neuron.device),
                block.share.repeat(2) / 2,
                block.open.repeat(2, 1),
                layer=self.neurons.layer_of(neuron).repeat(2),
                known=self.neurons.halves(block.known, neuron),
            )
        )

    def _push(self, block: RefinedSubdomains) -> None:
        rows = block.open.any(1).nonzero().squeeze(1)
        if len(rows):
            self.blocks.append(block.rows(rows))

    def _finish(self, block: RefinedSubdomains) -> None:
        """One subdomain with nothing to split: its conjuncts, one after the other."""
        for conjunct in block.open[0].nonzero().squeeze(1).tolist():
            if self.witness is not None or self.leaf is None:
                break
            begun = closed_problem(self.problem, block.known, row=0, conjunct=conjunct)
            answer = self.leaf(begun, self.deadline)
            if answer.outcome is Outcome.WITNESS and answer.witness is not None:
                self.witness = (conjunct, answer.witness)
            if answer.outcome is Outcome.INFEASIBLE and answer.rigorous:
                if self.record is not None:
                    self.record.graft(int(block.node), conjunct, answer.trace)
                closed = torch.zeros_like(block.open)
                closed[0, conjunct] = True
                block = self._enter(block, closed)
        if bool(block.open.any()):
            self.stuck.append(block)

    def _try(self, seen: SubdomainEstimate, conjunct: Tensor) -> None:
        """Keep a corner that violates as ``conjunct`` (G,) says."""
        region, rows = self.root.region, self.root.rows
        row = self.rows.best_row(seen.value.detach(), conjunct)
        index = torch.arange(len(row), device=row.device)
        corners = torch.where(seen.form[index, row] > 0, region.lower, region.upper)
        found = violating(self.problem, region, rows, points=corners, conjunct=conjunct)
        if found is not None:
            self.witness = (int(conjunct[found]), corners[found].cpu().numpy().copy())

    def _answers(self) -> list[Answer]:
        waiting = [*self.blocks, *self.stuck]
        count = self.root.rows.conjuncts
        number, share = np.zeros(count, np.int64), np.zeros(count)
        for block in waiting:
            number += block.open.sum(0).cpu().numpy()
            share += (block.open * block.share[:, None]).sum(0).cpu().numpy()
        return [self._answer(c, int(number[c]), float(share[c])) for c in range(count)]

    def _answer(self, conjunct: int, left: int, share: float) -> Answer:
        """About a conjunct with ``left`` open subdomains, ``share`` of the whole."""
        if self.witness is not None and self.witness[0] == conjunct:
            return Answer(Outcome.WITNESS, witness=self.witness[1])
        fault = self.coverage.fault(conjunct, left, share)
        note = f"{self.visited} subdomains refined"
        if left or fault is not None:
            done = min(1.0, max(0.0, 1.0 - share))
            note = fault or f"{note}, {left} open, {100 * done:.4g} % of the phases decided"
            return Answer(Outcome.UNDECIDED, rigorous=True, note=note, done=done)
        trace = None if self.record is None else self.record.tree.trace(conjunct)
        return Answer.excluded(note=note, trace=trace)

    def _loosened(self, bounds: Bounds) -> Bounds:
        return {n: (bounds[n][0].to(self.loose), bounds[n][1].to(self.loose)) for n in self.layers}
