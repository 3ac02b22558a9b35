"""Mean gradients along lines through a piecewise-linear network, layer by layer.

Two rules need the layers rather than gradients at points: exact, and secant (``secant.py``).

Exact.  Forward, every line's breakpoints are found bend by bend (``bends.py``): those of the
first, whose pre-activations are straight, in closed form.  Backward, the gradient is constant
on each segment and ∫ ∂q/∂x dt = Σ length · ∇q.  Rows are few because a gradient is followed
between breakpoints of later bends, or its integrals between those of earlier ones
(``backward.py``).  Completeness then holds to rounding, and is reported like a rule's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from attribution.attribution import AFFINE_NOTE, Attribution
from attribution.distributions import Baseline, LinearPath, baseline_like
from attribution.inputs import Inputs
from attribution.lines.pieces import Course, Form, LineBatch
from attribution.lines.plan import plan
from attribution.lines.secant import run_secants
from attribution.methods.doubling import Means, doubled
from attribution.model import check_device, logits_note, place_of, type_of
from attribution.quantities import Quantity
from attribution.rules import Rule, check_steps
from attribution.slices import Slice
from precond.errors import DataError, QueryError
from precond.network.activation import OutputActivation
from precond.network.graph import INPUT, Network
from precond.network.module import network_module

CPU_BYTES = 48 << 20


@dataclass(frozen=True)
class Follow:
    """How lines are followed: exactly, or by secants of ``steps`` cells; ``"auto"`` doubles
    them until that changes a row's mean gradients by at most ``tolerance`` (L1, relative)."""

    rule: Rule
    steps: int | Literal["auto"]
    tolerance: float

    def __post_init__(self) -> None:
        if self.steps != "auto":
            check_steps(self.rule, self.steps)


@dataclass(frozen=True)
class Machine:
    """Where lines are followed (None: where the model is), in how many bytes, in which numbers."""

    device: str | None = None
    memory: int | None = None
    dtype: torch.dtype | None = None


def network_integrated_gradients(
    cut: Slice,
    inputs: Any,
    baseline: Baseline,
    quantity: Any,
    follow: Follow,
    machine: Machine,
) -> Attribution:
    """Integrated gradients at the model's input (rows, *shape)."""
    if cut.sites:
        raise QueryError(
            f"integrated gradients by the {follow.rule.value} rule at a layer",
            expected="the model's input",
            got=str(cut),
            fix="Use a quadrature rule, or influence with LinearPath(rule='exact')",
        )
    from attribution.methods.integrated import predicted
    from attribution.quantities import quantities_of

    solved = _Problem.of(cut, inputs, baseline, machine=machine)
    if quantity is None:
        module = network_module(solved.network, torch.float64)
        guess = predicted(
            module, Inputs.read(solved.end.cpu(), device=torch.device("cpu"), dtype=torch.float64)
        )
        chosen: tuple[Quantity, ...] = (guess,)
        several = False
    else:
        chosen, several = quantities_of(quantity)
    found = solved.means(chosen, INPUT, follow)
    span = (solved.end - solved.start).double().cpu().numpy()
    values = span[None] * found.mean
    error = np.abs(values.reshape(*values.shape[:2], -1).sum(-1) - found.change)
    return Attribution(
        parts=(values if several else values[0],),
        names=(INPUT,),
        quantities=tuple(q.name for q in chosen),
        method="integrated gradients at input",
        rule=found.rule,
        evaluated=found.evaluated,
        several=several,
        completeness=error if several else error[0],
        change=found.change if several else found.change[0],
        notes=(*found.notes, *solved.notes),
    )


def network_influence(
    cut: Slice,
    quantities: tuple[Quantity, ...],
    several: bool,
    path: LinearPath,
    inputs: Any,
    machine: Machine,
) -> Attribution:
    """Mean gradient at a slice over the whole line, (rows, *slice shape)."""
    rule = Rule.named(path.rule)
    if path.at is not None:
        raise QueryError(
            f"{rule.value} LinearPath",
            expected="the line at the model's input",
            got=f"at {path.at}",
            fix="Use a quadrature rule",
        )
    if cut.sites and not isinstance(cut.model, Network):
        raise QueryError(
            f"{rule.value} LinearPath at {cut}",
            expected="a slice of a network, whose layers have other names than a module's",
            got=type(cut.model).__name__,
            fix="Cut Slice(load(model, input_shape), layer), with precond.formats.load",
        )
    solved = _Problem.of(cut, inputs, path.baseline, machine=machine)
    node = INPUT
    if cut.sites:
        if len(cut.sites) != 1 or cut.sites[0].call:
            raise QueryError(
                f"{rule.value} LinearPath", expected="one layer, called once", got=str(cut)
            )
        site = cut.sites[0]
        solved.network.require(site.layer)
        node = site.layer
        if site.pre:
            node = solved.network.node[site.layer].inputs[0]
    found = solved.means(quantities, node, Follow(rule, path.steps, 0.0))
    bends = any(
        q.rivals is not None or plan(solved.network, solved.output(q), node).bends_after_target
        for q in quantities
    )
    return Attribution(
        parts=(found.mean if several else found.mean[0],),
        names=(str(cut),),
        quantities=tuple(q.name for q in quantities),
        method=f"influence of {cut}",
        rule=f"LinearPath, {found.rule}",
        evaluated=found.evaluated,
        several=several,
        notes=(*(() if bends else (AFFINE_NOTE,)), *solved.notes),
    )


