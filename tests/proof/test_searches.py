"""Both searches, the exact engine and the whole prover agree on random networks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.layers import Affine, Node, ReLU
from precond.network.operators import operators
from precond.proof.bounds import layer_passes, region
from precond.proof.claim import Claim
from precond.proof.engines.base import Deadline, Outcome
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.engines.refine_split.engine import RefineSplitEngine
from precond.proof.engines.relu_split.search import ReluSplitEngine
from precond.proof.engines.z3.engine import Z3Engine
from precond.proof.prover.prove import prove, quick_stages
from precond.proof.replay import replay
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.recording import record

pytest.importorskip("z3")


def random_claim(seed: int) -> Claim:
    rng = np.random.default_rng(seed)
    sizes = (2, 5, 4, 3)
    nodes, before = [], "input"
    for k, (inputs, width) in enumerate(pairwise(sizes), start=1):
        weight = rng.normal(size=(width, inputs))
        nodes.append(Node(f"affine{k}", Affine(weight, rng.normal(size=width)), (before,)))
        before = f"affine{k}"
        if k < len(sizes) - 1:
            nodes.append(Node(f"relu{k}", ReLU(), (before,)))
            before = f"relu{k}"
    network = Network(tuple(nodes), (2,))
    centre = rng.normal(size=2)
    box = Box.ball(centre, float(rng.uniform(0.1, 1.5)))
    signature = record(network, centre[None])
    full = DecisionPattern.of_row(signature, 0)
    kept = frozenset(n for n in sorted(full.on | full.off) if rng.random() < 0.3)
    pattern = DecisionPattern(full.on & kept, full.off & kept)
    label = int(outputs(network, centre[None]).argmax())
    return Claim(network, box, pattern, Property.argmax(label, 3))


@pytest.mark.parametrize("seed", range(25))
def test_engines_agree_with_rational_truth(seed: int) -> None:
    claim = random_claim(seed)
    truth = Z3Engine().solve(claim.problem, Deadline.after(600))
    assert all(answer.outcome is not Outcome.UNDECIDED for answer in truth)
    leaf = quick_stages()[1].engine
    for engine in (
        InputSplitEngine(),
        RefineSplitEngine(leaf=lambda problem, deadline: leaf.solve(problem, deadline)[0]),
        ReluSplitEngine(leaf=lambda problem, deadline: leaf.solve(problem, deadline)[0]),
    ):
        for found, exact in zip(
            engine.solve(claim.problem, Deadline.after(600)), truth, strict=True
        ):
            assert found.outcome in (exact.outcome, Outcome.UNDECIDED)
            if found.outcome is Outcome.WITNESS:
                assert found.witness is not None
                assert replay(claim, found.witness).counts
    holds = all(answer.outcome is Outcome.INFEASIBLE for answer in truth)
    verdict = prove(claim, budget=600)
    assert verdict.status is (Status.PROVED if holds else Status.REFUTED)


def test_a_budget_is_kept() -> None:
    claim = random_claim(3)
    wide = Claim(claim.network, Box.uniform(2, -1e3, 1e3), DecisionPattern(), claim.property)
    for engine in (InputSplitEngine(), RefineSplitEngine(), ReluSplitEngine()):
        deadline = Deadline.after(0.0)
        answers = engine.solve(wide.problem, deadline)
        assert all(a.outcome is not Outcome.INFEASIBLE for a in answers)


@pytest.mark.parametrize("first", [0, 1])
def test_boxes_without_open_neurons_fill_a_chunk(
    monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """One box per chunk; in one of the two every sign is known, so its chunk has nothing to do."""
    monkeypatch.setattr(layer_passes, "CACHE_BYTES", 8)
    claim = random_claim(5)
    ops = operators(claim.network, "cpu", torch.float64)
    centre = torch.tensor((claim.box.lower + claim.box.upper) / 2)[None]
    radii = torch.tensor([[1e-9], [3.0]] if first else [[3.0], [1e-9]], dtype=torch.float64)
    both = region.refine(ops, centre - radii, centre + radii).bounds
    for row in (0, 1):
        alone = region.refine(ops, centre - radii[row], centre + radii[row]).bounds
        for name, (low, high) in alone.items():
            torch.testing.assert_close(both[name][0][row], low[0])
            torch.testing.assert_close(both[name][1][row], high[0])
