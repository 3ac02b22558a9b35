"""Integrated gradients of piecewise-linear networks without a rule's error.

Forward, every line's breakpoints are found layer by layer (``segments.py``).  Backward, the
gradient is constant on each segment and ∫ ∂q/∂x dt = Σ length · ∇q.  Two facts keep the
rows few.  The gradient at the output of layer k changes only at breakpoints of later
layers, so that rows are added on the way back, not carried from the output.  And a unit
of a *head*, a first nonlinear layer, whose pre-activation is one straight line, is active
on one interval: its share is the running integral of the gradient above it, read at the
interval's ends.

Completeness then holds to rounding, and is reported like a rule's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attribution.adapter import network_module, type_of
from attribution.attribution import Array, Attribution
from attribution.distributions import Baseline, LinearPath, baseline_like
from attribution.inputs import Inputs
from attribution.pieces import Course, Form
from attribution.plan import plan
from attribution.quantities import Quantity
from attribution.slices import Slice
from precond.errors import QueryError
from precond.network.graph import INPUT, Network

CPU_BYTES = 64 << 20


def exact_integrated_gradients(
    cut: Slice,
    inputs: Any,
    baseline: Baseline,
    quantity: Any,
    *,
    device: str | None = None,
    memory: int | None = None,
    dtype: torch.dtype | None = None,
) -> Attribution:
    """Exact integrated gradients at the model's input (rows, *shape)."""
    if cut.sites:
        raise QueryError(
            "exact integrated gradients at a layer",
            expected="the model's input",
            got=str(cut),
            fix="Use a quadrature rule, or influence with LinearPath(rule='exact')",
        )
    from attribution.influence import quantities_of
    from attribution.integrated import predicted

    solved = _Problem.of(cut, inputs, baseline, device, memory, dtype)
    if quantity is None:
        module = network_module(solved.network, torch.float64)
        guess = predicted(
            module, Inputs.read(solved.end.cpu(), device=torch.device("cpu"), dtype=torch.float64)
        )
        chosen: tuple[Quantity, ...] = (guess,)
        several = False
    else:
        chosen, several = quantities_of(quantity)
    means, changes, segments = solved.means(chosen, INPUT)
    span = (solved.end - solved.start).double().cpu().numpy()
    values = span[None] * means
    error = np.abs(values.reshape(*values.shape[:2], -1).sum(-1) - changes)
    return Attribution(
        (values if several else values[0],),
        (INPUT,),
        tuple(q.name for q in chosen),
        "integrated gradients at input",
        f"exact, {segments / len(span):.0f} segments on average",
        segments * len(chosen),
        several,
        error if several else error[0],
        changes if several else changes[0],
    )


def exact_influence(
    cut: Slice,
    chosen: tuple[Quantity, ...],
    several: bool,
    path: LinearPath,
    inputs: Any,
    device: str | None,
    memory: int | None,
) -> Attribution:
    """Mean gradient at a slice over the whole line, exactly, (rows, *slice shape)."""
    if path.at is not None:
        raise QueryError(
            "exact LinearPath",
            expected="the line at the model's input",
            got=f"at {path.at}",
            fix="Use a quadrature rule",
        )
    solved = _Problem.of(cut, inputs, path.baseline, device, memory, None)
    node = INPUT
    if cut.sites:
        if len(cut.sites) != 1 or cut.sites[0].call:
            raise QueryError("exact LinearPath", expected="one layer, called once", got=str(cut))
        site = cut.sites[0]
        solved.network.require(site.layer)
        node = site.layer
        if site.pre:
            node = solved.network.node[site.layer].inputs[0]
    means, _, segments = solved.means(chosen, node)
    return Attribution(
        (means if several else means[0],),
        (str(cut),),
        tuple(q.name for q in chosen),
        f"influence of {cut}",
        f"LinearPath, exact, {segments / means.shape[1]:.0f} segments on average",
        segments * len(chosen),
        several,
    )


@dataclass(frozen=True, eq=False)
class _Problem:
    """Lines from ``start`` to ``end`` (rows, *input shape) through a network."""

    network: Network
    start: torch.Tensor
    end: torch.Tensor
    memory: int | None

    @classmethod
    def of(
        cls,
        cut: Slice,
        inputs: Any,
        baseline: Baseline,
        device: str | None,
        memory: int | None,
        dtype: torch.dtype | None,
    ) -> _Problem:
        kind = dtype
        if kind is None:
            kind = torch.float64 if isinstance(cut.model, Network) else type_of(cut.model)
        place = torch.device(device or "cpu")
        read = Inputs.read(inputs, device=place, dtype=kind)
        if len(read.tensors) != 1 or len(read.floats) != 1:
            raise QueryError(
                "exact integrated gradients", expected="one input of numbers", got="several"
            )
        (end,) = read.tensors
        if isinstance(cut.model, Network):
            network = cut.model
            end = end.reshape(len(end), *network.input_shape)
        else:
            from precond.formats.load import load

            network = load(cut.model, tuple(end.shape[1:]))
        start = baseline_like(baseline, {INPUT: end}, slice(None), len(end))[INPUT]
        return cls(network, start, end, memory)

    def means(self, quantities: Sequence[Quantity], target: str) -> tuple[Array, Array, int]:
        """Mean gradients (Q, rows, *shape), changes (Q, rows), segments in all."""
        device, dtype = self.end.device, self.end.dtype
        results, changes, segments = [], [], 0
        for quantity in quantities:
            output = self.network.output
            if quantity.site is not None:
                output = self.network.require(quantity.site.layer)
                if quantity.site.pre:
                    output = self.network.node[output].inputs[0]
            form = Form.of(quantity, self.network.width(output), len(self.end), device)
            course = Course(plan(self.network, output, target), device, dtype, self._bytes())
            found = course.integrate(self.start, self.end, form)
            results.append(found.mean.cpu().numpy())
            changes.append(found.change.cpu().numpy())
            segments += found.segments
        return np.stack(results), np.stack(changes), segments // len(quantities)

    def _bytes(self) -> int:
        if self.memory is not None:
            return self.memory
        if self.end.device.type == "cuda":
            return int(torch.cuda.mem_get_info(self.end.device)[0] // 4)
        return CPU_BYTES
