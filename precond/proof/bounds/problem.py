"""A problem as the bounds see it: one subdomain, its constraints, and back as arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from precond.network.operators import operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.layer_passes import LayerPasses
from precond.proof.bounds.region import Refined, refine
from precond.proof.bounds.rounding import TINY
from precond.proof.claim import Problem
from precond.proof.deadline import FOREVER, Deadline
from precond.proof.limits import LayerBounds, as_tensor, layer_tensors, limits_of


def region_of(
    problem: Problem,
    device: str = "cpu",
    *,
    steps: int = 0,
    deadline: Deadline = FOREVER,
    known: LayerBounds | None = None,
    passes: LayerPasses | None = None,
    half: bool = False,
) -> Refined:
    """The problem's region as one subdomain, with layer bounds refined by backward passes,
    or with ``problem.bounds`` where they are known already.  ``steps`` > 0 tightens either
    by optimised multipliers (``refine``); where time ends within that, the layers it has not
    come to keep the bounds they had before.  ``half``: layer bounds use the half-spaces.
    ``known``, ``passes``: instead, as ``refine`` takes them."""
    if known is None:
        known = layer_tensors(problem.bounds or {}, device)
    if passes is None:
        backward = problem.bounds is None or steps > 0
        passes = LayerPasses(backward, steps, deadline, half=half)

    def refined(known: LayerBounds, passes: LayerPasses) -> Refined:
        with torch.no_grad():
            return refine(
                operators(problem.network, device, torch.float64),
                as_tensor(problem.box.lower, device)[None],
                as_tensor(problem.box.upper, device)[None],
                limits=limits_of(problem, device),
                known=known,
                passes=passes,
                execution=problem.execution,
            )

    if passes.steps and not known:
        known = refined(known, replace(passes, steps=0, multipliers=None)).bounds
    return refined(known, passes)


def block_slacks(problem: Problem) -> dict[str, np.ndarray]:
    """How far computed values may be from the affine map of the last nonlinear values (and the
    input) as computed, (m,): of what each nonlinear node reads, of the output, and of leaky
    ReLUs from their own map; empty where the problem is about real values."""
    if problem.execution is Arithmetic.REAL:
        return {}
    network = problem.network
    region = region_of(problem).region
    slacks: dict[str, Tensor] = {}
    own: dict[str, Tensor] = {}
    with torch.no_grad():
        for node in network.nodes:
            shape = (1, *network.shapes[node.name])
            slack = region.slacks.get(node.name)
            here = torch.zeros(shape, dtype=torch.float64) if slack is None else slack.cpu()
            own[node.name] = here.reshape(shape)
            if node.name not in region.ops.affine:
                slacks[node.name] = torch.zeros_like(own[node.name])
                continue
            before = [
                slacks.get(source, torch.zeros((1, *network.shapes[source]), dtype=torch.float64))
                for source in node.inputs
            ]
            moved = region.ops.absolute[node.name].apply(before, bias=False)
            slacks[node.name] = (moved + own[node.name]) * (1 + 1e-9) + TINY * bool(moved.any())
    wanted = {
        network.output,
        *(n.inputs[0] for n in network.nodes if n.name not in region.ops.affine),
    }
    return {
        name: (slacks if name in region.ops.affine else own)[name].flatten().numpy()
        for name in (*wanted, *network.decision_layers)
        if name in slacks
    }


def layer_bounds(refined: Refined) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Bounds of what each nonlinear node reads, as flat arrays (m,), for the LP encoding."""
    return {
        name: (low[0].cpu().numpy(), high[0].cpu().numpy())
        for name, (low, high) in refined.bounds.items()
    }