@dataclass(frozen=True, eq=False)
class _Problem:
    """Lines from ``start`` to ``end`` (rows, *input shape) through a network."""

    network: Network
    start: torch.Tensor
    end: torch.Tensor
    memory: int | None

    @classmethod
    def of(cls, cut: Slice, inputs: Any, baseline: Baseline, machine: Machine) -> _Problem:
        check_device(machine.device)
        kind, place = machine.dtype, torch.device(machine.device or "cpu")
        if isinstance(cut.model, Network):
            kind = kind or torch.float64
        else:
            kind = kind or type_of(cut.model)
            place = place if machine.device else place_of(cut.model)
        read = Inputs.read(inputs, device=place, dtype=kind)
        if len(read.tensors) != 1 or len(read.floats) != 1:
            raise QueryError(
                "exact and secant integrated gradients",
                expected="one input of numbers",
                got="several",
            )
        (end,) = read.tensors
        if isinstance(cut.model, Network):
            network = cut.model
            if end.numel() != len(end) * network.input_size:
                raise DataError(
                    f"inputs for {network.origin}",
                    expected=f"rows of {network.input_size} values",
                    got=f"shape {tuple(end.shape)}",
                )
            end = end.reshape(len(end), *network.input_shape)
        else:
            from precond.formats.load import load

            network = load(cut.model, tuple(end.shape[1:]))
        parts = baseline_like(baseline, values={INPUT: end}, rows=slice(None), total=len(end))
        start = parts[INPUT]
        return cls(network, start, end, memory=machine.memory)

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on what the outputs are, where they are not the model's own."""
        return logits_note(self.network)

    def output(self, quantity: Quantity) -> str:
        """The node whose values the quantity reads."""
        if quantity.site is None:
            return self.network.output
        layer = self.network.require(quantity.site.layer)
        return self.network.node[layer].inputs[0] if quantity.site.pre else layer

    def means(self, quantities: tuple[Quantity, ...], target: str, follow: Follow) -> Means:
        """Mean gradients of every quantity with respect to node ``target``."""
        last = self.network.output_activation
        if last is not OutputActivation.NONE and any(q.site is None for q in quantities):
            raise QueryError(
                f"{follow.rule.value} integrated gradients of a model that ends in {last.value}",
                expected="piecewise-linear outputs, as its logits are",
                got=f"outputs of the {last.value}",
                fix="Give outputs='logits' (--outputs logits) to explain the logits, or explain "
                "the outputs by a quadrature rule (method='gauss')",
            )
        found = [self._mean(quantity, target, follow) for quantity in quantities]
        return Means(
            np.stack([one.mean for one in found]),
            change=np.stack([one.change for one in found]),
            evaluated=sum(one.evaluated for one in found),
            rule=found[0].rule,
            notes=tuple(dict.fromkeys(note for one in found for note in one.notes)),
        )

    def _mean(self, quantity: Quantity, target: str, follow: Follow) -> Means:
        device, dtype = self.end.device, self.end.dtype
        output = self.output(quantity)
        form = Form.of(
            quantity, width=self.network.width(output), lines=len(self.end), device=device
        )
        course = Course.of(
            plan(self.network, output, target), device=device, dtype=dtype, memory=self._bytes()
        )

        def along(step: Callable[[LineBatch], int], rows: torch.Tensor | None = None) -> Means:
            chosen = slice(None) if rows is None else rows.to(device)
            found = course.integrate(self.start[chosen], self.end[chosen], form.take(chosen), step)
            return Means(
                found.mean.cpu().numpy(),
                change=found.change.cpu().numpy(),
                evaluated=found.segments,
                rule="",
            )

        def secants(cells: int, rows: torch.Tensor | None = None) -> Means:
            return along(lambda lines: run_secants(lines, cells), rows)

        if follow.rule is Rule.EXACT:
            found = along(LineBatch.run)
            average = found.evaluated / max(len(found.mean), 1)
            rule = f"exact, {average:.0f} segments on average"
            return Means(found.mean, found.change, found.evaluated, rule=rule)
        if follow.steps != "auto":
            found = secants(follow.steps)
            return Means(
                found.mean, found.change, found.evaluated, rule=f"secant, {follow.steps} steps"
            )
        return doubled(secants, len(self.end), follow.tolerance)

    def _bytes(self) -> int:
        if self.memory is not None:
            return self.memory
        if self.end.device.type == "cuda":
            return int(torch.cuda.mem_get_info(self.end.device)[0] // 4)
        return CPU_BYTES
