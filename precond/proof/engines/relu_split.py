"""Branch and bound by fixing ReLU phases, for networks with many inputs.

A subdomain is a set of decided phases.  Its bound is one backward pass from the output with
slopes α and, for each decided phase and pattern literal, a multiplier β, improved by a few
gradient steps that start from the parent's.  Layer bounds are the root's, cut by the
phases.  The neuron whose relaxation costs the worst row most is split next; of the best few
the one whose children bound highest is taken.  Where nothing is free the pattern is closed,
and ``leaf`` (a linear program) decides.

Source: Bunel et al. 2020 (BaBSR), De Palma et al. 2021 (FSB), Wang et al. 2021 (β-CROWN).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from precond.network.evaluate import forward
from precond.network.graph import INPUT
from precond.network.operators import operators
from precond.proof.bounds.backward import Bound, Multipliers, Region, lower_bound
from precond.proof.bounds.lines import ActivationLines, activation_lines
from precond.proof.bounds.multipliers import improve
from precond.proof.bounds.problem import region_of
from precond.proof.claim import Problem
from precond.proof.engines.base import Answer, Deadline, Outcome

Leaf = Callable[[Problem, Deadline], Answer]
CANDIDATES = 3


@dataclass(frozen=True)
class ReluSplitEngine:
    """Phase splitting over batched, optimised bounds; rigorous, complete with ``leaf``."""

    device: str = "cpu"
    batch: int = 128
    steps: int = 12
    root_steps: int = 10
    leaf: Leaf | None = None
    name: str = "relu-split"

    def unsupported(self, problem: Problem) -> str | None:
        return None

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct, all searched side by side; a witness ends the search."""
        limit = deadline.earlier(0.2 * deadline.left)
        refined = region_of(problem, self.device, steps=self.root_steps, deadline=limit)
        if bool(refined.empty[0]):
            return [Answer(Outcome.INFEASIBLE, True, np.inf)] * len(problem.conjuncts)
        return _Search(self, problem, refined.region, refined.bounds, deadline).run()


@dataclass(eq=False)
class _Block:
    """Subdomains: phases (G, neurons) in {−1, 0, 1}, the conjunct each is about (G,), and the
    multipliers to start from."""

    phases: Tensor
    conjunct: Tensor
    start: Multipliers | None

    def __len__(self) -> int:
        return len(self.phases)

    def rows(self, chosen: Tensor) -> _Block:
        return _Block(self.phases[chosen], self.conjunct[chosen], _take(self.start, chosen))


