"""The engine that splits phases over layer bounds of each subdomain's own (``search``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from precond.network.layers import Affine, Conv2d, LeakyReLU, ReLU
from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.bounds.plain_sums import plain_sums
from precond.proof.bounds.problem import region_of
from precond.proof.bounds.row_multipliers import RowMultipliers
from precond.proof.claim import Problem
from precond.proof.engines.base import PROPAGATION, Answer, Deadline, Lines
from precond.proof.engines.refine_split.root import root_of
from precond.proof.engines.refine_split.search import Decide, RefineSearch
from precond.proof.refusal import Refusal
from precond.proof.trace import Leaf

MOST_WORK = 2e9  # products in the passes for all layer bounds of a subdomain
ROOT_SHARE = 0.2  # of the time, for slopes


@dataclass(frozen=True)
class RefineSplitEngine:
    """Phase splitting over layer bounds of each subdomain; rigorous, complete with ``leaf``."""

    device: str = "cpu"
    batch: int = 1
    steps: int = 60
    root_steps: int = 20
    most_work: float = MOST_WORK
    leaf: Decide | None = None
    name: str = "refine-split"
    lines: ClassVar[Lines] = PROPAGATION

    def unsupported(self, problem: Problem) -> Refusal | None:
        network = problem.network
        kinds = {type(n.layer).__name__ for n in network.nodes if not network.is_affine(n.name)}
        if not network.neurons:
            return Refusal("no phases to split")
        others = kinds - {ReLU.__name__, LeakyReLU.__name__}
        if others:
            return Refusal(f"layer kinds {', '.join(sorted(others))}")
        work = work_of(problem)
        if work > self.most_work:
            most = f"{self.most_work:.0e}"
            return Refusal(f"{work:.1e} products in each subdomain, of at most {most}")
        return beyond_floats(problem)

    def solve(self, problem: Problem, deadline: Deadline) -> list[Answer]:
        """One answer per conjunct, all searched in one tree; a witness ends the search."""
        with plain_sums(self.device):
            kept = RowMultipliers()
            # Whoever checks a trace has default slopes for layer bounds, so it should rest on them.
            steps = 0 if problem.keep_trace else self.root_steps
            passes = LayerPasses(
                backward=problem.bounds is None or steps > 0,
                steps=steps,
                deadline=deadline.earlier(ROOT_SHARE * deadline.left),
                multipliers=kept,
            )
            refined = region_of(problem, self.device, passes=passes)
            if bool(refined.empty[0]):
                trace = Leaf(empty=True) if problem.keep_trace else None
                return [Answer.excluded(trace=trace)] * len(problem.conjuncts)
            root = root_of(
                problem,
                refined,
                kept,
                device=self.device,
                steps=self.steps,
                deadline=deadline.earlier(ROOT_SHARE * deadline.left),
            )
            search = RefineSearch(problem, root, leaf=self.leaf, device=self.device)
            return search.run(deadline, batch=self.batch)


def work_of(problem: Problem) -> float:
    """Products in the passes for both bounds of every open neuron, as far as bounds are known."""
    network, known = problem.network, problem.bounds or {}
    before, work = 0.0, 0.0
    for node in network.nodes:
        layer = node.layer
        if isinstance(layer, Affine):
            before += layer.weight.size
        elif isinstance(layer, Conv2d):
            before += network.width(node.name) * layer.weight[0].size
        elif node.name in network.decision_layers:
            rows = 2 * network.width(node.name)
            if node.name in known:
                low, high = known[node.name]
                rows = 2 * int(((low < 0) & (high > 0)).sum())
            work += rows * before * (network.pre_activation(node.name) in network.loose)
    return work