class _Search:
    def __init__(
        self,
        engine: ReluSplitEngine,
        problem: Problem,
        root: Region,
        bounds: dict[str, tuple[Tensor, Tensor]],
        deadline: Deadline,
    ) -> None:
        self.engine = engine
        self.problem = problem
        self.root = root
        self.bounds = bounds
        self.deadline = deadline
        network = problem.network
        self.ops = operators(network, engine.device, torch.float64)
        self.layers = network.decision_layers
        self.widths = [network.width(name) for name in self.layers]
        # Conjuncts are padded to one number of rows by repeating their first.
        most = max(len(conjunct) for conjunct in problem.conjuncts)
        padded = [(*c, *[c[0]] * (most - len(c))) for c in problem.conjuncts]
        rows = [problem.rows(conjunct) for conjunct in padded]
        self.form = self._tensor(np.stack([-outputs for outputs, _, _ in rows]))
        inputs = self._tensor(np.stack([-inputs for _, inputs, _ in rows]))
        self.inputs = inputs if bool(inputs.any()) else None
        self.constant = self._tensor(np.stack([bound for _, _, bound in rows]))
        strict = [[inequality.strict for inequality in conjunct] for conjunct in padded]
        self.strict = torch.tensor(strict, device=engine.device)
        self.witness: tuple[int, np.ndarray] | None = None
        self.visited = 0

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.engine.device)

    def run(self) -> list[Answer]:
        device = self.engine.device
        count = len(self.problem.conjuncts)
        phases = torch.zeros(count, sum(self.widths), dtype=torch.int8, device=device)
        stack = [_Block(phases, torch.arange(count, device=device), None)]
        open_ = torch.zeros(count, dtype=torch.int64, device=device)
        while stack and not self.deadline.passed and self.witness is None:
            children = self._step(_pop(stack, self.engine.batch), open_)
            if children is not None and len(children):
                stack.append(children)
        for block in stack:
            open_ += torch.bincount(block.conjunct, minlength=count)
        answers = []
        for conjunct, left in enumerate(open_.tolist()):
            if self.witness is not None and self.witness[0] == conjunct:
                answers.append(Answer(Outcome.WITNESS, witness=self.witness[1]))
            elif left or self.witness is not None:
                note = f"{self.visited} subdomains bounded, {left} open"
                answers.append(Answer(Outcome.UNDECIDED, True, note=note))
            else:
                answers.append(Answer(Outcome.INFEASIBLE, True, note=f"{self.visited} subdomains"))
        return answers

    def _step(self, block: _Block, stuck: Tensor) -> _Block | None:
        """Bound a block; the children of what stays open.  Leaves that stay open are counted
        in ``stuck``, per conjunct."""
        self.visited += len(block)
        region, empty = self._region(block.phases)
        bound, multipliers = improve(
            region,
            self.problem.network.output,
            self.form[block.conjunct],
            self.constant[block.conjunct],
            steps=self.engine.steps if block.start is not None else 2 * self.engine.steps,
            deadline=self.deadline,
            input_form=None if self.inputs is None else self.inputs[block.conjunct],
            initial=block.start,
        )
        strict = self.strict[block.conjunct]
        enough = torch.where(strict, bound.value >= 0, bound.value > 0).any(1)
        open_ = (~enough & ~empty).nonzero().squeeze(1)
        if not len(open_):
            return None
        region = region.take(open_)
        # A bound that overflowed to NaN is no bound, and never the best.
        row = bound.value[open_].nan_to_num(nan=-torch.inf).argmax(1)
        index = torch.arange(len(open_), device=row.device)
        form = bound.form[open_][index, row]
        kept = _Block(block.phases[open_], block.conjunct[open_], _take(multipliers, open_))
        self._try(torch.where(form > 0, region.lower, region.upper), kept.conjunct)
        if self.witness is not None:
            return None
        scores = self._scores(region, kept, row)
        best = scores.max(1).values
        for leaf in (best <= 0).nonzero().squeeze(1).tolist():
            conjunct = int(kept.conjunct[leaf])
            stuck[conjunct] += self._leaf(kept.phases[leaf], conjunct)
        inner = (best > 0).nonzero().squeeze(1)
        if not len(inner) or self.witness is not None:
            return None
        return self._children(kept.rows(inner), scores[inner], row[inner])

    def _region(self, phases: Tensor) -> tuple[Region, Tensor]:
        """The subdomains' region: the root's layer bounds cut by the phases."""
        count = len(phases)
        lines = dict(self.root.lines)
        constraints = dict(self.root.constraints)
        empty = torch.zeros(count, dtype=torch.bool, device=phases.device)
        start = 0
        for name, width in zip(self.layers, self.widths, strict=True):
            part = phases[:, start : start + width]
            start += width
            if not bool(part.any()):
                continue
            low, high = (bound.expand(count, -1) for bound in self.bounds[name])
            infinite = torch.full_like(low, torch.inf)
            cut_low = torch.where(part > 0, torch.zeros_like(low), -infinite)
            cut_high = torch.where(part < 0, torch.zeros_like(high), infinite)
            if name in constraints:
                cut_low = torch.maximum(cut_low, constraints[name][0][:, 0])
                cut_high = torch.minimum(cut_high, constraints[name][1][:, 0])
            constraints[name] = (cut_low[:, None], cut_high[:, None])
            low, high = torch.maximum(low, cut_low), torch.minimum(high, cut_high)
            empty |= (low > high).any(1)
            layer = self.problem.network.node[name].layer
            lines[name] = activation_lines(layer, low, torch.maximum(low, high))  # type: ignore[arg-type]
        return (
            Region(
                self.ops,
                self.root.lower.expand(count, -1),
                self.root.upper.expand(count, -1),
                lines,
                constraints,
                self.root.sizes,
                self.root.floors,
                self.root.half,
            ),
            empty,
        )

    def _scores(self, region: Region, block: _Block, row: Tensor) -> Tensor:
        """What each free neuron's relaxation costs the chosen row, (G, neurons); 0 if fixed."""
        bound = self._bound(region, block.start, block.conjunct, keep=True)
        index = torch.arange(len(row), device=row.device)
        parts = []
        for name, width in zip(self.layers, self.widths, strict=True):
            lines = region.lines[name]
            assert isinstance(lines, ActivationLines)
            if name not in bound.coefficients:
                parts.append(torch.zeros(len(row), width, dtype=torch.float64, device=row.device))
                continue
            form = bound.coefficients[name][index, row]
            shift, free = lines.shift[:, 0], lines.free[:, 0]
            cost = (-form).clamp(min=0) * shift + 0.3 * form.clamp(min=0) * shift
            tie = 1e-12 * shift + 1e-300  # a free neuron without influence comes last
            parts.append(torch.where(free, cost + tie, torch.zeros_like(cost)).expand(len(row), -1))
        return torch.cat(parts, 1)

    def _bound(
        self,
        region: Region,
        multipliers: Multipliers | None,
        conjunct: Tensor,
        keep: bool = False,
    ) -> Bound:
        with torch.no_grad():
            return lower_bound(
                region,
                self.problem.network.output,
                self.form[conjunct],
                self.constant[conjunct],
                multipliers or Multipliers(),
                None if self.inputs is None else self.inputs[conjunct],
                keep,
            )

    def _children(self, block: _Block, scores: Tensor, row: Tensor) -> _Block:
        """Both phases of the split that bounds best among the dearest few."""
        count = len(block)
        many = min(CANDIDATES, scores.shape[1])
        top = scores.topk(many, dim=1)
        index = torch.arange(count, device=row.device)
        tried, phases = [], []
        for k in range(many):
            neuron = top.indices[:, k]
            both = block.phases.repeat(2, 1)
            both[index, neuron] = 1
            both[index + count, neuron] = -1
            phases.append(both)
            if many == 1:
                break
            region, empty = self._region(both)
            bound = self._bound(region, _twice(block.start), block.conjunct.repeat(2))
            value = bound.value.gather(1, row.repeat(2)[:, None]).squeeze(1)
            value = torch.where(empty, torch.full_like(value, 1e30), value).clamp(max=0)
            pair = value[:count] + value[count:]
            tried.append(torch.where(top.values[:, k] > 0, pair, torch.full_like(pair, -torch.inf)))
        if many == 1:
            chosen = phases[0]
        else:
            best = torch.stack(tried).argmax(0).repeat(2)
            stacked = torch.stack(phases)
            chosen = stacked[best, torch.arange(2 * count, device=row.device)]
        return _Block(chosen, block.conjunct.repeat(2), _twice(block.start))

    def _leaf(self, phases: Tensor, conjunct: int) -> int:
        """1 if a subdomain with nothing free stays undecided."""
        if self.engine.leaf is None:
            return 1
        intervals = dict(self.problem.intervals)
        start = 0
        for name, width in zip(self.layers, self.widths, strict=True):
            part = phases[start : start + width].cpu().numpy()
            start += width
            low, high = self.bounds[name][0][0].cpu().numpy(), self.bounds[name][1][0].cpu().numpy()
            free = np.full(width, np.inf)
            old = intervals.get(name, (-free, free))
            # Phases that bounds decide are part of the leaf's closed pattern too.
            on, off = (part > 0) | (low >= 0), (part < 0) | ((high <= 0) & (low < 0))
            intervals[name] = (
                np.asarray(np.where(on, np.maximum(old[0], 0.0), old[0]), dtype=np.float64),
                np.asarray(np.where(off, np.minimum(old[1], 0.0), old[1]), dtype=np.float64),
            )
        answer = self.engine.leaf(
            replace(
                self.problem,
                intervals=intervals,
                bounds=None,
                conjuncts=(self.problem.conjuncts[conjunct],),
            ),
            self.deadline,
        )
        if answer.witness is not None and answer.outcome is Outcome.WITNESS:
            self.witness = (conjunct, answer.witness)
            return 0
        return 0 if answer.outcome is Outcome.INFEASIBLE and answer.rigorous else 1

    def _try(self, points: Tensor, conjunct: Tensor) -> None:
        """Keep a point of the region that violates as its own subdomain's conjunct says."""
        network = self.problem.network
        sources = {name: network.pre_activation(name) for name in self.problem.intervals}
        wanted = list(dict.fromkeys([*sources.values(), network.output]))
        values = forward(self.ops, {INPUT: points.reshape(-1, *network.input_shape)}, wanted)
        good = torch.ones(len(points), dtype=torch.bool, device=points.device)
        for name, source in sources.items():
            low, high = self.root.constraints[name]
            z = values[source].flatten(1)
            good &= ((z >= low[:, 0]) & (z <= high[:, 0])).all(1)
        if self.root.half is not None:
            good &= (points @ self.root.half[0].T <= self.root.half[1]).all(1)
        y = values[network.output].flatten(1).unsqueeze(-1)
        g = (self.form[conjunct] @ y).squeeze(-1) + self.constant[conjunct]
        if self.inputs is not None:
            g = g + (self.inputs[conjunct] @ points.unsqueeze(-1)).squeeze(-1)
        good &= torch.where(self.strict[conjunct], g < 0, g <= 0).all(1)
        if bool(good.any()):
            which = int(good.nonzero()[0])
            self.witness = (int(conjunct[which]), points[which].cpu().numpy().copy())


def _pop(stack: list[_Block], count: int) -> _Block:
    block = stack.pop()
    if len(block) <= count:
        return block
    index = torch.arange(len(block), device=block.phases.device)
    stack.append(block.rows(index[:-count]))
    return block.rows(index[-count:])


def _map(multipliers: Multipliers | None, change: Callable[[Tensor], Tensor]) -> Multipliers | None:
    if multipliers is None:
        return None
    return Multipliers(
        {name: change(value) for name, value in multipliers.alpha.items()},
        {name: change(value) for name, value in multipliers.low.items()},
        {name: change(value) for name, value in multipliers.high.items()},
        None if multipliers.half is None else change(multipliers.half),
    )


def _take(multipliers: Multipliers | None, rows: Tensor) -> Multipliers | None:
    return _map(multipliers, lambda value: value[rows])


def _twice(multipliers: Multipliers | None) -> Multipliers | None:
    return _map(multipliers, lambda value: value.repeat(2, 1, 1))
